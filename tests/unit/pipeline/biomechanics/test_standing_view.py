"""The view of batters and keepers whom nobody said anything about."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from cricketer import drive, take
from cricketer.body import KEYPOINT, Body
from cricketer.camera import Camera, sequence
from cricketer.clips import film, measure_openly
from cricketer.noise import CLEAN

from models.documents import ViewDocument
from pipeline.biomechanics.motion import prepare
from pipeline.biomechanics.standing_view import Gaze, decide_standing_view, name_view, read_gaze
from pipeline.biomechanics.view import Travel, compute_travel

MOVEMENTS = {
    "batting": drive.drive(Body(), drive.Technique()),
    "wicketkeeping": take.take(Body(), take.Technique()),
}
UNKNOWN = ViewDocument(value=None, source="unknown", confidence=0.0)
EVERY = [(mode, view) for mode in MOVEMENTS for view in ("side", "front", "behind")]


@cache
def clip(mode, view, yaw=0.0):
    lens = Camera(view=view, yaw=yaw, distance=3456.0, focal=3.6)
    made = film([MOVEMENTS[mode]], view, 30.0, np.random.default_rng(0), noise=CLEAN, camera=lens)
    return replace(made, context=replace(made.context, view=UNKNOWN))


def decide(mode, poses, given=UNKNOWN):
    motion = prepare(poses, 1.0, constant_view=False)
    return decide_standing_view(given, compute_travel(motion, poses.frame_size), motion, mode)


def without(poses, *names):
    points = poses.keypoints.astype(float).copy()
    points[:, [KEYPOINT[name] for name in names]] = np.nan
    return sequence(points, poses.timestamps_s)


@pytest.mark.parametrize(("mode", "view"), EVERY)
@pytest.mark.parametrize("yaw", [0.0, 15.0])
def test_the_view_of_who_waits_is_seen(mode, view, yaw):
    decided = decide(mode, clip(mode, view, yaw).poses)
    assert (decided.value, decided.source) == (view, "estimate")
    assert 0.1 <= decided.confidence <= 0.9


@pytest.mark.parametrize("mode", MOVEMENTS)
@pytest.mark.parametrize(("view", "yaw"), [("side", 47.0), ("front", 43.0), ("behind", -43.0)])
def test_an_oblique_camera_leaves_it_open(mode, view, yaw):
    assert decide(mode, clip(mode, view, yaw).poses) == UNKNOWN


def test_the_callers_word_stands_whatever_is_seen():
    said = ViewDocument(value="front", source="caller", confidence=1.0)
    assert decide("batting", clip("batting", "side").poses, said) == said


@pytest.mark.parametrize(("mode", "other"), [("batting", "wicketkeeping"), ("wicketkeeping", "batting")])
def test_head_and_body_that_contradict_each_other_leave_it_open(mode, other):
    """A keeper's feet beside each other are no batter's, nor a batter's shoulders along the pitch a keeper's."""
    assert decide(other, clip(mode, "side").poses) == UNKNOWN


@pytest.mark.parametrize("mode", MOVEMENTS)
def test_who_hardly_waits_or_shows_no_head_is_left_open(mode):
    poses = clip(mode, "side").poses
    few = sequence(poses.keypoints[:12].astype(float), poses.timestamps_s[:12])
    assert decide(mode, few) == UNKNOWN
    assert decide(mode, without(poses, "nose", "left_ear", "right_ear")) == UNKNOWN


def test_who_travels_is_neither_batter_nor_keeper():
    motion = prepare(clip("batting", "side").poses, 1.0, constant_view=False)
    ways = [Travel(across=way, away=0.0) for way in (1.4, 1.6)]
    assert [decide_standing_view(UNKNOWN, way, motion, "batting").value for way in ways] == ["side", None]


@pytest.mark.parametrize(("angle", "name"), [(35.0, "side"), (36.0, None), (59.0, None), (60.0, "behind")])
def test_between_35_and_60_degrees_a_view_has_no_name(angle, name):
    assert name_view(Gaze(angle=angle, towards=False)) == name


@pytest.mark.parametrize(("hidden", "angle"), [(("left_ear",), 0.0), (("nose",), 90.0)])
def test_an_ear_behind_the_head_tells_a_profile_and_two_without_a_nose_its_back(hidden, angle):
    poses = clip("batting", "side" if angle == 0 else "behind").poses
    motion = prepare(without(poses, *hidden), 1.0, constant_view=False)
    gaze = read_gaze(motion, np.ones(len(motion.times_s), dtype=bool))
    assert gaze is not None
    assert (gaze.angle, gaze.towards) == (pytest.approx(angle, abs=1e-6), False)


def test_an_ear_that_is_seen_now_and_then_does_not_turn_the_head():
    """So the model draws a profile: in the few frames with a far ear, it is anywhere."""
    poses = without(clip("batting", "side").poses, "left_ear")
    points = poses.keypoints.astype(float)
    shown = np.arange(len(points)) // 6 % 5 == 0
    points[shown, KEYPOINT["left_ear"]] = points[shown, KEYPOINT["right_ear"]] + 30.0
    motion = prepare(sequence(points, poses.timestamps_s), 1.0, constant_view=False)
    gaze = read_gaze(motion, np.ones(len(motion.times_s), dtype=bool))
    assert gaze is not None
    assert gaze.angle == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("mode", "view"), EVERY)
def test_an_estimate_gives_the_callers_numbers_and_degrades_what_depends_on_it(mode, view):
    free = clip(mode, view)
    said = replace(free, context=replace(free.context, view=ViewDocument(value=view, source="caller", confidence=1.0)))
    (ours, _), (theirs, _) = measure_openly(free), measure_openly(said)
    depends = {"side": "head_forward_impact", "front": "head_sideways_plant", "behind": "head_sideways_plant"}
    keeping = {"side": "crouch_knee_angle", "front": "crouch_tilt", "behind": "crouch_tilt"}
    for name in ((depends if mode == "batting" else keeping)[view], {"batting": "head_steadiness"}.get(
        mode, "hand_height_ready")):  # fmt: skip
        guessed = ours.metrics[name]
        assert guessed.value == theirs.metrics[name].value is not None
        assert guessed.status == "degraded"
        assert "estimate" in (guessed.reason or "")
        assert "--view" in (guessed.advice or "")
