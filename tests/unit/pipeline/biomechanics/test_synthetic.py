"""Whole synthetic movements: every metric beside its truth, under every disturbance that a recording has."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from cricketer import delivery, drive, pick_up, take
from cricketer.body import KEYPOINT, Body
from cricketer.camera import Camera
from cricketer.catalogue import random_movement
from cricketer.clips import Clip, Judged, film, judge
from cricketer.disturbances import with_points
from cricketer.noise import CLEAN, Noise
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.biomechanics.kinematics import compute_joint_angle, compute_tilt
from pipeline.biomechanics.motion import prepare

MAKERS = {
    "bowling": lambda: delivery.deliver(Body(), delivery.Technique()),
    "batting": lambda: drive.drive(Body(), drive.Technique()),
    "wicketkeeping": lambda: take.take(Body(), take.Technique()),
    "fielding": lambda: pick_up.pick_up(Body(), pick_up.Technique(lean=50.0)),
}
VIEWS = {"bowling": "behind", "batting": "front", "wicketkeeping": "front", "fielding": "front"}
EVERY = [(mode, view) for mode in MAKERS for view in ("side", VIEWS[mode])]
MUST: dict[tuple[str, str], str] = {
    ("bowling", "side"): "front_knee_angle_contact front_knee_min front_knee_angle_release front_hip_flexion_contact "
    "trunk_flexion_change bowling_arm_angle_contact run_up_speed run_up_speed_ratio stride_length release_height "
    "delivery_time cadence step_length trunk_lean",
    ("bowling", "behind"): "head_sideways_contact foot_line_offset trunk_lateral_flexion_release",
    ("batting", "side"): "head_forward_plant head_forward_impact head_steadiness plant_before_impact base_width "
    "front_knee_angle_impact",
    ("batting", "front"): "head_sideways_plant trunk_lateral_flexion_plant head_steadiness",
    ("wicketkeeping", "side"): "crouch_knee_angle crouch_hip_angle crouch_depth hand_height_ready head_steadiness",
    ("wicketkeeping", "front"): "crouch_tilt crouch_depth hand_height_ready head_steadiness",
    ("fielding", "side"): "approach_speed pick_up_speed_ratio hip_height_pick_up",
    ("fielding", "front"): "head_outside_feet_pick_up trunk_lateral_flexion_pick_up",
}
"""What must come out at 120 frames a second without noise."""


@cache
def movement(mode: str):
    return MAKERS[mode]()


def clip(mode: str, view: str, fps: float = 60.0, *, noise: Noise = CLEAN, seed: int = 0, **camera: float) -> Clip:
    """Square, level and far away, 400 pixels tall."""
    own = movement(mode)
    where = {"distance": 3456.0, "focal": 3.6, "target": own.centre, **camera}
    lens = Camera(view=view, **where)
    return film([own], view, fps, np.random.default_rng(seed), noise=noise, camera=lens)


@cache
def plain(mode: str, view: str, fps: float = 60.0) -> Judged:
    return judge(clip(mode, view, fps))


def numbers(judged: Judged) -> dict[str, float]:
    metrics = judged.measurements.metrics.items()
    return {name: metric.value for name, metric in metrics if isinstance(metric.value, float)}


@pytest.mark.parametrize(("mode", "view"), EVERY)
def test_without_noise_every_metric_is_within_its_error_and_none_is_missing(mode, view):
    judged = plain(mode, view, 120.0)
    assert (judged.found, judged.false) == (1, 0)
    assert set(MUST[mode, view].split()) <= {read.metric for read in judged.reads}
    for read in judged.reads:
        assert abs(read.value - read.truth) <= 1.2 * read.expected, read


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0, 240.0])
@pytest.mark.parametrize(("mode", "view"), [("bowling", "side"), ("wicketkeeping", "front")])
def test_at_every_rate_a_number_is_within_two_errors_or_is_not_given(mode, view, fps):
    judged = plain(mode, view, fps)
    assert (judged.found, judged.false) == (1, 0)
    for read in judged.reads:
        assert abs(read.value - read.truth) <= 2 * read.expected, read


@pytest.mark.parametrize("mode", ["batting", "wicketkeeping", "fielding"])
def test_short_gaps_change_little_and_are_counted_exactly(mode):
    one = clip(mode, "side")
    confidence = one.poses.confidence.copy()
    short, long = KEYPOINT["left_elbow"], KEYPOINT["right_elbow"]
    confidence[20:25, short], confidence[20:45, long] = 0.1, 0.1  # 0.08 s is bridged, 0.4 s is not
    gapped = with_points(one, one.poses.keypoints, confidence)
    motion = prepare(gapped.poses, 1.0, constant_view=True)
    whole = prepare(one.poses, 1.0, constant_view=True)
    for joint, lost, holes in ((short, 5, 0), (long, 25, 25)):
        assert whole.trusted[:, joint].sum() - motion.trusted[:, joint].sum() == lost
        assert np.isnan(motion.bands["contact"][:, joint, 0]).sum() == holes
    same = numbers(judge(gapped))
    for name, value in numbers(plain(mode, "side")).items():
        if "elbow" not in name:
            assert same[name] == pytest.approx(value, abs=0.02), name


@pytest.mark.parametrize("name", ["head_sideways_contact", "foot_line_offset", "trunk_lateral_flexion_release"])
def test_a_phone_behind_the_net_shows_what_its_rules_judge(name):
    reads = [read for one in from_behind_at_30() for read in one.reads if read.metric == name]
    assert len(reads) >= 10
    assert sum(abs(read.value - read.truth) <= 2 * read.expected for read in reads) >= len(reads) - 1


@cache
def from_behind_at_30() -> list[Judged]:
    """Twelve random bowlers, each by a random camera, with the model's own noise."""
    judged = []
    for athlete in range(12):
        rng = np.random.default_rng([2026, athlete])
        judged.append(
            judge(film([random_movement("bowling", rng)], "behind", 30.0, rng, noise=Noise(mirrored=0.05), yaw=10.0))
        )
    return judged


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.floats(-100, 100), min_size=6, max_size=6))
def test_angles_are_those_of_sports2d(flat):
    """Sports2D's published definitions: a joint angle is the signed angle (atan2 of determinant and dot product) from
    distal to proximal segment at the joint; knee flexion is that plus its offset of -180°; the trunk is the angle of
    the line hips → shoulders with the horizontal."""
    hip, knee, ankle = np.array(flat).reshape(3, 2)
    one, two = ankle - knee, hip - knee
    if min(np.linalg.norm(one), np.linalg.norm(two), np.linalg.norm(hip - ankle)) < 1:
        return
    signed = np.degrees(np.arctan2(one[0] * two[1] - one[1] * two[0], one @ two))
    flexion = (signed + 180) % 360 - 180  # into -180..180
    flexion = 180 - abs(flexion)
    assert 180 - float(compute_joint_angle(hip, knee, ankle)) == pytest.approx(flexion, abs=0.5)
    horizontal = np.degrees(np.arctan2(*(hip - ankle)[::-1]))
    upright = (90 - float(compute_tilt(hip, ankle)) + 180) % 360 - 180
    assert (upright - horizontal + 180) % 360 - 180 == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("ratio", [0.95, 0.4])
