"""`analyze --poses` and `export` as a shell sees them: files, standard output, exit codes. No model, no video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reports
from typer.testing import CliRunner, Result

from frontfoot import exits
from frontfoot.cli import app
from inference.poses_io import write_npz


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("FRONTFOOT_", "DATABASE_URL", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FRONTFOOT_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def poses(tmp_path: Path) -> Path:
    path = tmp_path / "poses.npz"
    write_npz(path, reports.poses([step / 30 for step in range(60)], size=(640, 480), box=(200, 40, 300, 440)))
    return path


def run(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])


def one_object(result: Result) -> dict[str, Any]:
    assert result.stdout.count("\n") == 1, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_poses_are_analysed_and_exported_without_a_clip(poses: Path, tmp_path: Path) -> None:
    out, exported = tmp_path / "out", tmp_path / "exported"
    options = ("--mode", "wicketkeeping", "--view", "side", "--height", "1.8", "--slowmo", "2")
    result = run("analyze", "--poses", poses, *options, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {
        "results.json", "report.md", "report.html", "report.pdf", "poses.parquet"
    }  # fmt: skip
    results = json.loads((out / "results.json").read_bytes())
    assert one_object(result) == results
    assert (results["stage"], results["mode"]) == ("deep", "wicketkeeping")
    assert results["clip"]["sha256"] is None
    assert results["poses"]["sha256"]
    assert (results["options"]["height_m"], results["options"]["slowmo_factor"]) == (1.8, 2.0)

    done = run("export", out, "--format", "csv,trc", "--out", exported, "--json")
    assert done.exit_code == 0, done.output
    assert [Path(name).name for name in one_object(done)["files"]] == [
        "poses.csv", "signals.csv", "metrics.csv", "events.csv", "poses.trc",
    ]  # fmt: skip
    facts = (exported / "poses.trc").read_text().splitlines()[2].split("\t")
    assert (facts[0], facts[4]) == ("60.0", "m")  # the analysis knows its height and its slow motion
    before = (exported / "signals.csv").read_bytes()
    (out / "results.json").rename(out / "deep_results.json")  # as `frontfoot results` names a job's
    assert run("export", out, "--format", "csv", "--out", exported).exit_code == 0
    assert (exported / "signals.csv").read_bytes() == before
    refused = run("export", out, "--format", "trc", "--height", "1.9", "--out", exported)
    assert (refused.exit_code, refused.stdout) == (exits.USAGE, "")
    assert "has its own" in refused.stderr


def test_poses_alone_are_exported_too(poses: Path, tmp_path: Path) -> None:
    done = run("export", poses, "--format", "coco, parquet ,trc", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    names = ["poses.parquet", "keypoints.coco.json", "poses.trc"]
    assert done.stdout == "".join(f"wrote {tmp_path / 'out' / name}\n" for name in names)
    assert "poses alone" in done.stderr
    assert (tmp_path / "out" / "poses.trc").read_text().splitlines()[2].split("\t")[4] == "px"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("{poses}", "--format", "xml"), "xml"),
        (("{poses}", "--format", ""), "csv, parquet, coco, trc"),
        (("{poses}", "--format", "trc", "--height", "18"), "height_m"),
        (("{folder}", "--format", "trc"), "results.json"),
        (("{folder}/none", "--format", "trc"), "does not exist"),
        (("{poses}",), "--format"),
    ],
)
def test_wrong_usage_of_export(poses: Path, tmp_path: Path, arguments: tuple[str, ...], named: str) -> None:
    words = [word.format(poses=poses, folder=tmp_path) for word in arguments]
    result = run("export", *words, "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (exits.USAGE, "")
    assert named in result.stderr
    assert not (tmp_path / "out").exists()


def test_results_of_another_kind_are_told(poses: Path, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"schema_version": 99}')
    result = run("export", tmp_path, "--format", "csv", "--out", tmp_path / "out")
    assert result.exit_code == exits.USAGE
    assert "no results document of this version" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--mode", "bowling"), "--poses FILE"),
        (("{clip}", "--poses", "{poses}", "--mode", "bowling"), "--poses FILE"),
        (("--poses", "{poses}"), "--mode"),
        (("--poses", "{poses}", "--mode", "bowling", "--subject", "1,2@3", "--quick-only"), "--subject, --quick-only"),
        (("--poses", "{poses}", "--mode", "bowling", "--model", "yolo11n-pose"), "--model"),
        (("--poses", "{poses}", "--list-people"), "--list-people"),
        (("--poses", "{folder}/none.npz", "--mode", "bowling"), "does not exist"),
        (("{clip}",), "--mode"),
    ],
)
def test_wrong_usage_of_analyze(poses: Path, tmp_path: Path, arguments: tuple[str, ...], named: str) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"no video")
    words = [word.format(poses=poses, clip=clip, folder=tmp_path) for word in arguments]
    result = run("analyze", *words, "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (exits.USAGE, "")
    assert named in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "change", "code"),
    [
        ("timestamps_s", lambda array: array[::-1], "poses_invalid"),
        ("keypoint_names", np.char.upper, "skeleton_unknown"),
        ("box", None, "poses_unreadable"),
        ("box", lambda array: array * np.nan, "poses_invalid"),
    ],
)
def test_poses_that_cannot_be_analysed(poses: Path, tmp_path: Path, name: str, change: Any, code: str) -> None:
    with np.load(poses) as file:
        arrays = dict(file)
    if change is None:
        del arrays[name]
    else:
        arrays[name] = change(arrays[name])
    np.savez(poses, **arrays)
    out = tmp_path / "out"
    result = run("analyze", "--poses", poses, "--mode", "bowling", "--out", out, "--json")
    assert result.exit_code == exits.BAD_CLIP
    assert one_object(result)["error"]["code"] == code
    spoken = run("export", poses, "--format", "csv", "--out", out)
    assert (spoken.exit_code, spoken.stdout) == (exits.BAD_CLIP, "")
    assert spoken.stderr.startswith(f"{code}: ")
    assert not out.exists()


def test_what_a_model_with_feet_saw_is_exported_whole(tmp_path: Path) -> None:
    write_npz(tmp_path / "feet.npz", reports.with_feet(reports.poses([step / 30 for step in range(4)])))
    result = run("export", tmp_path / "feet.npz", "--format", "csv,coco,trc", "--out", tmp_path / "exported")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "exported" / "poses.csv").read_text().count("left_heel") == 4
    coco = json.loads((tmp_path / "exported" / "keypoints.coco.json").read_text())
    assert (len(coco["categories"][0]["keypoints"]), len(coco["annotations"][0]["keypoints"])) == (26, 78)
    assert "RBigToe" in (tmp_path / "exported" / "poses.trc").read_text()
