"""Cricketers whose truth is asked for: technique is turned until the movement shows the numbers wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from cricketer import delivery, drive, pick_up, take
from cricketer.catalogue import random_movement
from cricketer.movement import Movement

TRIES = 16
CLOSE, CLOSE_RATIO = 0.2, 0.004
"""Degrees or % of height, and of a ratio, within which the truth meets what was wanted."""


class Unreachable(ValueError):
    """No body of these segments does that."""


@dataclass(frozen=True, kw_only=True)
class Knob:
    """The parameter of `Technique` that moves a metric, and between which bounds a body can follow it."""

    parameter: str
    low: float
    high: float
    slope: float = 1.0
    """Of the metric over the parameter, to begin with."""


KNOBS: Mapping[str, Knob] = MappingProxyType({
    "head_sideways_contact": Knob(parameter="head", low=-30, high=35),
    "foot_line_offset": Knob(parameter="line", low=-30, high=30),
    "run_up_speed_ratio": Knob(parameter="ratio", low=0.5, high=1.2),
    "front_knee_min": Knob(parameter="flexion", low=0, high=95, slope=-1),
    "stride_length": Knob(parameter="ahead", low=4, high=42),
    "head_sideways_plant": Knob(parameter="head_off", low=-30, high=30),
    "trunk_lateral_flexion_plant": Knob(parameter="tilt", low=-50, high=50),
    "head_forward_plant": Knob(parameter="head_forward", low=-25, high=15),
    "base_width": Knob(parameter="width", low=6, high=64),
    "crouch_tilt": Knob(parameter="tilt", low=-45, high=45),
    "hand_height_ready": Knob(parameter="hands", low=0, high=45),
    "crouch_depth": Knob(parameter="depth", low=15, high=41),
    "head_outside_feet_pick_up": Knob(parameter="outside", low=-12, high=40),
    "trunk_lateral_flexion_pick_up": Knob(parameter="tilt", low=-75, high=75),
    "reach_pick_up": Knob(parameter="aside", low=-30, high=40),
    "hip_height_pick_up": Knob(parameter="hips", low=22, high=62),
    "pick_up_speed_ratio": Knob(parameter="ratio", low=0.2, high=1.0),
    "throw_elbow_height": Knob(parameter="elbow", low=-18, high=16),
    "head_steadiness": Knob(parameter="sway", low=0, high=24),
})  # fmt: skip
PLAIN = {"bowling": delivery.Technique(), "batting": drive.Technique(), "wicketkeeping": take.Technique(),
         "fielding": pick_up.Technique(outside=8.0)}  # fmt: skip
"""Where each search begins: with the head outside the feet, for above them its number stays 0 wherever the hips go."""
STRAIGHT_LEG = 172.0
"""Degrees of the front knee at contact, where a minimum is asked for."""


def steer(mode: str, view: str, seed: object, wanted: Mapping[str, float]) -> Movement:
    """The athlete of `seed` (body, hand, all else of the technique) with the metrics `wanted` as its truth in a view.

    A secant for every metric over its own parameter, all at once. Raises `Unreachable`.
    """
    fixed = {KNOBS[metric].parameter: float(getattr(PLAIN[mode], KNOBS[metric].parameter)) for metric in wanted}
    slopes = {metric: KNOBS[metric].slope for metric in wanted}
    straight = {"knee_contact": STRAIGHT_LEG} if "front_knee_min" in wanted else {}
    before: dict[str, tuple[float, float]] = {}
    for _ in range(TRIES):
        try:
            movement = random_movement(mode, np.random.default_rng(seed), **fixed, **straight)  # type: ignore[arg-type]
        except AssertionError as why:
            raise Unreachable(str(why)) from why
        found = {metric: true_value(movement, metric, view) for metric in wanted}
        if all(abs(found[metric] - value) <= closeness(metric) for metric, value in wanted.items()):
            return movement
        for metric, value in wanted.items():
            knob, at = KNOBS[metric], fixed[KNOBS[metric].parameter]
            slopes[metric] = _slope(slopes[metric], (at, found[metric]), before.get(metric))
            before[metric] = at, found[metric]
            turned = at + (value - found[metric]) / slopes[metric]
            fixed[knob.parameter] = float(np.clip(turned, knob.low, knob.high))
    raise Unreachable(f"{mode} {view}: {dict(wanted)} ends at {found}")


def closeness(metric: str) -> float:
    """How near to what was wanted is near enough, in the metric's unit."""
    return CLOSE_RATIO if metric.endswith("ratio") else CLOSE


def _slope(known: float, now: tuple[float, float], before: tuple[float, float] | None) -> float:
    """Of two trials, where they differ enough to tell it."""
    if before is None or abs(now[0] - before[0]) < 1e-3:
        return known
    slope = (now[1] - before[1]) / (now[0] - before[0])
    return slope if 0.1 < abs(slope) < 10 else known


def true_value(movement: Movement, metric: str, view: str) -> float:
    """A metric's truth as a view defines it."""
    return float(movement.truth.get(f"{metric}@{view}", movement.truth.get(metric, float("nan"))))
