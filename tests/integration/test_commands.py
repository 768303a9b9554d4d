"""`frontfoot poses`, `analyze` and `submit` as a shell sees them: files, standard output, exit codes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from footage import half_size_frames, write
from serving import serving
from typer.testing import CliRunner, Result

from api.app import create_app
from frontfoot import exits
from frontfoot.cli import app
from inference.catalog import DEFAULT_MODEL, read_weights, resolve
from models.database import Database
from models.folder import FolderStore
from models.jobs import Owner
from models.queue import JobQueue
from pipeline.coaching.rules import rule_faults

TOKEN = "token-of-jane-0001"
SUMMARY = {"frames", "poses", "extract_s", "fps", "clip_fps", "model", "backend", "precision", "receipt"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, model_cache: Path, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("FRONTFOOT_", "DATABASE_URL", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FRONTFOOT_CACHE_DIR", str(model_cache))
    monkeypatch.setenv("FRONTFOOT_DATA_DIR", str(tmp_path / "data"))


def run(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])


def one_object(result: Result) -> dict[str, Any]:
    """All of standard output is one JSON object on one line."""
    assert result.stdout.count("\n") == 1, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.fixture(scope="module")
def short_clip(sample_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nobody for a third of a second, then a woman who walks, for a second; half the sample's size."""
    frames = half_size_frames(sample_clip, 60, 90)
    return write(tmp_path_factory.mktemp("short") / "clip.mp4", [np.full_like(frames[0], 110)] * 10 + frames)


@pytest.mark.model
def test_poses_of_every_frame(short_clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "new folder" / "poses.npz"
    result = run("poses", short_clip, "--out", out, "--every-frame", "--json")
    assert result.exit_code == 0, result.output
    summary = one_object(result)
    assert set(summary) == SUMMARY
    assert summary["frames"] == summary["receipt"]["decoded"] == summary["receipt"]["inferred"] == 40
    assert summary["receipt"]["skipped"] == {}
    assert summary["fps"] == summary["frames"] / summary["extract_s"]
    assert (summary["model"], summary["backend"]) == ("yolo11n-pose", "openvino")
    assert summary["clip_fps"] == pytest.approx(30.0)

    with np.load(out, allow_pickle=False) as poses:
        shapes = {name: poses[name].shape for name in poses.files}
        seen = ~np.isnan(poses["keypoints"]).all(axis=(1, 2))
        assert shapes == {
            "keypoints": (40, 17, 2),
            "confidence": (40, 17),
            "timestamps_s": (40,),
            "frame_indices": (40,),
            "box": (40, 4),
            "frame_size": (2,),
            "keypoint_names": (17,),
            "provenance": (),
        }
        assert tuple(poses["frame_size"]) == (884, 496)
        assert list(poses["frame_indices"]) == list(range(40))
        assert 0 < summary["poses"] == seen.sum() <= 30
        assert np.isnan(poses["box"][~seen]).all()
        assert (poses["box"][seen][:, :2] < poses["box"][seen][:, 2:]).all()


@pytest.mark.model
def test_poses_with_chosen_weights_backend_and_rate(short_clip: Path, tmp_path: Path) -> None:
    weights = tmp_path / "mine.pt"
    weights.write_bytes(read_weights(resolve(DEFAULT_MODEL)))
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    out = tmp_path / "no suffix"
    chosen = ("--backend", "torch", "--precision", "fp32", "--sample-fps", "2")
    result = run("poses", short_clip, "--out", out, "--model", weights, "--sha256", sha256, *chosen, "--json")
    assert result.exit_code == 0, result.output
    summary = one_object(result)
    assert (summary["backend"], summary["precision"], summary["frames"]) == ("torch", "fp32", 3)
    assert summary["receipt"]["skipped"] == {"not_sampled": 37}
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["mine.pt", "no suffix"]


@pytest.mark.model
def test_analyze_writes_what_it_says(short_clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("analyze", short_clip, "--mode", "bowling", "--view", "side", "--quick-only", "--out", out, "--json")
    assert result.exit_code == 0, result.output
    names = {"results.json", "report.md", "report.html", "report.pdf", "overlay.mp4", "poses.parquet"}
    assert {path.name for path in out.iterdir()} == names
    results = json.loads((out / "results.json").read_bytes())
    assert one_object(result) == results
    assert (results["mode"], results["stage"], results["schema_version"]) == ("bowling", "quick", 1)
    assert results["view"] == {"value": "side", "source": "caller", "confidence": 1.0}
    assert results["report"]["text"].startswith("**Overall Assessment**:")
    assert (out / "report.md").read_text().startswith("**Overall Assessment**:")
    for metric in results["metrics"].values():
        assert {"value", "unit", "expected_error", "sys", "rand", "status", "reason", "n", "spread"} <= set(metric)
        assert (metric["value"] is None) == (metric["status"] == "not_measurable") == (metric["n"] == 0)


@pytest.mark.model
def test_everybody_is_listed_and_can_be_pointed_at(sample_clip: Path, tmp_path: Path) -> None:
    """The woman walks on the ground and would be chosen; the man jumps on the roof, until he jumps off it."""
    out = tmp_path / "people"
    result = run("analyze", sample_clip, "--list-people", "--out", out, "--json")
    assert result.exit_code == 0, result.output
    document = one_object(result)
    people = document["people"]
    assert [one["number"] for one in people] == [1, 2]
    assert [one["near_equal"] for one in people] == [True, True]  # which is why a caller is asked
    assert sum(one["chosen"] for one in people) == 1
    assert document["confidence"] < 0.6
    for one in people:
        picture = cv2.imread(one["still"])
        assert picture.shape == (720, 1280, 3)
    assert {path.name for path in out.iterdir()} == {"person-1.jpg", "person-2.jpg"}

    (other,) = (one for one in people if not one["chosen"])
    npz = tmp_path / "other.npz"
    flags = ("--subject", other["subject"], "--sample-fps", "3", "--json")
    assert run("poses", sample_clip, "--out", npz, *flags).exit_code == 0
    with np.load(npz) as poses:
        assert float(np.nanmedian(poses["box"][:, 3])) < 600  # his feet


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "video_empty"), (b"ffconcat version 1.0\nfile demo.mp4\n", "container_not_allowed")]
)
@pytest.mark.model
def test_a_clip_that_cannot_be_analysed(tmp_path: Path, content: bytes, code: str) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(content)
    result = run("analyze", clip, "--mode", "bowling", "--out", tmp_path / "out", "--json")
    assert result.exit_code == exits.BAD_CLIP
    assert one_object(result)["error"]["code"] == code
    spoken = run("poses", clip, "--out", tmp_path / "x.npz")
    assert (spoken.exit_code, spoken.stdout) == (exits.BAD_CLIP, "")
    assert spoken.stderr.startswith(f"{code}: ")


