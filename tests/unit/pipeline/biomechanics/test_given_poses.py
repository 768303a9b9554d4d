"""Whole figures as files of poses: measured, judged and written without a clip, and exported as they were measured."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.errors import NoPerson
from inference.given_poses import read_poses
from inference.poses_io import write_npz
from models.documents import Results
from models.requests import AnalysisOptions, AnalysisRequest
from pipeline import stages
from pipeline.exports.analysis import exportable
from pipeline.given_poses import extraction_of
from pipeline.measurements import NO_VIDEO
from pipeline.results import json_bytes
from pipeline.run import run_given_poses
from pipeline.stages import Limits


@pytest.fixture(scope="module")
def file(figures, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("poses") / "bowler.npz"
    write_npz(path, figures.bowler(120.0).film(start=0.5, white=0.3))
    return path


def request(view="side", **options):
    return AnalysisRequest(analysis_mode="bowling", camera_view=view, options=AnalysisOptions(**options))


@pytest.fixture(scope="module")
def analysis(file):
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return run_given_poses(read_poses(file), sha256, request(height_m=1.8), limits=Limits())


def test_the_numbers_are_those_of_the_poses(file, analysis, judge):
    measured = judge(read_poses(file), "bowling", height_m=1.8)
    assert analysis.final.results.metrics == measured.metrics
    assert analysis.final.results.repetitions == measured.repetitions
    assert len(measured.repetitions) == 1
    assert measured.metrics["front_knee_min"].value is not None


def test_the_results_say_that_there_was_no_clip(file, analysis):
    results = analysis.final.results
    assert results.poses.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (results.clip.sha256, results.clip.container, results.clip.codec) == (None, None, None)
    poses = read_poses(file)
    frames = len(poses.timestamps_s)
    assert (results.clip.width, results.clip.height, results.clip.fps) == (20000, 1080, 120.0)
    assert results.clip.duration_s == pytest.approx(0.5 + frames / 120, abs=1e-4)
    assert (results.receipt.decoded, results.receipt.inferred, results.receipt.skipped) == (frames, frames, {})
    assert (results.model.name, results.model.backend) == ("figure", "none")
    assert results.options == AnalysisOptions(height_m=1.8)
    assert "NO_VIDEO" in {finding.id for finding in results.findings.findings}
    assert Results.model_validate_json(json_bytes(results)) == results


def test_the_report_says_so_too_and_shows_no_picture(analysis):
    assert set(analysis.files) == {"report.html", "report.pdf", "report.md", "poses.parquet"}
    text = analysis.files["report.md"].decode()
    assert "no pictures to check this report against" in text
    assert "picture at the top" not in text
    page = analysis.files["report.html"].decode()
    assert "image/jpeg" not in page
    assert "overlay.mp4" not in page
    assert "without their clip" in page
    assert re.search(r"<code>[0-9a-f]{64}</code>", page)


def test_for_analysts_as_well(file):
    extraction = extraction_of(read_poses(file))
    measured = stages.measure_poses(extraction, request(audience="analyst"), "deep")
    measured = replace(measured, recording=(NO_VIDEO,))
    report = stages.word(extraction, measured, stages.judge(measured))
    assert "One person as given in the file of poses, found in 100 % of its frames" in report.text


def test_a_hole_in_the_times_is_a_gap(file):
    poses = read_poses(file)
    keep = np.ones(len(poses.timestamps_s), dtype=bool)
    keep[40:45] = False
    holed = replace(
        poses, **{name: getattr(poses, name)[keep] for name in
                  ("keypoints", "confidence", "boxes", "timestamps_s", "frame_indices")},
    )  # fmt: skip
    (gap,) = extraction_of(holed).receipt.gaps
    assert gap == pytest.approx((0.5 + 39 / 120, 0.5 + 45 / 120))


def test_poses_of_nobody_are_refused(file):
    poses = read_poses(file)
    nobody = replace(
        poses, keypoints=poses.keypoints * np.nan, confidence=poses.confidence * np.nan, boxes=poses.boxes * np.nan
    )
    with pytest.raises(NoPerson):
        run_given_poses(nobody, "0" * 64, request(), limits=Limits())


@pytest.mark.parametrize("view", ["side", None])
def test_exported_signals_are_those_that_were_measured(file, analysis, judge, view):
    """An estimated view serves as well as the caller's."""
    poses = read_poses(file)
    measured = judge(poses, "bowling", view=view, height_m=1.8)
    results = analysis.final.results.model_copy(update={"view": measured.view})
    assert results.view.source == ("caller" if view else "estimate")
    exported = exportable(poses, results, results.options).signals
    assert [signal.id for signal in exported] == [signal.id for signal in measured.signals]
    assert len(exported) > 3
    for one, other in zip(exported, measured.signals, strict=True):
        np.testing.assert_array_equal(one.values, other.values)


def test_a_height_gives_the_scale(figures):
    """The figure is 400 pixels tall by its eye-to-ankle chain."""
    poses = figures.bowler(120.0).film(pixels=400.0)
    assert exportable(poses, None, AnalysisOptions(height_m=1.8)).metres_per_pixel == pytest.approx(0.0045, rel=2e-3)
    assert exportable(poses, None, AnalysisOptions()).metres_per_pixel is None
    few = replace(poses, **{name: getattr(poses, name)[:2] for name in
                            ("keypoints", "confidence", "boxes", "timestamps_s", "frame_indices")})  # fmt: skip
    assert exportable(few, None, AnalysisOptions(height_m=1.8)).metres_per_pixel is None
