"""The camera's roll from a runner's footprints, and the lean of the trunk that it would falsify."""

from functools import cache

import numpy as np
import pytest
from cricketer import delivery
from cricketer.body import Body
from cricketer.camera import Camera
from cricketer.clips import film, measure_openly
from cricketer.noise import CLEAN

from pipeline.biomechanics import errors
from pipeline.biomechanics.ground import find_line
from pipeline.biomechanics.motion import prepare
from pipeline.biomechanics.roll import UNKNOWN, estimate_roll
from pipeline.biomechanics.steps import find_steps

BOWLER = delivery.deliver(Body(), delivery.Technique())


@cache
def clip(roll=0.0, yaw=0.0, height=80.0):
    lens = Camera(view="side", roll=roll, yaw=yaw, height=height, distance=1300.0, focal=0.9, target=(-150.0, 0.0))
    return film([BOWLER], "side", 60.0, np.random.default_rng(0), noise=CLEAN, camera=lens)


def seen(**camera):
    poses = clip(**camera).poses
    motion = prepare(poses, 1.0, constant_view=True, in_plane=True)
    return motion, find_steps(motion, 1), find_line(motion, poses.frame_size)


@pytest.mark.parametrize("roll", [-3.0, 0.0, 3.0])
@pytest.mark.parametrize("yaw", [-20.0, 0.0, 20.0])
def test_footprints_show_the_roll_whatever_the_way_does_in_perspective(roll, yaw):
    """A camera that is turned clockwise shows level ground falling to the right."""
    found = estimate_roll(*seen(roll=roll, yaw=yaw))
    assert found.degrees == pytest.approx(-roll, abs=0.5)
    assert 0.1 < found.sys < 1.0


@pytest.mark.parametrize("height", [50.0, 110.0])
def test_a_lens_held_lower_or_higher_stays_within_two_errors(height):
    found = estimate_roll(*seen(roll=2.0, yaw=20.0, height=height))
    assert abs(found.degrees + 2.0) <= 2 * found.sys


def test_where_nothing_tells_it_two_degrees_stay():
    motion, steps, line = seen(roll=2.0)
    assert UNKNOWN.sys == errors.ROLL_SYS
    assert estimate_roll(motion, steps, None) == UNKNOWN
    assert estimate_roll(motion, steps[:3], line) == UNKNOWN
    close = [steps[0]] * 4
    assert estimate_roll(motion, close, line) == UNKNOWN


@pytest.mark.parametrize(("roll", "found"), [(7.5, -7.5), (8.5, 0.0)])
def test_what_slopes_by_more_than_8_degrees_is_no_level_ground(roll, found):
    motion, (_, steps, line) = seen(roll=roll)[0], seen()  # so far turned, not every step is in the picture
    assert estimate_roll(motion, steps, line).degrees == pytest.approx(found, abs=0.1)


def test_the_lean_of_the_trunk_is_that_of_a_level_camera():
    level, *turned = (measure_openly(clip(roll=roll))[0].metrics["trunk_lean"] for roll in (0.0, -3.0, 3.0))
    for metric in turned:
        assert metric.value == pytest.approx(level.value, abs=0.3)
        assert 4.0 < metric.sys < 4.2  # two keypoints' 4.0° at either end, and less than 1° of roll


def test_the_curve_of_the_lean_is_drawn_as_its_number_is_read():
    found = measure_openly(clip(roll=3.0))[0]
    (curve,) = (signal for signal in found.signals if signal.id == "trunk_lean")
    assert np.nanmedian(curve.values) == pytest.approx(found.metrics["trunk_lean"].value, abs=0.2)
