"""Arm, hand and direction: what is true comes out, mirrored as the clip is, and what is not clear is not claimed."""

from dataclasses import replace

import numpy as np
import pytest

from inference.poses import COCO_17
from pipeline.biomechanics.detected import SURE_MAX


def mirrored(poses):
    order = list(range(17))
    for left, right in COCO_17.left_right:
        order[left], order[right] = right, left
    points, boxes = poses.keypoints[:, order].copy(), poses.boxes.copy()
    points[..., 0] = poses.frame_size[0] - points[..., 0]
    boxes[:, [0, 2]] = poses.frame_size[0] - poses.boxes[:, [2, 0]]
    return replace(poses, keypoints=points, boxes=boxes)


def said(measured):
    return {name: (found.value, found.source) for name, found in measured.detected.items()}


@pytest.mark.parametrize(("mode", "figure"), [("bowling", "bowler"), ("batting", "batter")])
def test_the_hand_and_the_direction_are_found_and_mirrored_with_the_clip(figures, judge, mode, figure):
    poses = getattr(figures, figure)(60.0).film()
    plain, turned = judge(poses, mode), judge(mirrored(poses), mode)
    assert said(plain) == {"handedness": ("right", "estimate"), "direction": ("right", "estimate")}
    assert said(turned) == {"handedness": ("left", "estimate"), "direction": ("left", "estimate")}
    for name, found in plain.detected.items():
        assert 0.5 < found.confidence <= SURE_MAX
        assert turned.detected[name].confidence == pytest.approx(found.confidence, abs=0.02)


def test_the_caller_is_believed(figures, judge):
    measured = judge(figures.bowler(60.0).film(), "bowling", handedness="right")
    assert said(measured)["handedness"] == ("right", "caller")
    along = judge(figures.bowler(60.0).film(view="behind"), "bowling", view="behind")
    assert said(along) == {"handedness": ("right", "estimate"), "direction": ("away", "caller")}
    front = judge(figures.bowler(60.0).film(view="front"), "bowling", view="front")
    assert said(front)["direction"] == ("towards", "caller")


def test_a_direction_that_the_caller_gives_turns_what_is_measured_along_it(figures, judge):
    """Nobody can see which way a batter without nose and ears looks: forward is where the caller says."""
    poses = figures.batter(60.0).film()
    keypoints = poses.keypoints.copy()
    keypoints[:, [0, 3, 4]] = np.nan  # nose and ears
    hidden = replace(poses, keypoints=keypoints)
    assert said(judge(hidden, "batting", handedness="right"))["direction"] == (None, "unknown")
    right, left = (judge(hidden, "batting", handedness="right", direction=way) for way in ("right", "left"))
    assert said(right)["direction"] == ("right", "caller")
    lean = [one.metrics["trunk_lean"].value for one in (right, left)]
    assert lean[0] == pytest.approx(-lean[1], abs=0.2)
    assert abs(lean[0]) > 1


def test_who_does_nothing_has_no_hand(figures, judge):
    assert said(judge(figures.walker(30.0).film(), "bowling"))["handedness"] == (None, "unknown")


def test_two_feet_that_move_alike_leave_the_hand_open_and_what_hangs_on_it_degraded(figures, judge):
    figure = figures.batter(60.0)
    figure.joints[:, 16] += (figure.joints[:, 15] - figure.joints[:1, 15]) * np.array([-0.9, 0.0, 0.9])
    measured = judge(figure.film(), "batting")
    assert measured.detected["handedness"].confidence < 0.2
    knee = measured.metrics["front_knee_angle_impact"]
    assert (knee.status, "--handedness" in (knee.advice or "")) == ("degraded", True)
    told = judge(figure.film(), "batting", handedness="right").metrics["front_knee_angle_impact"]
    assert told.status == "measurable"
