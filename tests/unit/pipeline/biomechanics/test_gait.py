"""Steps that were missed, moments and places of those that were found, and what a step adds to either."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.biomechanics.metrics.common import find_speed_span
from pipeline.biomechanics.motion import prepare
from pipeline.biomechanics.runs import UNCOUNTED, UNEVEN, count_steps, fit_steps, judge_run
from pipeline.biomechanics.steps import Step, compute_facing, find_passing, find_stand, find_steps, find_unseen_way


def run(*steps):
    return tuple(Step(side=side, index=i, time_s=time_s, half_width_s=0.067) for i, (side, time_s) in enumerate(steps))


@pytest.mark.parametrize(
    ("steps", "counts"),
    [
        ([("left", 0.0), ("right", 0.5), ("left", 1.1), ("right", 1.6)], [1, 1, 1]),
        (
            [("left", 0.0), ("right", 0.5), ("right", 1.6), ("left", 2.1)],
            [1, 2, 1],
        ),  # the left one in between was missed
        ([("left", 0.0), ("right", 0.5), ("right", 1.1), ("left", 1.6)], [1, 1, 1]),  # one foot taken for the other
        ([("left", 0.0), ("left", 1.1), ("left", 2.1)], [2, 2]),  # the other foot is out of sight
        ([("left", 0.0)], []),
    ],
)
def test_from_a_foot_to_itself_a_step_was_missed_unless_it_came_too_soon(steps, counts):
    assert count_steps(run(*steps)).tolist() == counts
    assert judge_run(run(*steps)) is None


def test_by_one_interval_from_foot_to_foot_nobody_can_tell_how_many_steps_were_missed():
    """Three steps of 0.25 s went by between the last two here, and one was missed between each of the others."""
    assert judge_run(run(("left", 0.3), ("left", 0.9), ("left", 1.5), ("right", 2.25))) == UNCOUNTED
    assert judge_run(run(("left", 0.3), ("left", 0.9), ("left", 1.5))) is None
    assert judge_run(run(("left", 0.3), ("right", 0.6))) is None


def test_steps_that_come_at_any_time_are_no_gait():
    assert judge_run(run(("left", 0.3), ("right", 0.6), ("left", 1.5))) == UNEVEN


def test_of_two_intervals_alone_one_may_hold_two_missed_steps():
    assert judge_run(run(("left", 0.65), ("right", 1.44), ("left", 1.81))) == UNCOUNTED
    assert judge_run(run(("left", 0.65), ("right", 1.17), ("left", 1.54))) is None


def test_what_a_step_adds_knows_missed_steps_and_feet_that_are_seen_apart():
    """Steps of 0.3 s whose left feet an oblique camera sees 0.04 s late; the fourth was missed, the sixth not timed."""
    sides = ("left", "right", "left", "left", "right")
    number = np.array([0, 1, 2, 4, 5])
    steps = run(*((side, 0.3 * i) for side, i in zip(sides, number, strict=True)))
    seen = np.array([True, True, True, True, False])
    times = 0.3 * number + 0.04 * np.array([side == "left" for side in sides])
    weights = fit_steps(steps, seen)
    assert weights @ times == pytest.approx(0.3, abs=1e-12)
    assert weights[~seen] == 0
    assert weights.sum() == pytest.approx(0.0, abs=1e-12)  # when the clip begins says nothing


def test_feet_are_passed_and_stand_when_and_where_they_do(figures):
    """A walker of 70 % of height a second whose feet stand 0.43 s: passed in the middle of that, a step every 0.6 s."""
    figure = figures.walker(60.0)
    motion = prepare(figure.film(), 1.0, constant_view=True)
    facing = compute_facing(motion)
    steps = find_steps(motion, facing)[1:-1]
    passings = [find_passing(motion, facing, step) for step in steps]
    times = [passing.time_s for passing in passings]
    assert np.diff(times) == pytest.approx(0.6, abs=0.005)
    hips = figure.joints[:, [11, 12], 0].mean(axis=1)
    for step, passing in zip(steps, passings, strict=True):
        ankle = figure.joints[:, 15 if step.side == "left" else 16, 0]
        assert np.interp(passing.time_s, figure.times, ankle - hips) == pytest.approx(0.0, abs=0.1)
        assert passing.speed == pytest.approx(70.0, rel=0.05)
        assert passing.doubt_s == pytest.approx(np.sqrt(2**2 + 2**2 / 2) / 70, rel=0.05)
        index, x = find_stand(motion, step)
        assert (x - 1e4) / 4 == pytest.approx(ankle[index], abs=0.3)
        assert abs(np.gradient(ankle, figure.times)[index]) < 1.0


def test_a_foot_that_was_hidden_as_it_was_passed_was_anywhere_on_its_way_meanwhile(figures):
    motion = prepare(figures.walker(60.0).film(), 1.0, constant_view=True)
    step = find_steps(motion, compute_facing(motion))[3]
    ankle = motion.names.index(f"{step.side}_ankle")
    seen = find_passing(motion, 1, step)
    index = motion.at(seen.time_s)
    trusted, cleaned = motion.trusted.copy(), motion.cleaned.copy()
    trusted[index - 4 : index + 5, ankle] = False
    cleaned[index + 5, ankle, 0] = cleaned[index - 5, ankle, 0] + 48.0  # 12 % of 400 pixels
    hidden = replace(motion, trusted=trusted, cleaned=cleaned)
    assert find_unseen_way(motion, step.side, index) == 0.0
    assert find_unseen_way(hidden, step.side, index) == pytest.approx(12.0, rel=0.01)
    by_place = seen.doubt_s * seen.speed
    assert find_passing(hidden, 1, step).doubt_s * seen.speed == pytest.approx(np.hypot(by_place, 2.0), rel=0.01)


@pytest.mark.parametrize(
    ("steps", "until_s", "span"),
    [
        ("lrlrlrl", None, (0.6, 1.8)),
        ("lr.rlrl", None, (0.6, 1.8)),  # not from the second step on, which is the fifth last that was found
        ("rlr", None, (0.0, 0.6)),  # no more than was seen
        ("lrlrlr", 2.0, (0.3, 1.5)),  # the last foot stands at the pick-up
        (
            "lrlr",
            2.0,
            (0.3, 1.5),
        ),  # three intervals and more are left: the foot of the second stands
    ],
)
def test_a_speed_is_that_of_the_last_four_intervals_though_steps_were_missed(steps, until_s, span):
    sides = {"l": "left", "r": "right"}
    found = run(*((sides[foot], 0.3 * i) for i, foot in enumerate(steps) if foot != "."))
    assert find_speed_span(found, until_s) == pytest.approx(span)
