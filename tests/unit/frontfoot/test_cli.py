"""Usage, settings and exit codes of the command line: whatever needs no model and no server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from frontfoot import exits
from frontfoot.cli import app, main
from models.requests import AnalysisOptions, AnalysisRequest

COMMANDS = (
    *("analyze", "poses", "export", "rederive", "progress"),
    *("up", "api", "worker", "migrate", "submit", "settings"),
)
SECRET = "not-to-be-seen-0001"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("FRONTFOOT_", "DATABASE_URL", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FRONTFOOT_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no video")
    return path


def run(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])


def test_help_names_every_command_and_every_exit_code() -> None:
    text = run("--help").stdout
    assert all(command in text for command in COMMANDS)
    codes = {value for name, value in vars(exits).items() if name.isupper()}
    assert all(f"{code} " in text for code in codes | {0, 130})


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert command in result.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "--mode"),
        (("--mode", "golf"), "golf"),
        (("--mode", "bowling", "--view", "above"), "above"),
        (("--mode", "bowling", "--height", "18"), "height_m"),
        (("--mode", "bowling", "--slowmo", "0"), "slowmo_factor"),
        (("--mode", "bowling", "--subject", "1,2"), "X,Y@T"),
        (("--mode", "bowling", "--sample-fps", "-3"), "--sample-fps"),
        (("--mode", "bowling", "--backend", "tpu"), "--backend"),
        (("--mode", "bowling", "--precision", "int4"), "--precision"),
    ],
)
def test_wrong_usage_is_named_and_costs_nothing(clip: Path, arguments: tuple[str, ...], named: str) -> None:
    result = run("analyze", clip, *arguments, "--out", clip.parent / "out")
    assert (result.exit_code, result.stdout) == (exits.USAGE, "")
    assert named in result.stderr
    assert not (clip.parent / "out").exists()


def test_a_clip_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    result = run("poses", tmp_path / "none.mp4", "--out", tmp_path / "x.npz")
    assert result.exit_code == exits.USAGE
    assert "does not exist" in result.stderr


def test_every_frame_and_a_rate_exclude_each_other(clip: Path) -> None:
    result = run("poses", clip, "--out", clip.parent / "x.npz", "--every-frame", "--sample-fps", "5")
    assert result.exit_code == exits.USAGE
    assert "exclude each other" in result.stderr


def test_several_points_on_the_athlete(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from frontfoot import local

    asked: list[AnalysisRequest] = []
    monkeypatch.setattr(local, "analyze", lambda clip, request, *_, **__: asked.append(request))
    points = ("--subject", "1250,700@3.5", "--subject", "640.5,80@12")
    assert run("analyze", clip, "--mode", "fielding", *points).exit_code == 0
    assert [(point.x, point.y, point.time_s) for point in asked[0].options.subject] == [
        (1250.0, 700.0, 3.5), (640.5, 80.0, 12.0),
    ]  # fmt: skip


def test_settings_are_one_object_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTFOOT_TOKENS", f"{SECRET}=coach:jane")
    monkeypatch.setenv("DATABASE_URL", f"postgres://jane:{SECRET}@db/frontfoot")
    result = run("settings")
    assert result.exit_code == 0
    assert SECRET not in result.output
    shown = json.loads(result.stdout)
    assert list(shown["tokens"].values()) == ["coach:jane"]
    assert shown["database_url"].startswith("postgresql+psycopg2://jane:")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("FRONTFOOT_TOKENS", SECRET), ("FRONTFOOT_TOKENS", f"{SECRET}=jane"), ("FRONTFOOT_PORT", SECRET)],
)
def test_wrong_settings_are_named_and_never_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(sys, "argv", ["frontfoot", "settings"])
    with pytest.raises(SystemExit) as stopped:
        main()
    shown = capsys.readouterr()
    assert (stopped.value.code, shown.out) == (exits.USAGE, "")
    assert shown.err.startswith(f"settings_invalid: {variable.removeprefix('FRONTFOOT_').lower()}: ")
    assert SECRET not in shown.err


def test_an_api_that_nobody_could_call_does_not_start() -> None:
    result = run("api", "--port", "0")
    assert result.exit_code == exits.USAGE
    assert "FRONTFOOT_TOKENS" in result.stderr


def test_the_command_line_itself_loads_nothing_heavy() -> None:
    heavy = {"ray", "torch", "cv2", "av", "ultralytics", "openvino", "numpy", "sqlalchemy", "fastapi"}
    code = f"import sys, frontfoot.cli; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_every_option_of_a_job_is_a_flag() -> None:
    flags = run("analyze", "--help").stdout
    words = {name.removesuffix("_m").removesuffix("_factor") for name in AnalysisOptions.model_fields}
    assert all(f"--{word}" in flags for word in words)
