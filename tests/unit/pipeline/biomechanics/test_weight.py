"""The body's centre over the feet, against sums done by hand."""

import numpy as np
import pytest

from pipeline.biomechanics import kinematics

NAMES = ("head", "shoulders", "hips", *(f"{side}_{joint}" for side in ("left", "right")
         for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")))  # fmt: skip


def test_the_masses_are_the_whole_body():
    one = kinematics.UPPER_ARM + kinematics.FOREARM + kinematics.THIGH + kinematics.SHANK
    assert kinematics.HEAD + kinematics.TRUNK + 2 * one == pytest.approx(1.0, abs=1e-9)


def test_a_body_on_a_plumb_line_has_its_centre_there_and_a_bowed_one_by_its_masses():
    plumb = {name: np.array([7.0]) for name in NAMES}
    assert kinematics.compute_centre(plumb, "right") == pytest.approx(7.0)
    # Head 10 ahead: 0.081 × 10. Shoulders 10 ahead: half of the trunk's 0.497 × 10. Near arm hangs from the shoulder.
    bowed = plumb | {name: np.array([17.0]) for name in ("head", "shoulders", "right_shoulder", "right_elbow",
                                                         "right_wrist")}  # fmt: skip
    assert kinematics.compute_centre(bowed, "right") == pytest.approx(7 + 0.81 + 2.485 + 1.0)


@pytest.mark.parametrize("fps", [30.0, 60.0, 120.0])
def test_a_batter_who_moves_onto_the_front_foot(figures, judge, fps):
    """Legs move with the base: the share is that of trunk, head and arms over hips 10 further."""
    times = np.arange(round(fps * 3.2)) / fps
    ease, column = figures.ease, figures.column
    hips = ease(times, [(1.5, 0.0), (1.9, 10.0)])  # the feet stand at -20 and 20
    hand = ease(times, [(1.3, 48.0), (1.65, 80.0), (1.85, 76.0), (2.15, 45.0), (2.6, 85.0)])
    swing = ease(times, [(1.3, 5.0), (1.65, -20.0), (1.85, -16.0), (2.15, 36.0), (2.6, 40.0)])
    figure = figures.build(
        times, hips=column(hips, 0.0, 40.0), lean=np.zeros(len(times)), tilt=np.zeros(len(times)),
        ankles=(column(20.0, 5.0, 3.9), column(-20.0, -5.0, 3.9)),
        wrists=(column(swing, 2.0, hand), column(swing, -2.0, hand)),
    )  # fmt: skip
    knees = {side: figure.joints[:, 13 + i, 0] for i, side in enumerate(("left", "right"))}
    stance, impact = np.flatnonzero(times < 1.3)[-1], np.flatnonzero(times <= 2.05)[-1]
    legs = [sum((0.1 * (1 - 0.433) * hips[i] + (0.1 * 0.433 + 0.061 * (1 - 0.606)) * knees[s][i]) for s in knees)
            for i in (stance, impact)]  # fmt: skip
    # An elbow lies 45 % of the way back from the wrist to the shoulder (`build`), so a hand carries
    # 0.436 × 0.55 of the upper arm and 0.318 × 0.55 + 0.682 of the forearm along; the shoulder the rest.
    hand_part = 2 * (0.028 * 0.436 * 0.55 + 0.022 * (0.318 * 0.55 + 0.682))
    arms = (2 * 0.05 - hand_part) * 10.0 + hand_part * (np.median(swing[(times >= 1.9) & (times <= 2.1)]) - 5.0)
    moved = ((0.081 + 0.497) * 10.0 + arms + legs[1] - legs[0]) / 40.0  # the ankles stay
    metric = judge(figure.film(), "batting", handedness="right").metrics["weight_transfer"]
    assert metric.value == pytest.approx(moved, abs=0.01)
    assert metric.sys == pytest.approx(np.sqrt(2) * np.sqrt(1.2**2 + 2 * 2**2) / 40, abs=0.005)
    mirrored = judge(figure.film(yaw=180.0), "batting", handedness="right").metrics["weight_transfer"]
    assert mirrored.value == pytest.approx(moved, abs=0.015)


def test_feet_too_close_or_seen_along_the_pitch_give_none(figures, judge):
    poses = figures.batter(60.0).film(view="front")
    assert judge(poses, "batting", view="front", handedness="right").metrics["weight_transfer"].value is None
    figure = figures.batter(60.0)
    figure.joints[:, 15, 0] -= 18.0  # the stance is 12 wide
    close = judge(figure.film(), "batting", handedness="right").metrics["weight_transfer"]
    assert "too close together at stance" in (close.reason or "")
    assert close.advice is None  # it was filmed from the side, and a narrow stance stays one
