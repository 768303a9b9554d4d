"""The cleaned movement of one athlete: what every event and metric reads.

`prepare` runs the whole chain of `signals` and `sides` once. Positions are pixels with **y upwards**; `Motion.stature`
turns lengths into % of height. Times exist twice: `times_s` is the clip's clock, `real_s` the athlete's (slow motion
undone, from the first frame on).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.poses import PoseSequence
from pipeline.biomechanics import kinematics, signals
from pipeline.biomechanics.errors import POSITION_SYS, Point
from pipeline.biomechanics.sides import FOOT, SideReport, repair_sides

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Band = Literal["posture", "contact", "arm"]

CUTOFF_HZ: dict[Band, float] = {"posture": 6.0, "contact": 12.0, "arm": 18.0}
OUTLIER_FLOOR = 0.03
"""A sample within 3 % of stature of its neighbours' fit is never an outlier."""
HEAD = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
CORE = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
EDGE_PX = 2.0
CLOCK_DIGITS = 6
COMES = 1.33
"""Largest size / smallest: more is another distance from the camera."""
NOISE_DEFAULT = 0.005
"""Share of stature: white noise where too few samples are left to measure it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Motion:
    """One athlete over T distinct frames."""

    names: tuple[str, ...]
    times_s: Array
    """(T,) seconds of the clip."""
    frames: NDArray[np.int64]
    """(T,) indices among decoded frames."""
    slowmo: float
    fps: float
    """Distinct real frames a second (median)."""
    well_seen: Mask
    """(T,) hips, shoulders and at least one whole leg were seen."""
    trusted: Mask
    """(T, K) seen in this very frame, not interpolated, not withdrawn."""
    cleaned: Array
    """(T, K, 2) as the model saw it, sides repaired and outliers out, not low-passed, no gap filled."""
    bands: dict[Band, Array]
    """(T, K, 2) low-passed paths by cut-off."""
    noise: Array
    """(K,) white noise of the raw paths per axis, pixels."""
    stature: Array
    """(T,) pixels, the scale of every length."""
    stature_local: Array
    """(T,) pixels within ± 0.5 s, also where `stature` is constant: tells coming from going."""
    head: tuple[str, ...]
    """The head's keypoints that are seen throughout."""
    foot: dict[str, tuple[str, ...]]
    """Of `left` and `right`: the ankle, and what else of the foot the skeleton has and is seen throughout."""
    sides: SideReport
    overlap: Array
    """(T,) share of the athlete's box that another person's covers; NaN where not known."""

    @property
    def real_s(self) -> Array:
        """(T,) seconds as the athlete lived them, since the first frame; see `real_times`."""
        return real_times(self.times_s, self.slowmo)

    def to_real(self, time_s: float) -> float:
        """A time of the clip on the clock of `real_s`."""
        return round((time_s - float(self.times_s[0])) / self.slowmo, CLOCK_DIGITS)

    def to_clip(self, real_s: float) -> float:
        """A time on the clock of `real_s` as one of the clip."""
        return float(self.times_s[0]) + real_s * self.slowmo

    @property
    def frame_s(self) -> float:
        """Clip seconds between frames."""
        return self.slowmo / self.fps

    def point(self, name: str, band: Band = "posture") -> Point:
        """A keypoint, or `head`, `hips`, `shoulders`, `feet` (ankles), `hands` (wrists), `left_foot`, `right_foot`.

        The mean of their keypoints. Distances are from ankles with every skeleton, so that they can be compared; a
        foot as a whole tells when it steps.
        """
        groups = (
            {"head": self.head}
            | {f"{side}_foot": members for side, members in self.foot.items()}
            | {
                plural: (f"left_{one}", f"right_{one}")
                for plural, one in (("hips", "hip"), ("shoulders", "shoulder"), ("feet", "ankle"), ("hands", "wrist"))
            }
        )
        members = groups.get(name, (name,))
        if not members:
            nowhere = np.full((len(self.times_s), 2), np.nan)
            return Point(
                path=nowhere, sigma=float("nan"), slow=nowhere[:, 0], trusted=np.zeros(len(nowhere), dtype=bool)
            )
        index = [self.names.index(member) for member in members]
        left = signals.noise_shares(CUTOFF_HZ[band], self.fps)[1]
        whole = name == "head" or name.endswith("_foot")  # what belongs together drifts together
        independent = 1 if whole else len(members)
        return Point(
            path=self.bands[band][:, index].mean(axis=1),
            sigma=float(np.sqrt(np.sum(self.noise[index] ** 2)) * left / len(index)),
            slow=POSITION_SYS / 100 * self.stature / np.sqrt(independent),
            trusted=np.all(self.trusted[:, index], axis=1),
        )

    def points(self, names: Sequence[str], band: Band = "posture") -> list[Point]:
        """Several of `point`."""
        return [self.point(name, band) for name in names]

    def at(self, time_s: float) -> int:
        """Index of the frame nearest to a time of the clip; of two as near the first."""
        return int(np.argmin(np.round(np.abs(self.real_s - self.to_real(time_s)), CLOCK_DIGITS)))

    def window(self, start_s: float, end_s: float) -> NDArray[np.intp]:
        """Indices of the frames within a span of the clip, its ends included to a quarter of a frame."""
        real, slack = self.real_s, 0.25 / self.fps
        return np.flatnonzero((real >= self.to_real(start_s) - slack) & (real <= self.to_real(end_s) + slack))

    def fps_near(self, start_s: float, end_s: float) -> float:
        """Distinct real frames a second around a span: median within it and a quarter of a real second each side."""
        margin = 0.25 * self.slowmo
        return 1 / signals.typical_interval(self.real_s[self.window(start_s - margin, end_s + margin)])

    def has_gap(self, start_s: float, end_s: float) -> bool:
        """Whether frames are missing in a span: an interval over 1.5 of its median."""
        margin = self.frame_s
        own = self.real_s[self.window(start_s - margin, end_s + margin)]
        return len(own) < 2 or bool(np.diff(own).max() > 1.5 * np.median(np.diff(own)))

    def velocity(self, point: Point) -> Array:
        """(T, 2) % of height per real second, y upwards; NaN at the edges of what was seen."""
        return np.gradient(point.path, self.real_s, axis=0) / self.stature[:, None] * 100


