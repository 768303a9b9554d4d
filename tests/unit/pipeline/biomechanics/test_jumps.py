"""Gravity in jumps: a clock that is wrong shows in it, and nothing else is accused."""

from dataclasses import replace

import numpy as np
import pytest

from models.documents import ViewDocument
from models.requests import AnalysisOptions
from pipeline.biomechanics import measure
from pipeline.biomechanics.jumps import Jump, find_implausible_fall, find_jumps
from pipeline.biomechanics.motion import prepare
from pipeline.measurements import MeasureContext

GRAVITY = 100 * 9.81 / 1.75
"""% of height/s² for a man of 1.75 m."""
TIMED = {"bowling": {"run_up_speed", "delivery_time", "cadence", "travel_speed"}, "batting": {"plant_before_impact"},
         "wicketkeeping": set(), "fielding": {"approach_speed", "cadence"}}  # fmt: skip
UP_S = 0.2
"""Half of a flight: 11 % of height high."""


def body(figures, times, squat, air):
    """Hips `squat` below 51 % of height, everything `air` above the ground, (T,) each in % of height."""
    hips = figures.column(0.0 * times, 0.0, 51.0 - squat + air)
    ankles = tuple(figures.column(0.0 * times, side, 3.9 + air) for side in (8.0, -8.0))
    wrists = tuple(figures.column(0.0 * times, side, 48.0 - squat + air) for side in (14.0, -14.0))
    still = np.zeros(len(times))
    return figures.build(times, hips=hips, lean=still, tilt=still, ankles=ankles, wrists=wrists)


def jumper(figures, fps=60.0, gravity=GRAVITY):
    """Squats by 11 % of height, leaves the ground at 1 s and lands 0.4 s later, at the same speed both times."""
    times = np.arange(round(2.4 * fps)) / fps
    top, push = 1.0 + UP_S, 2 * 11.0 / (gravity * UP_S)
    air = np.maximum(gravity / 2 * (UP_S**2 - (times - top) ** 2), 0.0)
    squat = 11.0 * np.interp(np.abs(times - top) - UP_S, (0.0, push, push + 0.4), (0.0, 1.0, 0.0))
    squat[np.abs(times - top) < UP_S] = 0.0
    moved = np.abs(times - top) - UP_S
    soft = np.clip(moved / push, 0, 1)
    near = (moved >= 0) & (moved <= push)
    squat[near] = 11.0 * (1 - (1 - soft[near]) ** 2)  # the speed of the take-off at its end
    return body(figures, times, squat, air)


def jumps_of(poses, slowmo=1.0):
    return find_jumps(prepare(poses, slowmo, constant_view=True))


@pytest.mark.parametrize("fps", [30.0, 60.0, 120.0])
def test_a_jump_shows_gravity(figures, fps):
    (jump,) = jumps_of(jumper(figures, fps).film(view="front"))
    assert jump.acceleration == pytest.approx(GRAVITY, rel=0.1)
    assert jump.time_s == pytest.approx(1.2, abs=1.5 / fps)
    assert find_implausible_fall((jump,), None) is None


@pytest.mark.parametrize("factor", [2.0, 4.0, 8.0])
def test_slow_motion_shows_in_it_and_a_given_factor_undoes_that(figures, judge, factor):
    poses = jumper(figures, 30.0 * factor).film(view="front", slowmo=factor)
    assert find_implausible_fall(jumps_of(poses), 1.75) == pytest.approx(factor, rel=0.1)
    assert find_implausible_fall(jumps_of(poses, factor), 1.75) is None
    (issue,) = (i for i in judge(poses, "fielding", view="front").recording if i.id == "IMPLAUSIBLE_TIMING")
    assert "slower than life" in issue.text
    assert "--slowmo" in issue.advice
    told = judge(poses, "fielding", view="front", slowmo_factor=factor)
    assert "IMPLAUSIBLE_TIMING" not in [i.id for i in told.recording]


def test_no_number_of_seconds_is_given_by_a_wrong_clock(figures, monkeypatch):
    seen = []
    for mode, (specs, room) in measure.ROOMS.items():
        monkeypatch.setitem(measure.ROOMS, mode, (specs, lambda scene, room=room: seen.append(scene) or room(scene)))
    poses = jumper(figures, 240.0).film(view="front", slowmo=2.0)
    front, side = (ViewDocument(value=view, source="caller", confidence=1.0) for view in ("front", "side"))
    for mode, (specs, _) in measure.ROOMS.items():
        options = AnalysisOptions(height_m=1.75)
        measure.measure(poses, MeasureContext(mode=mode, stage="deep", view=front, options=options))
        scene = replace(seen[-1], view=side)  # from where all of them would be given
        refused = {spec.id for spec in specs if "slower than life" in (scene.gate(spec, None).reason or "")}
        assert refused == {spec.id for spec in specs if spec.unit in ("s", "per_min", "m_per_s", "pct_height_per_s")}
        assert refused >= TIMED[mode]


@pytest.mark.parametrize(("height_m", "factor"), [(None, None), (1.75, None), (0.5, 1.87)])
def test_a_stature_that_is_given_counts(height_m, factor):
    found = find_implausible_fall((Jump(time_s=1.0, acceleration=GRAVITY),), height_m)
    assert found == (None if factor is None else pytest.approx(factor, abs=0.01))


@pytest.mark.parametrize("what", ["squats", "camera nods"])
def test_nobody_else_is_in_the_air(figures, what):
    """Who stands up between two squats lifts no foot; before a camera that nods, nobody stretches."""
    times = np.arange(180) / 60
    arc = 20.0 * np.maximum(1 - ((times - 1.5) / 1.0) ** 2, 0.0)
    still = np.zeros(len(times))
    figure = body(figures, times, 20.0 - arc, still) if what == "squats" else body(figures, times, still, arc)
    assert jumps_of(figure.film(view="front")) == ()
