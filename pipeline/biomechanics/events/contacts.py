"""Feet on the ground, and stretches in which something holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.biomechanics.errors import Array
from pipeline.biomechanics.motion import Mask, Motion
from pipeline.biomechanics.signals import segments
from pipeline.biomechanics.steps import Side

STILL_FLOOR, STILL_FLOOR_ALONG = 60.0, 40.0
"""% of height per second: a planted ankle of the default model wanders at about 20. Along the pitch a swing is slow."""
FLICKER_S = 0.05
"""A planted ankle that seems to move for less has not."""
STILL_SHARE = 0.25
"""Of the foot's peak speed within half a second."""
PLANT_MIN_S = 0.05
CONTACT_FRAMES, CONTACT_S = 1.5, 0.02
"""Half-width of a contact: ankles only, so at least a frame and a half."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Frames `first`..`last`, both included."""

    first: int
    last: int


def find_plants(motion: Motion, side: Side, *, along: bool) -> tuple[Stretch, ...]:
    """Stretches in which the ankle stays in place: slower than 60 % of height/s or a quarter of its local peak speed.

    Local and robust: the threshold follows the own swing (within ± 0.5 s), on 12 Hz paths. Along the pitch only
    the lift of a swing is seen, and 40 % of height/s counts. Stretches under 0.05 s are none.
    """
    velocity = motion.velocity(motion.point(f"{side}_ankle", "contact"))
    speed = np.hypot(velocity[:, 0], velocity[:, 1])
    real = motion.real_s
    peak = rolling_max(speed, real, 0.5)
    still = speed < np.fmax(STILL_FLOOR_ALONG if along else STILL_FLOOR, STILL_SHARE * peak)
    for moving in segments(real, ~still & ~np.isnan(speed)):
        if real[moving.stop - 1] - real[moving.start] < FLICKER_S:
            still[moving] = True
    return find_stretches(still, real, PLANT_MIN_S)


def find_stretches(holds: Mask, times: Array, shortest: float) -> tuple[Stretch, ...]:
    """Runs of True that last at least `shortest` seconds."""
    found = (Stretch(first=run.start, last=run.stop - 1) for run in segments(times, holds))
    return tuple(s for s in found if times[s.last] - times[s.first] >= shortest)


def rolling_max(values: Array, times: Array, half_window: float) -> Array:
    """Largest value that is not NaN within ± `half_window`; NaN where there is none."""
    low = np.searchsorted(times, times - half_window)
    high = np.searchsorted(times, times + half_window, side="right")
    plain = np.where(np.isnan(values), -np.inf, values)
    peak = np.array([plain[a:b].max() for a, b in zip(low, high, strict=True)])
    return np.where(np.isinf(peak), np.nan, peak)
