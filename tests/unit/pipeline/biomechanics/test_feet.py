"""A model that sees feet: they tell when they land and step; distances and angles stay those of ankles."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from cricketer import delivery, drive, pick_up, take
from cricketer.body import KEYPOINT, Body
from cricketer.camera import Camera
from cricketer.clips import Clip, film
from cricketer.disturbances import hidden
from cricketer.feet import BIG_TOE, HEEL, Feet
from cricketer.noise import CLEAN, Noise

from inference.poses import COCO_17
from inference.skeletons import HALPE_26
from pipeline.biomechanics.events.contacts import Stretch, find_plants, fit_contact
from pipeline.biomechanics.measure import measure
from pipeline.biomechanics.motion import Motion, prepare
from pipeline.biomechanics.steps import find_steps

FEET = Feet(strike=22.0, flat_s=0.06, push=25.0)
MAKERS = {
    "bowling": lambda: delivery.deliver(Body(), delivery.Technique(feet=FEET)),
    "batting": lambda: drive.drive(Body(), drive.Technique(feet=replace(FEET, turn=-60.0))),
    "wicketkeeping": lambda: take.take(Body(), take.Technique(feet=FEET)),
    "fielding": lambda: pick_up.pick_up(Body(), pick_up.Technique(feet=FEET)),
}


@cache
def clip(mode: str, view: str, fps: float = 120.0, noise: Noise = CLEAN) -> Clip:
    """Square, level and far away, 400 pixels tall."""
    movement = MAKERS[mode]()
    lens = Camera(view=view, distance=3456.0, focal=3.6, target=movement.centre)
    return film([movement], view, fps, np.random.default_rng(3), noise=noise, camera=lens)


def without_feet(one: Clip) -> Clip:
    return replace(one, poses=one.poses.only(COCO_17))


def motion_of(one: Clip) -> Motion:
    return prepare(one.poses, 1.0, constant_view=True, in_plane=True)


def test_a_foot_stands_on_the_end_that_landed_first_and_leaves_over_its_toes() -> None:
    """Truth of the figure itself: the sole's end that stands does not move, and flat the foot lies as it does."""
    one = MAKERS["bowling"]()
    contact = one.events["front_foot_contact"]
    times = contact + np.array([0.002, 0.03, 0.058, 0.08, 0.2])
    ankle, heel, toe = (one.pose(times)[:, KEYPOINT[f"left_{name}"]] for name in ("ankle", "heel", "big_toe"))
    assert np.ptp(heel[:, [0, 2]], axis=0).max() < 0.4, "the heel's keypoint, 0.9 above the point that stands"
    assert np.ptp(ankle[:, 0]) == pytest.approx(4 - 4 * np.cos(np.radians(22)) + 3.9 * np.sin(np.radians(22)), abs=0.1)
    assert (heel - ankle)[-1] == pytest.approx(HEEL)
    assert (toe - ankle)[-1] == pytest.approx((BIG_TOE[0], -BIG_TOE[1], BIG_TOE[2])), "inwards is to the right"
    backwards = one.pose(np.array([one.events["back_foot_contact"] + 0.110]))[0]
    assert backwards[KEYPOINT["right_heel"], 2] > backwards[KEYPOINT["right_big_toe"], 2] + 2, "the heel is up"


def test_seventeen_keypoints_get_the_same_noise_with_feet_and_without() -> None:
    """So that the two rows of `science.py errors --skeleton halpe-26` differ by the feet alone."""
    times = np.arange(90) / 60
    picture = clip("bowling", "side", 60.0).poses.keypoints[:90].astype(float)
    noise, size = Noise(mirrored=0.2), np.full(90, 400.0)
    for side_view in (True, False):
        (with_them, sure), (alone, surely) = (
            noise.add(points, size, times, np.random.default_rng(2), side_view=side_view)
            for points in (picture, picture[:, :17])
        )
        assert np.array_equal(with_them[:, :17], alone)
        assert np.array_equal(sure[:, :17], surely)


@pytest.mark.parametrize(("mode", "view"), [("wicketkeeping", "side"), ("wicketkeeping", "front"), ("batting", "front"),
                                            ("bowling", "behind"), ("fielding", "front")])  # fmt: skip
def test_where_no_contact_is_read_every_number_is_the_same_as_without_feet(mode: str, view: str) -> None:
    one = clip(mode, view, 60.0, Noise(mirrored=0.05))
    assert one.poses.skeleton == HALPE_26
    measured, plain = (measure(each.poses, each.context) for each in (one, without_feet(one)))
    assert measured.metrics == plain.metrics
    assert [each.metrics for each in measured.repetitions] == [each.metrics for each in plain.repetitions]


def test_the_size_that_all_lengths_are_shares_of_is_that_of_the_same_chain() -> None:
    one = clip("fielding", "side", 60.0, Noise())
    assert np.array_equal(motion_of(one).stature, motion_of(without_feet(one)).stature)


@pytest.mark.parametrize("fps", [60.0, 120.0])
@pytest.mark.parametrize(("mode", "event"), [("bowling", "front_foot_contact"), ("batting", "front_foot_plant")])
def test_a_heel_that_lands_first_is_met_better_than_by_its_ankle(mode: str, event: str, fps: float) -> None:
    """The ankle turns about the heel by 2 % of height for 0.06 s after contact, and seems to land later."""
    one = clip(mode, "side", fps)
    true = one.starts[0] + one.movements[0].events[event]
    late = [1000 * (contact_near(motion_of(each), true) - true) for each in (one, without_feet(one))]
    assert abs(late[0]) < abs(late[1])
    assert abs(late[0]) < {"bowling": 4.0, "batting": 12.0}[mode]


