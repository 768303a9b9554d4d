"""Poses made by hand whose agreement is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import reports
from comparing import POSES, TIMES, exchanged, extraction

from inference.poses import PoseSequence
from pipeline.comparison.agreement import agreement, compute_iou, compute_oks


def beside(other: PoseSequence):
    return agreement(extraction(POSES), extraction(other))


def test_the_same_poses_agree_wholly():
    same = beside(POSES)
    assert (same.oks, same.oks_p5, same.both, same.mirrored_against, same.other_person) == (1.0, 1.0, 30, 0, 0)
    assert {joint.distance_pct for joint in same.joints.values()} == {0.0}
    assert (same.jitter_a_pct, same.jitter_b_pct) == (0.0, 0.0)


def test_a_nose_two_pixels_off_has_the_similarity_of_the_formula():
    """Box 30 × 64: s² = 0.53 · 1920 = 1017.6; k = 0.052; exp(-4 / (2 · 1017.6 · 0.002704)) = 0.4834."""
    points = POSES.keypoints.copy()
    points[:, 0, 0] += 2
    assert compute_oks(POSES, replace(POSES, keypoints=points))[:, 0] == pytest.approx(0.4834, abs=1e-4)
    off = beside(replace(POSES, keypoints=points))
    assert (off.joints["nose"].oks, off.joints["left_hip"].oks) == (0.4834, 1.0)
    assert off.oks == pytest.approx((16 + 0.4834) / 17, abs=1e-4)


def test_frames_with_left_and_right_exchanged_are_counted():
    assert beside(exchanged(slice(0, 30))).mirrored_against == 30
    some = beside(exchanged(slice(10, 13)))
    assert some.mirrored_against == 3
    assert (some.a.mirrored, some.b.mirrored) == (0, 3)


def test_who_is_not_seen_is_not_compared():
    fewer = beside(reports.poses(TIMES, unseen=[3, 4]))
    assert (fewer.a.seen, fewer.b.seen, fewer.both, fewer.oks) == (30, 28, 28, 1.0)
    nobody = beside(reports.poses(TIMES, unseen=range(30)))
    assert (nobody.both, nobody.oks, nobody.joints) == (0, None, {})


def test_another_person_is_noticed():
    assert beside(reports.poses(TIMES, box=(5, 16, 35, 80))).other_person == 30


def test_noise_is_measured_in_percent_of_stature():
    """White noise of 1 px each way: the median length of such a vector is √(2 ln 2) = 1.18 px."""
    steady = reports.poses([n / 30 for n in range(600)], size=(1280, 960), box=(100, 100, 300, 700))
    noise = np.random.default_rng(1).normal(0, 1, steady.keypoints.shape).astype(np.float32)
    shaken = replace(steady, keypoints=steady.keypoints + noise)
    found = agreement(extraction(steady), extraction(shaken))
    assert found.jitter_a_pct == 0
    assert found.jitter_b_pct is not None
    assert 0.12 < found.jitter_b_pct < 0.25


def test_boxes_that_share_a_third():
    one, other = np.array([[0, 0, 10, 10], [5, 0, 15, 10]], np.float32)[:, None]
    assert compute_iou(one, other).tolist() == [pytest.approx(1 / 3)]


def test_only_frames_that_both_looked_at_are_compared():
    """Rows are matched by frame: the other's first row is this one's second."""
    later = beside(reports.poses(TIMES, indices=range(1, 31), unseen=[0]))
    assert (later.frames, later.a.seen, later.b.seen) == (29, 29, 28)
    with pytest.raises(ValueError, match="other frames"):
        beside(reports.poses(TIMES, indices=range(30, 60)))


def test_models_of_two_skeletons_are_compared_in_what_both_have():
    mixed = beside(reports.with_feet(POSES))
    assert (mixed.oks, set(mixed.joints)) == (1.0, set(POSES.skeleton.keypoint_names))


def test_feet_of_two_models_are_compared_too():
    """Heels 2 px apart: exp(-4 / (2 · 1017.6 · (2 · 0.089)²)) = 0.9398 in two of 26."""
    one = reports.with_feet(POSES)
    points = one.keypoints.copy()
    points[:, [24, 25], 0] += 2
    found = agreement(extraction(one), extraction(replace(one, keypoints=points)))
    assert found.joints["left_heel"].oks == pytest.approx(0.9398, abs=1e-4)
    assert found.oks == pytest.approx((24 + 2 * 0.9398) / 26, abs=1e-4)
    assert beside(POSES).jitter_a_pct == agreement(extraction(one), extraction(one)).jitter_a_pct
