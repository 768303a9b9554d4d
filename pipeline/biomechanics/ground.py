"""Distances on the ground: the straight line that an athlete runs, as a pinhole camera off square shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.biomechanics import kinematics
from pipeline.biomechanics.errors import SIZE_SYS, Array, combine, drift, drift_of_mean
from pipeline.biomechanics.motion import Motion

FOCAL_PER_SIDE, FOCAL_SYS = 0.9, 0.12
"""Focal length / longer side of the picture: phones and cameras lie between 0.7 and 1.2. Its error, as a share."""
BLOCK_S = 0.25
"""Seconds over which length and place are medians before the line is fitted."""
RUNS = 0.4
"""Of the hips' fastest (ninth decile): slower is standing, stopping, picking up, where trunk and legs lean sideways."""
SHOWN_MIN = 0.2
"""Of a length along the line: one seen more end on than that is no line across the picture."""
ROUNDS = 3
"""Line, from it the foreshortening, the line again: the third changes the yaw by less than a tenth of a degree."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundLine:
    """Where the athlete runs. Pixels, radians; `away` in statures."""

    away: float
    """From the lens to where the line crosses its axis, the middle of the picture."""
    yaw: float
    """From the picture's plane to the line, followed to the picture's right; positive away from the camera."""
    focal: float
    centre: float
    """x of the lens's axis."""
    middle: float
    """x around which the athlete's size was seen: there the scale is known best."""
    yaw_sys: float
    """Of tan yaw, from the slow error of the body's length, and by how much it was drawn towards square."""
    scale_sys: float
    """Share of the size at `middle`."""

    def __post_init__(self) -> None:
        if not (self.away > 0 and self.focal > 0 and abs(self.yaw) < np.pi / 2):
            raise ValueError("no line before the lens that runs across its picture")

    def way(self, x: Array) -> Array:
        """Way along the line in % of height, positive to the picture's right, for places at `x` (T,) pixels.

        Where the ray of a column of the picture meets the line: t · away / (cos yaw − t · sin yaw), t = (x − centre) /
        focal. One scale for the whole run, not the noisy one of each moment; and cos yaw alone would not do, for an
        oblique camera shows the far end smaller.
        """
        ray = (x - self.centre) / self.focal
        return np.asarray(100 * ray * self.away / self.foreshortening(x))

    def size(self, x: Array) -> Array:
        """(T,) stature in pixels of who is on the line at `x`."""
        return np.asarray(self.focal / self.away * (1 - np.tan(self.yaw) * (x - self.centre) / self.focal))

    def foreshortening(self, x: Array) -> Array:
        """(T,) length in the picture of a short piece along the line / that of one as far away and square to the ray's
        axis: cos yaw − t · sin yaw."""
        return np.asarray(np.cos(self.yaw) - (x - self.centre) / self.focal * np.sin(self.yaw))

    def sys(self, x: float) -> float:
        """Share of a length along the line around a column of the picture that camera and line leave in doubt.

        d(way)/dx = size(centre) / (cos yaw · size(x)²): what a wrong slope of size over x makes of it, what a wrong
        focal length makes of cos yaw, and the scale.
        """
        ray, middle = (x - self.centre) / self.focal, (self.middle - self.centre) / self.focal
        nearer = 1 - np.tan(self.yaw) * ray
        slope = -middle - 2 * (ray - middle) / nearer - np.sin(self.yaw) * np.cos(self.yaw)
        return combine(float(slope) * self.yaw_sys, FOCAL_SYS * float(np.sin(self.yaw)) ** 2, self.scale_sys)


def find_line(motion: Motion, frame_size: tuple[int, int]) -> GroundLine | None:
    """The line that the hips run, by the athlete's size along it; None where it cannot be told (`fit_line`) or is seen
    nearly end on.

    The body's length in a frame is that of its chain with each part's way across the picture stretched by the line's
    own foreshortening, so that legs that swing along an oblique line do not look like a body farther away.
    """
    hips = motion.point("hips")
    speed = np.abs(motion.velocity(hips)[:, 0])
    if np.isnan(speed).all():
        return None
    runs = speed > RUNS * np.nanpercentile(speed, 90)
    x, shown = hips.path[:, 0], np.ones(len(speed))
    line: GroundLine | None = None
    for _ in range(ROUNDS):
        points = motion.cleaned.copy()
        points[..., 0] = x[:, None] + (points[..., 0] - x[:, None]) / shown[:, None]
        paths = {name: points[:, i] for i, name in enumerate(motion.names)}
        size = kinematics.compute_eye_to_ankle(paths, in_plane=True) / kinematics.EYE_TO_ANKLE
        line = fit_line(x, np.where(runs, size, np.nan), motion.real_s, frame_size)
        if line is None:
            return None
        shown = line.foreshortening(x)
        if np.nanmin(shown) < SHOWN_MIN:
            return None
    return line


def fit_line(x: Array, size: Array, real_s: Array, frame_size: tuple[int, int]) -> GroundLine | None:
    """The line of somebody whose hips are at `x` (T,) and whose body is `size` (T,) long there, pixels; NaN not seen.

    By the pinhole the size of who runs straight is linear in x: size = focal / away · (1 − tan yaw · (x − centre) /
    focal). Least squares over medians of 0.25 s, the slope drawn towards 0 by what the model's slow error alone would
    make of it (James and Stein 1961, positive part): a camera that cannot be told from square is square. What was so
    taken off it may have been right, and is part of its error. None where fewer than 3 medians were seen, or all in one
    place.
    """
    focal, centre = FOCAL_PER_SIDE * max(frame_size), frame_size[0] / 2
    seen = ~np.isnan(x) & ~np.isnan(size)
    block = np.floor((real_s - real_s[0]) / BLOCK_S).astype(int)
    blocks = [np.flatnonzero(seen & (block == i)) for i in np.unique(block[seen])]
    if len(blocks) < 3:
        return None
    columns, sizes, times = (np.array([np.median(of[own]) for own in blocks]) for of in (x, size, real_s))
    middle = float(columns.mean())
    spread = columns - middle
    if np.ptp(spread) < np.median(sizes):
        return None
    weights = spread / np.sum(spread**2)
    seen_slope, doubt = float(weights @ sizes), SIZE_SYS * drift(weights, times) * float(sizes.mean())
    slope = seen_slope * max(0.0, 1 - (doubt / seen_slope) ** 2) if seen_slope else 0.0
    yaw_sys = combine(doubt, seen_slope - slope) / float(sizes.mean()) * focal
    on_axis = float(sizes.mean()) + slope * (centre - middle)
    if on_axis <= 0 or np.min(sizes.mean() + slope * spread) <= 0:
        return None
    return GroundLine(
        away=focal / on_axis, yaw=float(np.arctan(-slope * focal / on_axis)), focal=focal, centre=centre,
        middle=middle, yaw_sys=yaw_sys, scale_sys=SIZE_SYS * drift_of_mean(times),
    )  # fmt: skip