def test_a_speed_of_who_slows_down_is_the_less_certain_the_more_hangs_on_its_last_step(ratio):
    own = pick_up.pick_up(Body(), pick_up.Technique(ratio=ratio))
    lens = Camera(view="side", distance=3456.0, focal=3.6, target=own.centre)
    one = film([own], "side", 60.0, np.random.default_rng(0), noise=CLEAN, camera=lens)
    (read,) = (read for read in judge(one).reads if read.metric == "approach_speed")
    step_s = float(np.median(np.diff(own.steps)))
    first, last = own.steps[-5] - step_s / 2, own.steps[-1] - step_s / 2
    half_a_step_off = (
        abs(own.speed(first, last) - own.speed(first + step_s, last + step_s)) / 2 * own.body.height_m / 100
    )
    assert abs(read.value - read.truth) < read.expected
    assert read.expected > half_a_step_off / np.sqrt(3)
    assert (half_a_step_off > 0.2) == (ratio < 0.5)  # so the test would miss an error that does not know of it


def test_a_second_pick_up_has_an_approach_of_its_own():
    """Within five seconds of it lie the steps to the one before, and the way back between them."""
    balls, seen = [movement("fielding")] * 3, np.random.default_rng(0)
    lens = Camera(view="side", distance=3456.0, focal=3.6, target=balls[0].centre)
    judged = judge(film(balls, "side", 60.0, seen, noise=CLEAN, camera=lens))
    found = judged.measurements.repetitions
    assert len(found) == 3
    assert all(one.end_s <= other.start_s for one, other in pairwise(found))
    reads = [read for read in judged.reads if read.metric == "approach_speed"]
    assert len(reads) == 3
    assert all(abs(read.value - read.truth) < 2 * read.expected for read in reads)