def prepare(
    poses: PoseSequence,
    slowmo: float,
    *,
    constant_view: bool,
    in_plane: bool = False,
    upright: bool = False,
    overlap: NDArray[np.float32] | None = None,
) -> Motion:
    """Clean `poses`. `constant_view`: the camera looks square, so that distance and scale hardly change.

    `in_plane`: it does so at somebody who runs, whose limbs swing in the picture's plane and never look short; the
    knees of who crouches or stands to bat point anywhere.

    `upright`: nobody crouches, so whose size changes by a third comes or goes, even where their feet hardly move in the
    picture, as of a bowler seen from behind.

    `overlap`: for each frame of `poses`, the share of the athlete's box that another person's covers, where known.

    Raises ValueError for fewer than two distinct frames: there is no movement to measure.
    """
    keep = signals.distinct_frames(poses.keypoints.astype(np.float64))
    times_s = poses.timestamps_s[keep]
    if len(times_s) < 2:
        raise ValueError("fewer than two distinct frames")
    real = real_times(times_s, slowmo)
    fps = round(slowmo / signals.typical_interval(times_s), 3)
    names = poses.skeleton.keypoint_names
    raw = poses.keypoints[keep].astype(np.float64) * np.array([1.0, -1.0])
    confidence = np.nan_to_num(poses.confidence[keep].astype(np.float64), nan=0.0)
    confidence[_cut_off(poses.boxes[keep], poses.frame_size)] = 0.0
    raw = signals.mask_doubtful(raw, confidence)

    paths = {name: raw[:, i] for i, name in enumerate(names)}
    chain = kinematics.compute_eye_to_ankle(paths, in_plane=in_plane)
    local = kinematics.compute_size(chain, real, 0.5, in_plane=in_plane)
    stature = _steady_size(
        chain, local, real, raw, names, constant_view=constant_view, in_plane=in_plane, upright=upright
    )
    raw, report = repair_sides(raw, real, stature, poses.skeleton)
    cleaned = raw.copy()
    if np.isfinite(stature).all():
        floor = OUTLIER_FLOOR * float(np.median(stature))
        for k in range(len(names)):
            cleaned[:, k] = signals.reject_outliers(raw[:, k], real, floor)
    trusted = ~np.isnan(cleaned[..., 0])
    filled = np.stack([signals.fill_gaps(cleaned[:, k], real) for k in range(len(names))], axis=1)
    bands = {
        band: np.stack([signals.smooth(filled[:, k], real, cutoff) for k in range(len(names))], axis=1)
        for band, cutoff in CUTOFF_HZ.items()
    }
    noise = np.array(
        [signals.white_noise(cleaned[:, k], bands["contact"][:, k], trusted[:, k], CUTOFF_HZ["contact"], fps)
         for k in range(len(names))]
    )  # fmt: skip
    noise = np.where(np.isnan(noise), NOISE_DEFAULT * np.median(stature), noise)
    seen = ~np.isnan(raw[..., 0])
    return Motion(
        names=names, times_s=times_s, frames=poses.frame_indices[keep], slowmo=slowmo, fps=fps,
        well_seen=_well_seen(confidence, names), trusted=trusted, cleaned=cleaned, bands=bands, noise=noise,
        stature=stature, stature_local=local, head=_steady(seen, names, HEAD),
        foot={side: _steady_foot(seen, names, side) for side in ("left", "right")}, sides=report,
        overlap=np.full(len(times_s), np.nan) if overlap is None else overlap[keep].astype(np.float64),
    )  # fmt: skip


