"""Whether those who jump fall as fast as gravity lets them: a clock that no caller declared shows in it.

A clip slowed f times shows gravity f² times too small. Only a jump tells: in the air nothing else moves the body's
centre of mass, and nobody can hang there longer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from pipeline.biomechanics.errors import Array
from pipeline.biomechanics.kinematics import compute_centre
from pipeline.biomechanics.motion import Motion

GRAVITY = 9.81
STATURE_M = 1.75
"""Where nobody said how tall the athlete is; a child of 1.2 m seems to live 1.2 times as fast by it."""
RISE_MIN = 8.0
"""% of height of the centre over the lowest places before and after; a runner's bobs by 3-5."""
TOP = 0.45
"""Of that rise: the upper part, in which the feet have left the ground."""
LIFT_MIN, LIFT_SHARE = 5.0, 0.3
"""% of height of the lower ankle over the ground, over twice its slow error, and a share of the rise: who stands up out
of a crouch lifts no foot."""
STRETCH_MIN = 3.0
"""% of height by which the body stretches between its lowest place and the air. A camera that tilts moves feet and
centre alike."""
SAMPLES_MIN = 5
RESIDUAL_MAX = 1.0
"""% of height RMS about the parabola."""
DROP_MIN = 3.0
"""% of height that the centre falls from the parabola's top to the end of its part."""
SLOWED_MIN, HURRIED_MAX = 5 / 3, 3 / 5
"""Gravity is read to a fifth and statures differ by a fifth: a clock this far off is no such error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Jump:
    """One flight over its top."""

    time_s: float
    """Of the top, clip seconds."""
    acceleration: float
    """Downwards, % of height per real second²."""


def find_jumps(motion: Motion) -> tuple[Jump, ...]:
    """Flights in which body's centre and both feet rise together and fall on one parabola.

    A top of the centre of mass, 8 % of height over the lowest places on both sides; the body stretches before it; over
    the upper 45 % of the rise the lower ankle is off the ground that it stood on there (linear in between). Formula:
    −2 × the coefficient of t² of the least-squares parabola over that part. Both arms are taken for the right one.
    """
    rises, feet = _height_of_centre(motion), _height_of_feet(motion)
    least = np.nan_to_num(RISE_MIN / 100 * motion.stature, nan=np.inf)
    tops, found = find_peaks(np.nan_to_num(rises, nan=-np.inf), prominence=least)
    jumps = []
    for top, left, right in zip(tops, found["left_bases"], found["right_bases"], strict=True):
        centre, low = (path / motion.stature[top] * 100 for path in (rises, feet))
        before, after = _lowest(centre, left, top), _lowest(centre, top, right)
        rise = float(centre[top] - max(centre[before], centre[after]))
        part = _upper_part(centre, before, top, after, float(centre[top]) - TOP * rise)
        ground = np.interp(part, (before, after), (low[before], low[after]))
        lift = float(np.median(low[part] - ground))
        stretch = float((centre - low)[part[0]] - (centre - low)[before])
        if not (rise >= RISE_MIN and lift >= max(LIFT_MIN, LIFT_SHARE * rise) and stretch >= STRETCH_MIN):
            continue
        acceleration = _fit_fall(motion.real_s[part], centre[part])
        if acceleration is not None:
            jumps.append(Jump(time_s=float(motion.times_s[top]), acceleration=acceleration))
    return tuple(jumps)


def find_implausible_fall(jumps: tuple[Jump, ...], height_m: float | None) -> float | None:
    """How many times slower than life the clip seems by the median jump; None without one, or where it is plausible.

    √(9.81 m/s² / stature / acceleration); plausible from 0.6 to 1.67.
    """
    if not jumps:
        return None
    own = float(np.median([jump.acceleration for jump in jumps])) / 100
    factor = float(np.sqrt(GRAVITY / (height_m or STATURE_M) / own))
    return None if HURRIED_MAX <= factor <= SLOWED_MIN else factor


def _fit_fall(real_s: Array, height: Array) -> float | None:
    if len(real_s) < SAMPLES_MIN:
        return None
    middle = real_s - real_s.mean()
    curve = np.polyfit(middle, height, 2)
    drop = -curve[0] * np.ptp(real_s) ** 2 / 4
    residual = float(np.sqrt(np.mean((np.polyval(curve, middle) - height) ** 2)))
    return float(-2 * curve[0]) if drop >= DROP_MIN and residual <= RESIDUAL_MAX else None


def _lowest(centre: Array, start: int, end: int) -> int:
    return int(start + np.nanargmin(centre[start : end + 1]))


def _upper_part(centre: Array, before: int, top: int, after: int, least: float) -> NDArray[np.intp]:
    """Frames in a row about the top in which the centre is seen and above `least`."""
    outside = np.flatnonzero(~(centre >= least))
    first = max(int(outside[outside < top].max(initial=before - 1)) + 1, before)
    last = min(int(outside[outside > top].min(initial=after + 1)) - 1, after)
    return np.arange(first, last + 1)


def _height_of_centre(motion: Motion) -> Array:
    """(T,) pixels upwards, NaN where not seen."""
    names = ["head", "shoulders", "hips", "right_shoulder", "right_elbow", "right_wrist"]
    names += [f"{side}_{joint}" for side in ("left", "right") for joint in ("hip", "knee", "ankle")]
    up = {name: motion.point(name, "contact").path[:, 1] for name in names}
    return compute_centre(up, "right")


def _height_of_feet(motion: Motion) -> Array:
    """(T,) the lower ankle, pixels upwards."""
    return np.asarray(np.fmin(*(motion.point(f"{side}_ankle", "contact").path[:, 1] for side in ("left", "right"))))
