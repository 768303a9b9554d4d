"""`frontfoot progress` as a shell sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import reports
from typer.testing import CliRunner, Result

from frontfoot import exits
from frontfoot.cli import app
from models.documents import Metric
from pipeline.results import json_bytes


def run(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["progress", *(str(argument) for argument in arguments)])


def write(path: Path, value: float | None, **fields: object) -> Path:
    knee = Metric(
        value=value, unit="deg", expected_error=8.2, sys=8.0, rand=4.0, n=4, status="measurable", label="Front knee"
    )
    made = reports.results(metrics={"front_knee_min": knee}).model_copy(update={"real_fps": 60.0, **fields})
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(json_bytes(made))
    return path


def test_as_named_or_by_date(tmp_path: Path) -> None:
    may, june = write(tmp_path / "may" / "results.json", 130.0), write(tmp_path / "june.json", 140.0)
    named = json.loads(run(june, may.parent, "--json").stdout)
    dated = json.loads(run(f"{june}@2026-06-02", f"{may.parent}@2026-05-03", "--json").stdout)
    assert [session["label"] for session in named["sessions"]] == [str(june), str(may.parent)]
    assert [session["label"] for session in dated["sessions"]] == [str(may.parent), str(june)]
    assert [session["date"] for session in dated["sessions"]] == ["2026-05-03", "2026-06-02"]
    assert [one["metrics"][0]["overall"]["delta"] for one in (named, dated)] == [-10.0, 10.0]
    # 2·√(4²/4 + 4²/4 + 2²)
    assert dated["metrics"][0]["overall"]["threshold"] == 6.928
    assert dated["metrics"][0]["overall"]["verdict"] == "changed"


def test_as_text(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1.json", 130.0), write(tmp_path / "2.json", 133.0)
    other = write(tmp_path / "3.json", 133.0, real_fps=30.0)
    assert run(one, two).stdout.splitlines() == [
        "bowling, 2 sessions",
        f"  0: {one} (side, 60 frames/s)",
        f"  1: {two} (side, 60 frames/s)",
        "Front knee [front_knee_min, deg]: no change that could be told (+3, within 6.928)",
        "  0: 130 ± 8.2 (n 4)   1: 133 ± 8.2 (n 4)",
    ]
    assert "not comparable: the real frame rates differ (60, 30 a second)" in run(one, other).stdout


@pytest.mark.parametrize(
    ("names", "code", "named"),
    [
        (("1.json",), exits.USAGE, "two sessions or more"),
        (("1.json", "none.json"), exits.ERROR, "io_error"),
        (("1.json", "bad.json"), exits.USAGE, "results_unreadable"),
        (("1.json", "1.json@2026-05-01"), exits.USAGE, "give a date for all or for none"),
        (("1.json@may", "1.json"), exits.USAGE, "is no date"),
    ],
)
def test_what_cannot_be_followed(tmp_path: Path, names: tuple[str, ...], code: int, named: str) -> None:
    write(tmp_path / "1.json", 130.0)
    (tmp_path / "bad.json").write_text("{}")
    result = run(*(tmp_path / name for name in names))
    assert result.exit_code == code, result.output
    assert named in result.output
