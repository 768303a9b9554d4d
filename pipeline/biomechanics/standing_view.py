"""From where the camera looks at somebody who stays in one place and looks along the pitch: a batter or a keeper.

Whoever waits for the ball looks at the bowler, so the head shows the pitch's direction; the body must agree: the feet
of a batter stand one behind the other along it, the shoulders and hips of a keeper square to it. Two signs that
contradict each other, or one alone that is not plain, leave the view open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.documents import ViewDocument
from models.requests import Mode, View
from pipeline.biomechanics.errors import Array
from pipeline.biomechanics.motion import Mask, Motion
from pipeline.biomechanics.view import ALONG_MIN, SIDE_MAX, Travel

WAITS = 40.0
"""% of height per second of the hips: slower is waiting."""
WAITS_MIN_S = 0.5
EARS_APART, NOSE_AHEAD = 8.6, 6.3
"""% of height: breadth of the head between the ears, and the nose ahead of them (15 and 11 cm of 175)."""
HEAD_MIN = 2.0
"""% of height that nose and ears must lie apart in one way or the other: less is no head that was seen."""
SHOULDERS_APART, HIPS_APART = 18.0, 10.0
"""% of height between the keypoints of a body seen from the front."""
BASE_ALONG, BASE_SIDE = 18.0, 22.0
"""% of height between a batter's ankles across the picture, where they are widest: 60 apart and 10° off the pitch still
are under 15 across; 27 apart and 35° off square are 22."""
BASE_PERCENTILE = 75.0
"""Of the frames in which the batter waits: the base is widest after the stride, and no single frame decides."""
SURE_MIN, SURE_MAX, SURE_PER_DEG = 0.1, 0.9, 1 / 30
"""Confidence grows with the degrees to the nearest bound, as for a view that travel shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gaze:
    """Which way somebody looks, against the picture's plane."""

    angle: float
    """Degrees, 0: across the picture (seen from the side), 90: along the line of sight."""
    towards: bool
    """Towards the camera, where not across."""


def decide_standing_view(given: ViewDocument, travel: Travel, motion: Motion, mode: Mode) -> ViewDocument:
    """The caller's view of a batter or keeper where there is one; else what head and body show; else as given: unknown.

    The head says it and the body must say the same. Waiting frames alone: hips under 40 % of height/s, 0.5 s at least.
    Who travels as far as a runner is neither.
    """
    if given.value is not None or travel.far_enough:
        return given
    waiting = find_waiting(motion)
    gaze = read_gaze(motion, waiting) if np.sum(waiting) / motion.fps >= WAITS_MIN_S else None
    value = None if gaze is None else name_view(gaze)
    if gaze is None or value is None:
        return given
    body = read_feet(motion, waiting) if mode == "batting" else read_trunk(motion, waiting)
    if body != ("side" if value == "side" else "along"):
        return given
    margin = SIDE_MAX - gaze.angle if value == "side" else gaze.angle - ALONG_MIN
    confidence = float(np.clip(margin * SURE_PER_DEG, SURE_MIN, SURE_MAX))
    return ViewDocument(value=value, source="estimate", confidence=round(confidence, 2))


def name_view(gaze: Gaze) -> View | None:
    """Up to 35° `side`, from 60° `front` or `behind`; None between."""
    if gaze.angle <= SIDE_MAX:
        return "side"
    if gaze.angle < ALONG_MIN:
        return None
    return "front" if gaze.towards else "behind"


def find_waiting(motion: Motion) -> Mask:
    """(T,) frames in which the hips are seen and hardly move."""
    hips = motion.velocity(motion.point("hips"))
    return np.asarray(np.hypot(hips[:, 0], hips[:, 1]) < WAITS)


def read_gaze(motion: Motion, waiting: Mask) -> Gaze | None:
    """Direction of the head, by median over the `waiting` frames (T,); None where it shows none.

    angle = atan2(|ears apart| / 8.6, |nose ahead of them| / 6.3), each across the picture in % of height. An ear that
    is not seen beside one that is lies behind the head: apart by 0. A head from whose back no nose is seen lies along
    the line of sight if both ears are apart.
    """
    left, right, nose = (_across(motion, name)[waiting] for name in ("left_ear", "right_ear", "nose"))
    apart = _median(np.where(np.isnan(left) != np.isnan(right), 0.0, left - right))
    middle = np.where(np.isnan(left), right, np.where(np.isnan(right), left, (left + right) / 2))
    ahead = _median(nose - middle)
    if np.hypot(apart, ahead) < HEAD_MIN:
        return None
    angle = np.degrees(np.arctan2(abs(apart) / EARS_APART, abs(ahead) / NOSE_AHEAD))
    return Gaze(angle=float(angle), towards=apart > 0)


def read_feet(motion: Motion, waiting: Mask) -> str | None:
    """`side` or `along`, by how far a batter's ankles lie apart across the picture; None between, or not seen."""
    base = np.abs(_across(motion, "left_ankle") - _across(motion, "right_ankle"))[waiting]
    base = base[~np.isnan(base)]
    if not len(base):
        return None
    width = float(np.percentile(base, BASE_PERCENTILE))
    return "side" if width >= BASE_SIDE else "along" if width <= BASE_ALONG else None


def read_trunk(motion: Motion, waiting: Mask) -> str | None:
    """`side` or `along`, by how broad a keeper's shoulders and hips look; None between.

    Degrees between their lines and the line of sight = arcsin(mean share of the full breadth).
    """
    shares = [
        _median((_across(motion, f"left_{part}") - _across(motion, f"right_{part}"))[waiting]) / breadth
        for part, breadth in (("shoulder", SHOULDERS_APART), ("hip", HIPS_APART))
    ]
    angle = float(np.degrees(np.arcsin(min(abs(float(np.mean(shares))), 1.0))))
    return "side" if angle <= SIDE_MAX else "along" if angle >= ALONG_MIN else None


def _across(motion: Motion, name: str) -> Array:
    """(T,) place across the picture, % of height."""
    return motion.point(name).path[:, 0] / motion.stature * 100


def _median(values: Array) -> float:
    """Of what was seen; 0 for nothing."""
    seen = values[~np.isnan(values)]
    return float(np.median(seen)) if len(seen) else 0.0
