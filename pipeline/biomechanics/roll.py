"""How far the camera is turned about its axis, where somebody runs across its picture on level ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.biomechanics import errors
from pipeline.biomechanics.errors import Array
from pipeline.biomechanics.ground import GroundLine
from pipeline.biomechanics.motion import Motion
from pipeline.biomechanics.steps import Step

PLANTED_S = 0.1
"""Real seconds after a step in which the foot stands."""
SPOTS_MIN = 4
LENS_HEIGHT, LENS_HEIGHT_SYS = 0.8, 0.15
"""Statures above the ground: a phone held before the chest, or on a tripod."""
ROLL_MAX = 8.0
"""Degrees: what seems to slope more is no level ground."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Roll:
    """Degrees by which what is level rises to the picture's right."""

    degrees: float
    sys: float


UNKNOWN = Roll(degrees=0.0, sys=errors.ROLL_SYS)
"""Where nothing tells it: level, and 2° in doubt."""


def estimate_roll(motion: Motion, steps: Sequence[Step], line: GroundLine | None) -> Roll:
    """From where the feet stood: the slope of their line in the picture without what perspective makes of it.

    Formula: atan(least-squares slope of the ankles' places − lens height · tan yaw / distance); an oblique way comes
    nearer or goes away, and rises or sinks in the picture with that. sys: 2 % of height an ankle, 0.15 statures of lens
    height, and the line's own yaw. Fewer than 4 places, or hardly apart; no line, more than 8°, or no better than 2°:
    `UNKNOWN`.
    """
    spots = find_spots(motion, steps)
    if line is None or len(spots) < SPOTS_MIN:
        return UNKNOWN
    x, y = spots.T
    apart, size = x - x.mean(), float(line.size(x).mean())
    spread, tangent = float(apart @ apart), np.tan(line.yaw)
    if spread < size**2:  # one standing place seen four times has no slope
        return UNKNOWN
    slope = float(apart @ y) / spread - LENS_HEIGHT * tangent / line.away
    noise = errors.POSITION_SYS / 100 * size / float(np.sqrt(spread))
    perspective = errors.combine(LENS_HEIGHT_SYS * tangent, LENS_HEIGHT * line.yaw_sys) / line.away
    roll = Roll(degrees=float(np.degrees(np.arctan(slope))), sys=float(np.degrees(errors.combine(noise, perspective))))
    return roll if abs(roll.degrees) <= ROLL_MAX and roll.sys < errors.ROLL_SYS else UNKNOWN


def find_spots(motion: Motion, steps: Sequence[Step]) -> Array:
    """(N, 2) pixels, y upwards: the median place of the ankle in the 0.1 s after each step in which it was seen."""
    spots = []
    for step in steps:
        planted = motion.window(step.time_s, step.time_s + PLANTED_S * motion.slowmo)
        ankle = motion.point(f"{step.side}_ankle", "contact").path[planted]
        ankle = ankle[~np.isnan(ankle[:, 0])]
        if len(ankle):
            spots.append(np.median(ankle, axis=0))
    return np.array(spots).reshape(-1, 2)
