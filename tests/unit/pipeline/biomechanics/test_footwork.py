"""A keeper who crouches, rises and moves sideways to the ball: every step is put there by the test."""

import numpy as np
import pytest

from pipeline.biomechanics.events.footwork import SideStep, count_shuffles
from pipeline.biomechanics.events.vocabulary import MOMENTS

RISE, TAKE = 3.0, 4.3


def keeper(figures, fps, steps, *, reach=True):
    """Rises at 3.0 s; `steps`: (foot, start, way to the keeper's left), each 0.18 s long; hands stop at 4.3 s."""
    times = np.arange(round(fps * 6.0)) / fps
    column, ease = figures.column, figures.ease
    across, lift = {"left": 12.0, "right": -12.0}, {"left": [(0.0, 0.0)], "right": [(0.0, 0.0)]}
    knots = {side: [(0.0, place)] for side, place in across.items()}
    for side, start, way in steps:
        knots[side] += [(start, across[side]), (start + 0.18, across[side] + way)]
        lift[side] += [(start, 0.0), (start + 0.09, 6.0), (start + 0.18, 0.0)]
        across[side] += way
    feet = {side: ease(times, [*knots[side], (6.0, across[side])]) for side in knots}
    raised = {side: ease(times, [*lift[side], (6.0, 0.0)]) for side in lift}
    middle = (feet["left"] + feet["right"]) / 2
    hand = ease(times, [(0.0, 48.0), (1.0, 20.0), (TAKE - 0.3, 20.0), (TAKE, 55.0 if reach else 20.0), (6.0, 55.0)])
    wrists = tuple(column(15.0, middle + way, hand) for way in (3.0, -3.0))
    return figures.build(
        times,
        hips=column(0.0, middle, ease(times, [(0.5, 45.0), (1.0, 28.0), (RISE, 28.0), (RISE + 0.2, 38.0)])),
        lean=np.full(len(times), 30.0), tilt=np.zeros(len(times)),
        ankles=tuple(column(4.0, feet[side], 3.9 + raised[side]) for side in ("left", "right")), wrists=wrists,
    )  # fmt: skip


SHUFFLE = [("right", 3.1, -20.0), ("left", 3.4, -20.0), ("right", 3.7, -20.0), ("left", 4.0, -20.0)]
CROSSOVER = [("right", 3.1, -20.0), ("left", 3.5, -60.0)]


@pytest.mark.parametrize(("view", "fps"), [("front", 30.0), ("behind", 60.0), ("front", 120.0)])
@pytest.mark.parametrize(
    ("steps", "counted"), [(SHUFFLE, (4, 2)), (SHUFFLE[:3], (3, 1)), (CROSSOVER, (2, 0)), ([], (0, 0))]
)
def test_steps_and_shuffles_are_counted(figures, judge, view, fps, steps, counted):  # noqa: PLR0917 - three fixtures of a table
    measured = judge(keeper(figures, fps, steps).film(view=view), "wicketkeeping", view=view)
    assert tuple(measured.metrics[name].value for name in ("lateral_steps", "shuffles")) == counted
    landed = [step.time_s for step in measured.repetitions[0].steps]
    assert landed == pytest.approx([start + 0.18 for _, start, _ in steps], abs=0.05)


def test_a_foot_that_only_shifts_is_no_step_and_one_at_the_border_widens_the_error(figures, judge):
    border = judge(keeper(figures, 60.0, [("right", 3.2, -4.2)]).film(view="front"), "wicketkeeping", view="front")
    clear = judge(keeper(figures, 60.0, [("right", 3.2, -20.0)]).film(view="front"), "wicketkeeping", view="front")
    assert (border.metrics["lateral_steps"].value, clear.metrics["lateral_steps"].value) == (0, 1)
    assert border.metrics["lateral_steps"].rand > 0.4
    assert clear.metrics["lateral_steps"].rand == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("fps", [30.0, 60.0, 120.0])
def test_the_take_is_where_the_hands_stop_together(figures, judge, fps):
    moved = judge(keeper(figures, fps, SHUFFLE).film(view="front"), "wicketkeeping", view="front")
    events = moved.repetitions[0].events
    assert list(events) == list(MOMENTS["wicketkeeping"]) == ["crouch", "rise", "take"]
    take = events["take"]
    assert abs(take.time_s - TAKE) <= take.half_width_s <= 0.13
    still = judge(keeper(figures, fps, SHUFFLE, reach=False).film(view="front"), "wicketkeeping", view="front")
    assert "take" not in still.repetitions[0].events


def test_steps_are_counted_along_the_pitch_only_and_not_after_the_clip(figures, judge):
    poses = keeper(figures, 60.0, SHUFFLE).film()
    side = judge(poses, "wicketkeeping").metrics["lateral_steps"]
    assert side.status == "not_measurable"
    whole = keeper(figures, 60.0, SHUFFLE, reach=False)
    cut = figures.pose_sequence(whole.film(view="front").keypoints[:200].astype(float), whole.times[:200])  # to 3.33 s
    short = judge(cut, "wicketkeeping", view="front").metrics["lateral_steps"]
    assert "ends less than half a second" in (short.reason or "")


def step(side, shift, order=-1):
    return SideStep(side=side, index=0, shift=shift, sigma=1.0, order=order)


def test_a_shuffle_is_two_feet_one_way_that_never_cross():
    lead, trail = step("right", 20.0), step("left", 20.0)
    assert count_shuffles((lead, trail, lead, trail), -1) == 2
    assert count_shuffles((lead, lead, trail), -1) == 1
    assert count_shuffles((lead, step("left", -20.0)), -1) == 0
    assert count_shuffles((lead, step("left", 60.0, 1)), -1) == 0
    assert count_shuffles((lead, trail), 0) == 0