def real_times(times_s: Array, slowmo: float) -> Array:
    """(T,) seconds as the athlete lived them since the first of `times_s` (T,), to the microsecond.

    Rounded, for spans of the rules are whole numbers of frames at usual rates (0.5 s is 30 of them): whether the frame
    at its edge belongs to it must not turn on the last digit of a clock that began earlier or runs slower.
    """
    return np.asarray(np.round((times_s - times_s[0]) / slowmo, CLOCK_DIGITS))


def _cut_off(boxes: NDArray[np.float32], frame_size: tuple[int, int]) -> Mask:
    """(T,) where the athlete reaches the left or right edge of the picture: the model invents what lies beyond."""
    return np.asarray((boxes[:, 0] <= EDGE_PX) | (boxes[:, 2] >= frame_size[0] - EDGE_PX), dtype=bool)


def _steady_size(
    chain: Array,
    local: Array,
    real: Array,
    raw: Array,
    names: tuple[str, ...],
    *,
    constant_view: bool,
    in_plane: bool,
    upright: bool,
) -> Array:
    """One stature for the whole clip where the distance is known to hold, else the local one."""
    if np.isnan(local).all():
        return local
    feet = raw[:, [names.index("left_ankle"), names.index("right_ankle")]].mean(axis=1)
    feet = feet[~np.isnan(feet[:, 0])]
    change = float(np.percentile(local, 95) / np.percentile(local, 5))
    stays = len(feet) > 0 and bool(np.ptp(feet, axis=0).max() < 0.6 * np.median(local))
    stays &= not (upright and change > COMES)
    holds = constant_view and change < 1.12
    if stays or holds:
        return kinematics.compute_size(chain, real, float("inf"), in_plane=in_plane)
    return local


def _well_seen(confidence: Array, names: tuple[str, ...]) -> Mask:
    sure = {name: confidence[:, i] >= signals.CONFIDENCE_MIN for i, name in enumerate(names)}
    core = np.all([sure[name] for name in CORE], axis=0)
    leg = (sure["left_knee"] & sure["left_ankle"]) | (sure["right_knee"] & sure["right_ankle"])
    return np.asarray(core & leg, dtype=bool)


def _steady(seen: Mask, names: tuple[str, ...], members: Iterable[str]) -> tuple[str, ...]:
    """Those of some keypoints seen in 4 of 5 frames: a mean over changing members would jump with their number."""
    present = seen.any(axis=1)
    if not present.any():
        return ()
    return tuple(name for name in members if seen[present, names.index(name)].mean() >= 0.8)


def _steady_foot(seen: Mask, names: tuple[str, ...], side: str) -> tuple[str, ...]:
    """The ankle, and the rest of a foot as far as it is seen in 4 of 5 of the frames that show the ankle."""
    ankle, rest = f"{side}_ankle", [f"{side}_{joint}" for joint in FOOT]
    with_ankle = seen[seen[:, names.index(ankle)]]
    return ankle, *_steady(with_ankle, names, [name for name in rest if name in names])
