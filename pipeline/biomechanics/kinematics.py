"""Geometry of the body in the picture: pure formulas on point paths.

Points are (..., 2) arrays in pixels with **y upwards**. NaN in, NaN out. Proportions of the body are those of Drillis
and Contini (1966), as fractions of stature; its masses those of Winter (2009).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EYE_TO_ANKLE = 0.897
"""Eye height 0.936 minus ankle height 0.039."""
ANKLE_HEIGHT = 0.039
HEAD, TRUNK, UPPER_ARM, FOREARM, THIGH, SHANK = 0.081, 0.497, 0.028, 0.022, 0.100, 0.061
"""Shares of the body's mass (Winter 2009, table 4.1); forearm with the hand, shank with the foot, one of each pair."""
TRUNK_AT, UPPER_ARM_AT, FOREARM_AT, THIGH_AT, SHANK_AT = 0.50, 0.436, 0.682, 0.433, 0.606
"""Where a segment's centre lies on the way from its upper joint to its lower one (same table)."""


def compute_joint_angle(proximal: Array, joint: Array, distal: Array) -> Array:
    """Angle at `joint` between its two neighbours, degrees, 0..180; 180 is straight.

    Formula: atan2(|a × b|, a · b) of the two limbs seen from the joint. Two coinciding points give NaN: no direction.
    Shapes: (..., 2) each → (...).
    """
    a, b = proximal - joint, distal - joint
    cross = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    dot = np.sum(a * b, axis=-1)
    angle = np.degrees(np.arctan2(np.abs(cross), dot))
    degenerate = (np.hypot(a[..., 0], a[..., 1]) == 0) | (np.hypot(b[..., 0], b[..., 1]) == 0)
    return np.where(degenerate, np.nan, angle)


def compute_tilt(upper: Array, lower: Array) -> Array:
    """Lean of the line lower → upper against the vertical, degrees, -180..180; positive to the picture's right.

    Formula: atan2(Δx, Δy). Coinciding points give NaN. Shapes: (..., 2) each → (...).
    """
    delta = upper - lower
    tilt = np.degrees(np.arctan2(delta[..., 0], delta[..., 1]))
    return np.where(np.hypot(delta[..., 0], delta[..., 1]) == 0, np.nan, tilt)


def compute_eye_to_ankle(keypoints: dict[str, Array], *, in_plane: bool = False) -> Array:
    """Length of the body along its chain, pixels: eyes, shoulders, hips, then a leg to its ankle.

    In the picture's plane it does not change with posture, unlike the straight line from eye to ankle, with which it
    agrees when standing. The longer leg of the two, since one that bends towards the camera looks short; `in_plane`:
    none does, and the mean of both legs, for of two noisy lengths the longer one is too long. `keypoints` holds (T, 2)
    paths by COCO name; (T,) comes back, NaN where a link is missing.
    """
    eyes = _mean_of_seen(keypoints["left_eye"], keypoints["right_eye"])
    shoulders = (keypoints["left_shoulder"] + keypoints["right_shoulder"]) / 2
    hips = (keypoints["left_hip"] + keypoints["right_hip"]) / 2
    legs = [
        _length(keypoints[f"{side}_hip"], keypoints[f"{side}_knee"])
        + _length(keypoints[f"{side}_knee"], keypoints[f"{side}_ankle"])
        for side in ("left", "right")
    ]
    leg = _mean_of_seen(legs[0], legs[1]) if in_plane else np.fmax(legs[0], legs[1])
    return _length(eyes, shoulders) + _length(shoulders, hips) + leg


def _length(a: Array, b: Array) -> Array:
    delta = a - b
    return np.asarray(np.hypot(delta[..., 0], delta[..., 1]))


def _mean_of_seen(a: Array, b: Array) -> Array:
    mean = (a + b) / 2
    return np.where(np.isnan(mean), np.where(np.isnan(a), b, a), mean)


def compute_size(chain: Array, times: Array, half_window: float, *, in_plane: bool = False) -> Array:
    """Stature in pixels over time: the upper quartile of chain / 0.897 within ± `half_window` seconds.

    The upper quartile, because foreshortening only ever shortens; `in_plane`: the median, because nothing foreshortens
    and the upper quartile would take the noise for length (2 % of it, with the model's slow error). Frames without a
    value take the nearest one; no value at all gives NaN. Shapes: (T,), (T,) → (T,).
    """
    size = np.full(len(times), np.nan)
    good = np.flatnonzero(~np.isnan(chain))
    if len(good) < 5:
        return size
    start = np.searchsorted(times[good], times - half_window, side="left")
    end = np.searchsorted(times[good], times + half_window, side="right")
    values, share = chain[good] / EYE_TO_ANKLE, 50 if in_plane else 75
    for i, (a, b) in enumerate(zip(start, end, strict=True)):
        if b - a >= 5:
            size[i] = np.percentile(values[a:b], share)
    known = np.flatnonzero(~np.isnan(size))
    if len(known) == 0:
        return np.full(len(times), np.percentile(values, share))
    return np.asarray(np.interp(times, times[known], size[known]))


def compute_centre(at: dict[str, Array], near: str) -> Array:
    """Centre of mass along one axis, from the joints' places along it by COCO name and `head`, `shoulders`, `hips`."""

    def between(upper: str, lower: str, share: float) -> Array:
        return at[upper] + share * (at[lower] - at[upper])

    arm = UPPER_ARM * between(f"{near}_shoulder", f"{near}_elbow", UPPER_ARM_AT)
    arm = arm + FOREARM * between(f"{near}_elbow", f"{near}_wrist", FOREARM_AT)
    legs = sum(
        THIGH * between(f"{side}_hip", f"{side}_knee", THIGH_AT)
        + SHANK * between(f"{side}_knee", f"{side}_ankle", SHANK_AT)
        for side in ("left", "right")
    )
    return np.asarray(HEAD * at["head"] + TRUNK * between("shoulders", "hips", TRUNK_AT) + 2 * arm + legs)
