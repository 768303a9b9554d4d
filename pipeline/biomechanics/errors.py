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
SIZE_SYS = 0.0315
"""Share of the body's length in the picture: both ends of a chain of 89.7 % of height, each off by `POSITION_SYS`."""
SLOW_TAU_S = 0.3
"""Seconds: how long the slow error of a keypoint remembers itself (AR(1))."""
DISPLACEMENT_SYS = 1.0
"""% of height for the displacement of one keypoint within a second."""
STATURE_SYS = 0.03
"""Share of a length: spread of eye-to-ankle / stature between people (Drillis and Contini 1966)."""
STATURE_ALONG_SYS = 0.05
"""More of it, where the camera looks along the pitch: knees bent towards it shorten the chain that gives the scale."""
LONG_CHAIN_SYS = 0.05
"""Share of a length of who stands: the upper quartile and the longer leg of the body's noisy chain are 5 % too long
where nothing foreshortens it, and right where knees point at the camera. Nobody knows which."""
FLATTENED_SYS, FLATTENED_LOW_SYS = 1.5, 4.0
"""Degrees that the low-pass takes from a 172/150/164° knee (contact, minimum, release): at 12 Hz, and at the lower
cut-off that fewer than 38 frames a second allow."""
ALONG_YAW_SYS = 6.0
"""Degrees off the pitch at which a camera that is said to look along it may stand: ± 10°, evenly."""
LOCAL_SCALE_SYS = 0.03
"""Share of a speed, where the scale is read off half a second around it: the slow errors of the chain of the body."""
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
    slow: Array
    """(T,) slow error per axis, pixels: `POSITION_SYS` of each independent keypoint. No filter removes it."""
    trusted: Mask
    """(T,) seen in the frame itself, not interpolated."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Series:
    """A formula over time, with the noise in it."""

    values: Array
    """(T,)."""
    rand: Array
    """(T,) one standard error from white keypoint noise, same unit."""
    slow: Array
    """(T,) one standard error from the keypoints' slow error, same unit; hardly smaller over a short window."""
    trusted: Mask
    """(T,)."""


def evaluate(formula: Formula, points: Sequence[Point]) -> Series:
    """`formula` of the points' paths and its noise by linear propagation: Σ (∂f/∂x · σ)² over points and axes.

    Derivatives are central differences one σ wide, so that a formula needs no derivative of its own.
    """
    paths = [point.path for point in points]
    return Series(
        values=formula(*paths),
        rand=_propagate(formula, paths, [np.full(len(point.path), point.sigma) for point in points]),
        slow=_propagate(formula, paths, [point.slow for point in points]),
        trusted=np.all([point.trusted for point in points], axis=0),
    )


def _propagate(formula: Formula, paths: Sequence[Array], sigmas: Sequence[Array]) -> Array:
    """(T,) standard error of `formula` for independent errors `sigmas` (T,) of each path, the same along both axes."""
    variance = np.zeros(len(paths[0]))
    for i, sigma in enumerate(sigmas):
        for axis in range(2):
            step = np.zeros_like(paths[i])
            step[:, axis] = sigma
            upper = formula(*paths[:i], paths[i] + step, *paths[i + 1 :])
            lower = formula(*paths[:i], paths[i] - step, *paths[i + 1 :])
            variance += ((upper - lower) / 2) ** 2
    return np.asarray(np.sqrt(variance))


def drift(weights: Array, real_s: Array) -> float:
    """What a weighted sum Σ wᵢ·e(tᵢ) makes of a slow error e of unit SD: √(wᵀ C w), C = exp(-|Δt| / 0.3 s).

    1 for a single sample, 0.9 for the mean over 0.2 s, 0.65 over a second; √(2·(1 - e^(-Δt/τ))) for the displacement
    between two moments. `weights` and `real_s` (n,); an AR(1) process's own covariance.
    """
    apart = np.abs(real_s[:, None] - real_s[None, :])
    return float(np.sqrt(weights @ np.exp(-apart / SLOW_TAU_S) @ weights))


def drift_of_mean(real_s: Array) -> float:
    """`drift` of the mean over samples."""
    return drift(np.full(len(real_s), 1 / len(real_s)), real_s)


def drift_of_slope(real_s: Array) -> float:
    """`drift` of the least-squares slope over samples, per second."""
    centred = real_s - real_s.mean()
    return drift(centred / np.sum(centred**2), real_s)


def combine(*parts: float) -> float:
    """Root of the sum of squares of independent errors."""
    return float(np.sqrt(np.sum(np.square(parts))))


def offset_sys(value: float, keypoints_a: int, keypoints_b: int) -> float:
    """`sys` of a distance between two means of keypoints along one axis, % of height."""
    return combine(POSITION_SYS / np.sqrt(keypoints_a), POSITION_SYS / np.sqrt(keypoints_b), STATURE_SYS * value)


def roll_sys(lever: float) -> float:
    """What 2° of unknown camera roll shift sideways, or up, over a distance of `lever` % of height."""
    return float(np.tan(np.radians(ROLL_SYS)) * abs(lever))


def along_sys(forward: float) -> float:
    """What a camera a little off the pitch shows sideways of a distance of `forward` % of height along it."""
    return float(np.sin(np.radians(ALONG_YAW_SYS)) * abs(forward))


def along_tilt_sys(lean: float) -> float:
    """Degrees of sideways tilt that the same camera makes of a trunk that leans forward by `lean` degrees."""
    return float(np.degrees(np.arctan(along_sys(np.tan(np.radians(min(abs(lean), 80.0)))))))


def expected_error(sys: float, rand: float, n: int) -> float:
    """√(sys² + rand²/n). Raises ValueError for n < 1."""
    if n < 1:
        raise ValueError(f"n is {n}")
    return float(np.sqrt(sys**2 + rand**2 / n))