def test_a_contact_is_where_ankle_and_heel_stop_together(figures) -> None:
    """Both stop at 1.0 s, between frames; 1.5 % of height of white noise on the ankle alone, six times."""
    times = np.arange(120) / 60 + 0.0043
    points = np.repeat(with_heels(figures.walker(60.0, seconds=2.0).film().keypoints[:1]), len(times), axis=0)
    swing = 400.0 * np.clip(times - 1.0, -0.4, 0.0)
    for joint in ("left_ankle", "left_heel"):
        points[:, HALPE_26.index(joint), 1] -= swing
    still = replace(figures.pose_sequence(points[:, :17], times), keypoints=points.astype(np.float32),
                    confidence=np.full(points.shape[:2], 0.9, np.float32), skeleton=HALPE_26)  # fmt: skip
    off = np.zeros((6, 2))
    for seed in range(len(off)):
        shaken = still.keypoints.copy()
        shaken[:, HALPE_26.index("left_ankle")] += np.random.default_rng(seed).normal(0, 8.0, (len(times), 2))
        poses = replace(still, keypoints=shaken)
        for i, each in enumerate((poses, poses.only(COCO_17))):
            motion = prepare(each, 1.0, constant_view=True)
            off[seed, i] = fit_contact(motion, "left", Stretch(first=60, last=119))[0] - 1.0
    both, alone = np.sqrt(np.mean(off**2, axis=0))
    assert both < 0.7 * alone
    assert both < 0.01


def test_a_foot_on_its_toes_still_stands() -> None:
    one = clip("bowling", "side")
    true_off = one.starts[0] + one.movements[0].events["back_foot_contact"] + 34 / 290
    ends = []
    for each in (one, without_feet(one)):
        motion = motion_of(each)
        ends.append(max(float(motion.times_s[plant.last]) for plant in find_plants(motion, "right", along=False)
                        if motion.times_s[plant.first] < true_off))  # fmt: skip
    assert ends[1] + 0.01 < ends[0] <= true_off + 0.01


def test_steps_are_found_by_the_whole_foot() -> None:
    """A foot's middle comes 4 % of height farther forward than its ankle; the moments stay those of the steps."""
    one = clip("bowling", "side", 60.0, Noise())
    found = [[step.time_s for step in find_steps(motion_of(each), 1)] for each in (one, without_feet(one))]
    assert len(found[0]) > len(found[1])
    true = one.starts[0] + np.array([*one.movements[0].steps, *one.movements[0].events.values()])
    assert max(np.abs(true - time_s).min() for time_s in found[0]) < 0.08


def test_a_foot_is_what_is_seen_of_it_throughout() -> None:
    one = clip("bowling", "side", 60.0)
    whole = motion_of(one)
    assert whole.foot == {side: tuple(f"{side}_{part}" for part in ("ankle", "big_toe", "small_toe", "heel"))
                          for side in ("left", "right")}  # fmt: skip
    barefoot = motion_of(without_feet(one))
    assert barefoot.foot == {"left": ("left_ankle",), "right": ("right_ankle",)}
    foot, ankle = barefoot.point("left_foot", "contact"), barefoot.point("left_ankle", "contact")
    assert np.array_equal(foot.path, ankle.path, equal_nan=True)
    assert (foot.sigma, foot.slow.tolist()) == (ankle.sigma, ankle.slow.tolist())
    half = motion_of(hidden(one, ("left_heel", "right_small_toe"), start_s=1.0))
    assert half.foot == {"left": ("left_ankle", "left_big_toe", "left_small_toe"),
                         "right": ("right_ankle", "right_big_toe", "right_heel")}  # fmt: skip
    assert whole.point("left_foot").slow[0] == ankle.slow[0], "a foot drifts as a whole: it is no surer than its ankle"


def test_a_heel_that_is_not_seen_leaves_the_ankle_alone() -> None:
    one = clip("bowling", "side")
    lame = hidden(one, ("left_heel", "right_heel"))
    true = one.starts[0] + one.movements[0].events["front_foot_contact"]
    motions = motion_of(lame), motion_of(without_feet(one))
    stand = plant_near(motions[1], true)
    assert fit_contact(motions[0], "left", stand) == fit_contact(motions[1], "left", stand)


def plant_near(motion: Motion, time_s: float) -> Stretch:
    """The left foot's stand that begins nearest to a moment."""
    plants = find_plants(motion, "left", along=False)
    return min(plants, key=lambda plant: abs(motion.times_s[plant.first] - time_s))


def contact_near(motion: Motion, time_s: float) -> float:
    return fit_contact(motion, "left", plant_near(motion, time_s))[0]


def with_heels(points: np.ndarray) -> np.ndarray:
    """(T, 26, 2) with toes and heels about the ankles of (T, 17, 2)."""
    more = np.repeat(points[:, 15:17], 5, axis=1)[:, :9]
    ankles = np.stack([points[:, 15 + side] for side in (0, 1) * 3], axis=1)
    more[:, 3:] = ankles + np.repeat(np.array([(40.0, 12.0), (35.0, 12.0), (-15.0, 12.0)]), 2, axis=0)
    return np.concatenate([points, more], axis=1)
