"""What a recording does to a clip without the athlete doing anything else: pure functions from a `Clip` to another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from cricketer.body import KEYPOINT, Array
from cricketer.camera import FRAME
from cricketer.clips import Clip
from inference.poses import COCO_17

GAP_S = 0.08
"""Short enough to be bridged."""
UNSEEN = 0.1
"""Confidence of a keypoint that is not to be believed."""
MARGIN_PX = 2000.0
OTHER_SIDE = COCO_17.exchanged()


def with_points(
    one: Clip, points: Array, confidence: Array | None = None, times: Array | None = None, **changed: Any
) -> Clip:
    """The clip with other keypoints (T, 17, 2), their boxes fitted; `changed`: other fields of its poses."""
    boxes = np.full((len(points), 4), np.nan)
    seen = ~np.isnan(points[..., 0]).all(axis=1)
    boxes[seen] = np.concatenate((np.nanmin(points[seen], axis=1) - 5, np.nanmax(points[seen], axis=1) + 5), axis=1)
    poses = replace(
        one.poses, keypoints=points.astype(np.float32), boxes=boxes.astype(np.float32),
        confidence=one.poses.confidence if confidence is None else confidence.astype(np.float32),
        timestamps_s=one.poses.timestamps_s if times is None else times, **changed,
    )  # fmt: skip
    return replace(one, poses=poses)


def hidden(one: Clip, keypoints: Iterable[str], start_s: float = -np.inf, end_s: float = np.inf) -> Clip:
    """Keypoints not seen over a span, seconds of the (first) movement."""
    confidence = one.poses.confidence.copy()
    own = one.poses.timestamps_s - one.starts[0]
    for name in keypoints:
        confidence[(own >= start_s) & (own <= end_s), KEYPOINT[name]] = UNSEEN
    return with_points(one, one.poses.keypoints, confidence)


def gappy(one: Clip) -> Clip:
    """The whole body is lost for 0.08 s once in 0.85 s, never within 0.06 s of an event."""
    confidence = one.poses.confidence.copy()
    own = one.poses.timestamps_s - one.starts[0]
    moments = np.array(list(one.movements[0].events.values()))
    near = np.abs(own[:, None] - moments).min(axis=1) <= 0.06
    confidence[(own % 0.85 < GAP_S) & ~near] = UNSEEN
    return with_points(one, one.poses.keypoints, confidence)


def mirrored(one: Clip) -> Clip:
    """As a camera with a mirror films it: the picture turned round, left and right exchanged, the hand said with it."""
    points = one.poses.keypoints[:, OTHER_SIDE].copy()
    points[..., 0] = one.poses.frame_size[0] - points[..., 0]
    hand = {"right": "left", "left": "right"}.get(one.context.options.handedness or "")
    options = one.context.options.model_copy(update={"handedness": hand})
    turned = with_points(one, points, one.poses.confidence[:, OTHER_SIDE])
    return replace(turned, context=replace(one.context, options=options))


def slowed(one: Clip, factor: float = 4.0) -> Clip:
    """Slow motion, and the caller says so."""
    options = one.context.options.model_copy(update={"slowmo_factor": factor})
    slow = with_points(one, one.poses.keypoints, times=one.poses.timestamps_s * factor)
    starts = tuple(start * factor for start in one.starts)
    return replace(slow, context=replace(one.context, options=options), starts=starts)


def moved(one: Clip, *, right: float = 0.0, down: float = 0.0, scale: float = 1.0, later: float = 0.0) -> Clip:
    """The film `scale` times as large, moved by pixels, and begun `later` seconds after; in a picture four times as
    wide, so that nobody leaves it. Compare with a clip that was `moved` by nothing.
    """
    points = (one.poses.keypoints.astype(np.float64) + MARGIN_PX) * scale + np.array([right, down])
    frame = round(4 * FRAME[0] * scale), round(4 * FRAME[1] * scale)
    away = with_points(one, points, times=one.poses.timestamps_s + later, frame_size=frame)
    return replace(away, starts=tuple(start + later for start in one.starts))