@pytest.mark.parametrize(
    ("choice", "code"),
    [
        (("--model", "nobody"), "model_unknown"),
        (("--model", "{weights}"), "weights_rejected"),
        (("--model", "{weights}", "--sha256", "0" * 64), "weights_rejected"),
        (("--backend", "openvino", "--precision", "fp16"), "backend_unavailable"),
    ],
)
def test_a_model_that_cannot_be_had_is_wrong_usage(
    sample_clip: Path, tmp_path: Path, choice: tuple[str, ...], code: str
) -> None:
    weights = tmp_path / "mine.pt"
    weights.write_bytes(b"never unpickled")
    flags = [flag.format(weights=weights) for flag in choice]
    result = run("poses", sample_clip, "--out", tmp_path / "x.npz", *flags, "--json")
    assert result.exit_code == exits.USAGE
    assert one_object(result)["error"]["code"] == code


def test_a_folder_that_cannot_be_made_is_told(sample_clip: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run("analyze", sample_clip, "--mode", "bowling", "--out", tmp_path / "file" / "out", "--json")
    assert result.exit_code == exits.ERROR
    assert one_object(result)["error"]["code"] == "io_error"


def test_submit_against_a_server(
    sqlite_url: str, sample_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(sqlite_url)
    api = create_app(
        database=database,
        queue=JobQueue(database),
        store=FolderStore(tmp_path / "store"),
        owners={TOKEN: Owner(owner_type="coach", owner_id="jane")},
        models=set(),
        version="1.2.3",
        rule_faults=rule_faults,
    )
    rules = tmp_path / "club.toml"
    rules.write_text('name = "club"\nversion = 3\nextends = "frontfoot"\ndisable = ["bowling_foot_line"]\n')
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    flags = ("--mode", "bowling", "--view", "side", "--height", "1.8", "--subject", "1250,700@3.5", "--json")
    with serving(api) as url:
        monkeypatch.setenv("FRONTFOOT_URL", url)
        nameless = run("submit", sample_clip, *flags)
        monkeypatch.setenv("FRONTFOOT_TOKEN", "somebody-elses-0001")
        refused = run("submit", sample_clip, *flags)
        monkeypatch.setenv("FRONTFOOT_TOKEN", TOKEN)
        not_a_video = run("submit", text, *flags)
        accepted = run("submit", sample_clip, *flags)
        by_own_rules = run("submit", sample_clip, *flags, "--rules", rules)
    unreachable = run("submit", sample_clip, *flags)
    database.close()

    assert nameless.exit_code == exits.USAGE
    assert "FRONTFOOT_TOKEN" in nameless.stderr
    assert refused.exit_code == not_a_video.exit_code == unreachable.exit_code == exits.SERVER
    assert one_object(refused)["error"]["status"] == 401
    assert one_object(not_a_video)["error"]["status"] == 415
    assert one_object(unreachable)["error"]["code"] == "connection_failed"
    assert accepted.exit_code == 0, accepted.output
    job = one_object(accepted)
    assert (job["status"], job["analysis_mode"], job["camera_view"]) == ("queued", "bowling", "side")
    assert job["options"]["height_m"] == 1.8
    sha256 = hashlib.sha256(rules.read_bytes()).hexdigest()
    assert one_object(by_own_rules)["options"]["rules"] == {"files": [{"name": "club.toml", "sha256": sha256}]}
    assert job["options"]["subject"] == [{"x": 1250.0, "y": 700.0, "time_s": 3.5}]
