"""The real thing: yolo11n-pose on the walking woman of the sample clip, whole frames, 30 a second.

Her contacts were read off the video by eye: both feet down, the front heel just landed.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.poses import COCO_17, ModelInfo, PoseSequence

CONTACT_FRAMES = (59, 79, 97, 115, 133, 151, 170)
STORED = Path(__file__).parents[3] / "data" / "walker.npz"


@pytest.fixture(scope="module")
def walking():
    with np.load(STORED) as data:
        stored = {name: data[name] for name in data.files}
    return PoseSequence(
        keypoints=stored["keypoints"],
        confidence=stored["confidence"],
        boxes=stored["boxes"],
        timestamps_s=stored["timestamps_s"],
        frame_indices=stored["frame_indices"],
        skeleton=COCO_17,
        frame_size=(int(stored["frame_size"][0]), int(stored["frame_size"][1])),
        model=ModelInfo(
            name="yolo11n-pose", version="8", sha256="0" * 64, backend="torch", precision="fp32", runtime=""
        ),
    )


@pytest.mark.parametrize("mode", ["bowling", "batting", "wicketkeeping", "fielding"])
@pytest.mark.parametrize("view", ["side", None])
def test_her_steps_are_found_and_nothing_that_did_not_happen(walking, judge, mode, view):
    measured = judge(walking, mode, view=view, height_m=1.65)
    metrics = measured.metrics
    found = metrics["cadence"].evidence.frames
    assert len(found) == len(CONTACT_FRAMES)
    assert max(abs(a - b) for a, b in zip(found, CONTACT_FRAMES, strict=True)) <= 2
    assert metrics["cadence"].value == pytest.approx(60 * 6 / ((170 - 59) / 30), abs=2)
    together = metrics["cadence"].value / 60 * metrics["step_length"].value
    assert together == pytest.approx(metrics["travel_speed"].value / 1.65 * 100, rel=0.05)
    assert measured.repetitions == ()
    lean = metrics["trunk_lean"].evidence.frames
    assert len(lean) == 3
    assert min(lean) < CONTACT_FRAMES[0] < lean[0] < CONTACT_FRAMES[-1] < max(lean)  # the middle, both ends
    described = {"cadence", "step_length", "travel_speed", "trunk_lean"}
    assert {name for name, metric in metrics.items() if metric.value is not None} == described


def test_the_view_of_her_walk_is_estimated_as_the_side(walking, judge):
    view = judge(walking, "bowling", view=None).view
    assert (view.value, view.source) == ("side", "estimate")
    assert view.confidence > 0.5


@pytest.mark.parametrize("mode", ["batting", "wicketkeeping"])
def test_who_walks_across_the_picture_makes_a_view_along_the_pitch_doubtful(walking, judge, mode):
    doubts = {
        view: "VIEW_DOUBTFUL" in [issue.id for issue in judge(walking, mode, view=view).recording]
        for view in ("front", "behind", "side")
    }
    assert "cadence" not in judge(walking, mode, view="front").metrics
    assert doubts == {"front": True, "behind": True, "side": False}


def test_no_signal_is_invented_where_she_is_not_in_the_picture(walking, judge):
    signals = {s.id: s for s in judge(walking, "bowling").signals}
    assert {"hip_speed", "head_height", "left_knee_angle", "trunk_lean"} <= set(signals)
    for signal in signals.values():
        assert np.isnan(signal.values[signal.times_s < 1.2]).all()


@pytest.mark.parametrize("mode", ["bowling", "batting", "wicketkeeping", "fielding"])
@pytest.mark.parametrize("end", [-1, -4, -8, -12])
def test_wherever_her_walk_is_cut_no_action_is(walking, judge, mode, end):
    kept = {name: getattr(walking, name)[:end] for name in ("keypoints", "confidence", "boxes", "timestamps_s")}
    shorter = replace(walking, frame_indices=walking.frame_indices[:end], **kept)
    assert "ACTION_CUT_OFF" not in [issue.id for issue in judge(shorter, mode, height_m=1.65).recording]
