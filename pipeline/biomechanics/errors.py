"""How far a number may be off: keypoint noise carried through the formula, and the floors of what a camera can show.

`sys` does not average out (definition, view, camera); `rand` does. `expected_error` = √(sys² + rand²/n).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Formula = Callable[..., Array]
"""Points (T, 2) … → (T,)."""

POSITION_SYS = 2.0
"""% of height per keypoint and axis: four cameras that watch one walker disagree by 2.0-2.3 %."""
DISPLACEMENT_SYS = 1.0
"""% of height for the displacement of one keypoint within a second."""
STATURE_SYS = 0.03
"""Share of a length: spread of eye-to-ankle / stature between people (Drillis and Contini 1966)."""
STATURE_ALONG_SYS = 0.05
"""More of it, where the camera looks along the pitch: knees bent towards it shorten the chain that gives the scale."""
FLATTENED_SYS, FLATTENED_LOW_SYS = 1.5, 4.0
"""Degrees that the low-pass takes from a 172/150/164° knee (contact, minimum, release): at 12 Hz, and at the lower
cut-off that fewer than 38 frames a second allow."""
ROLL_SYS = 2.0
"""Degrees: the camera's roll, where nothing in the picture tells it."""
KNEE_SYS = 8.0
"""Degrees, absolute knee angle.

Single camera (Sports Biomech 2022) and markerless bowling (10.1177/17479541251348081) bound it.
"""
LATERAL_TILT_SYS = 4.4
"""Degrees: single-camera pitching (Sports Biomech 2022, 10.1080/14763141.2022.2137425)."""
OTHER_ANGLE_SYS = 20.8
"""Degrees: the worst of the other angles in the same study; angles without a floor of their own use it."""
STRIDE_SYS = 5.75
"""% of height: same study."""
RELEASE_SYS_S = 0.022
"""Seconds: same study, time of release."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Point:
    """The path of a keypoint, or of the mean of several."""

    path: Array
    """(T, 2) pixels, y upwards, NaN where not seen."""
    sigma: float
    """White noise per axis that is left in `path`, pixels."""
    trusted: Mask
    """(T,) seen in the frame itself, not interpolated."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Series:
    """A formula over time, with the noise in it."""

    values: Array
    """(T,)."""
    rand: Array
    """(T,) one standard error from keypoint noise, same unit."""
    trusted: Mask
    """(T,)."""


def evaluate(formula: Formula, points: Sequence[Point]) -> Series:
    """`formula` of the points' paths and its noise by linear propagation: Σ (∂f/∂x · σ)² over points and axes.

    Derivatives are central differences one σ wide, so that a formula needs no derivative of its own.
    """
    paths = [point.path for point in points]
    variance = np.zeros(len(paths[0]))
    for i, point in enumerate(points):
        for axis in range(2):
            step = np.zeros(2)
            step[axis] = point.sigma
            upper = formula(*paths[:i], paths[i] + step, *paths[i + 1 :])
            lower = formula(*paths[:i], paths[i] - step, *paths[i + 1 :])
            variance += ((upper - lower) / 2) ** 2
    return Series(
        values=formula(*paths),
        rand=np.sqrt(variance),
        trusted=np.all([point.trusted for point in points], axis=0),
    )


def combine(*parts: float) -> float:
    """Root of the sum of squares of independent errors."""
    return float(np.sqrt(np.sum(np.square(parts))))


def offset_sys(value: float, keypoints_a: int, keypoints_b: int) -> float:
    """`sys` of a distance between two means of keypoints along one axis, % of height."""
    return combine(POSITION_SYS / np.sqrt(keypoints_a), POSITION_SYS / np.sqrt(keypoints_b), STATURE_SYS * value)


def roll_sys(lever: float) -> float:
    """What 2° of unknown camera roll shift sideways, or up, over a distance of `lever` % of height."""
    return float(np.tan(np.radians(ROLL_SYS)) * abs(lever))


def expected_error(sys: float, rand: float, n: int) -> float:
    """√(sys² + rand²/n). Raises ValueError for n < 1."""
    if n < 1:
        raise ValueError(f"n is {n}")
    return float(np.sqrt(sys**2 + rand**2 / n))
