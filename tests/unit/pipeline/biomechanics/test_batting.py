"""Shots as the model draws them: a wrist on the trunk, hands too fast to be seen, a short stride."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from cricketer.body import KEYPOINT, Body
from cricketer.camera import Camera
from cricketer.catalogue import random_movement
from cricketer.clips import Judged, film, judge
from cricketer.drive import Technique, drive
from cricketer.noise import CLEAN, Noise

from models.documents import Event
from pipeline.biomechanics.events.batting import Shot
from pipeline.biomechanics.measure import measure
from pipeline.biomechanics.metrics.batting import PLANT_AFTER, compute_plant_before_impact

SQUARE = {"distance": 3456.0, "focal": 3.6}


def shot(view: str, fps: float = 60.0, *, noise: Noise = CLEAN, seed: int = 0, **technique: float) -> Judged:
    """One drive before a camera that is square, level and far away."""
    movement = drive(Body(), replace(Technique(), **technique))
    lens = Camera(view=view, **SQUARE)
    return judge(film([movement], view, fps, np.random.default_rng(seed), noise=noise, camera=lens))


def error_of(judged: Judged, event: str) -> tuple[float, float]:
    (found,) = (one for one in judged.events if one.event == event)
    return abs(found.error), found.half_width


@pytest.mark.parametrize("seed", range(4))
def test_a_wrist_drawn_on_the_trunk_costs_no_shot(seed):
    drawn = shot("side", noise=replace(CLEAN, far_wrist=True), seed=seed)
    assert (drawn.found, drawn.false) == (1, 0)
    error, half_width = error_of(drawn, "impact")
    assert error <= half_width


@pytest.mark.parametrize("athlete", [1, 6, 10])
def test_who_asks_for_deliveries_in_a_clip_of_drives_gets_none(athlete):
    """A head that bends down to the bat lies below the hands of a backlift; no bowler lets go below 85 % of height."""
    rng = np.random.default_rng([5, athlete])
    clip = film([random_movement("batting", rng)], "side", 60.0, rng, noise=Noise(), yaw=10)
    options = clip.context.options.model_copy(update={"handedness": None})
    assert measure(clip.poses, replace(clip.context, mode="bowling", options=options)).repetitions == ()


def test_hands_that_rise_into_the_finish_are_no_impact():
    slow = shot("front", to_impact=0.2, lift=76.0)
    assert (slow.found, slow.false) == (1, 0)
    assert error_of(slow, "impact")[0] < 0.03


@pytest.mark.parametrize("seed", range(3))
def test_hands_too_fast_to_be_seen_hit_somewhere_in_the_hole(seed):
    movement = drive(Body(), Technique())
    blur = replace(CLEAN, blur=True)
    clip = film(
        [movement], "side", 240.0, np.random.default_rng(seed), noise=blur, camera=Camera(view="side", **SQUARE)
    )
    hidden = clip.poses.timestamps_s[clip.poses.confidence[:, KEYPOINT["right_wrist"]] < 0.3]
    impact = judge(clip).measurements.repetitions[0].events["impact"]
    assert len(hidden)
    assert np.all(np.abs(hidden - impact.time_s) <= impact.half_width_s + 0.005)
    assert abs(impact.time_s - clip.starts[0] - movement.events["impact"]) <= impact.half_width_s


def test_a_short_stride_is_not_taken_for_a_stand():
    error, half_width = error_of(shot("side", stride=14.0), "front_foot_plant")
    assert error <= half_width < 0.06


@pytest.mark.parametrize("fps", [30.0, 120.0])
def test_along_the_pitch_no_plant_is_claimed_and_yet_the_head_is_read(fps):
    judged = shot("front", fps)
    assert {one.event for one in judged.events} == {"impact"}
    head = next(read for read in judged.reads if read.metric == "head_sideways_plant")
    assert head.value == pytest.approx(head.truth, abs=1.0)


def test_a_foot_that_lands_after_the_hit_gives_no_time_to_it():
    events = {"front_foot_plant": Event(time_s=2.0, half_width_s=0.02), "impact": Event(time_s=1.9, half_width_s=0.02)}
    scene = SimpleNamespace(motion=SimpleNamespace(slowmo=1.0))
    taken = Shot(front="left", stance=None, events=events, clear=1.0)
    assert compute_plant_before_impact(scene, taken) is PLANT_AFTER  # type: ignore[arg-type]
