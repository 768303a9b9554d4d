"""The stills of a report: JPEG pictures cut out around the athlete, skeleton drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from inference.poses import PoseSequence
from models.documents import Results, SubjectDocument
from pipeline.rendering.moments import evidence_rows, key_rows, row_at
from pipeline.rendering.skeleton import CENTRE, OUTLINE, Image, draw_skeleton, resized

STILLS_PER_FINDING = 6
"""One of each ball of an over: who reads "past the mark in 4 of 4" looks for four."""
STILLS_PER_WATCH = 1
STILLS_OF_METRICS = 6
STILLS_OF_REPETITIONS = 6
STILLS_PER_METRIC = 3

_MARGIN = 0.18
"""Of the athlete's longer side, on each side of the crop."""
_WIDEST, _NARROWEST = 4 / 3, 3 / 4
_HEIGHT = 560
"""Pixels of a still: sharp on a phone's dense screen, some 50 KB."""
_ENLARGE = 2.0
"""A small athlete is enlarged up to this much; beyond it there is nothing more to see."""
_OVERVIEW_WIDTH = 960
_JPEG_QUALITY = 82


@dataclass(frozen=True, kw_only=True, slots=True)
class Still:
    """One picture of the report."""

    row: int
    """Of the `PoseSequence`."""
    frame: int
    """Index among decoded frames."""
    time_s: float
    jpeg: bytes
    width: int
    height: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Crop:
    """A rectangle of whole source pixels."""

    left: int
    top: int
    width: int
    height: int


def wanted_rows(results: Results, poses: PoseSequence, limit: int) -> tuple[int, ...]:
    """At most `limit` rows whose frames the report shows: findings, watches, repetitions, then metrics."""
    rows: list[int] = []
    for finding in results.findings.findings:
        rows += evidence_rows(finding.evidence, poses)[:STILLS_PER_FINDING]
    for watch in results.findings.watches:
        rows += evidence_rows(watch.evidence, poses)[:STILLS_PER_WATCH]
    rows += key_rows(results, poses, STILLS_OF_REPETITIONS).values()
    rows += metric_rows(results, poses)
    return tuple(dict.fromkeys(rows))[:limit]


def metric_rows(results: Results, poses: PoseSequence) -> dict[int, list[str]]:
    """Row → ids of the metrics that it shows best: a picture beside the numbers even where nothing was found.

    The most telling row of every metric comes before the second of any.
    """
    rows = {
        name: evidence_rows(metric.evidence, poses)[:STILLS_PER_METRIC]
        for name, metric in results.metrics.items()
        if metric.value is not None
    }
    shown: dict[int, list[str]] = {}
    for place in range(STILLS_PER_METRIC):
        for name, own in rows.items():
            if place < len(own):
                shown.setdefault(own[place], []).append(name)
    return dict(list(shown.items())[:STILLS_OF_METRICS])


def subject_row(results: Results, poses: PoseSequence) -> int:
    """The row that shows who was judged."""
    return row_at(poses, results.subject.time_s)


def athlete_still(image: Image, poses: PoseSequence, row: int) -> Still:
    """The athlete in the inferred frame `row`, cut out of `image` (H, W, 3) RGB, with the skeleton.

    Where the athlete was not seen in this frame there is no skeleton, and the crop is the whole picture.
    """
    crop = crop_around(poses.boxes[row], poses.frame_size)
    scale = min(_HEIGHT / crop.height, _ENLARGE)
    size = (max(1, round(crop.width * scale)), max(1, round(crop.height * scale)))
    cut = image[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    canvas = resized(cut, size)
    offset = np.array([crop.left, crop.top], dtype=np.float32)
    ratio = np.array([size[0] / crop.width, size[1] / crop.height], dtype=np.float32)
    draw_skeleton(canvas, (poses.keypoints[row] - offset) * ratio, poses.confidence[row], poses.skeleton)
    return _still(canvas, poses, row)


def overview_still(image: Image, poses: PoseSequence, row: int, subject: SubjectDocument) -> Still:
    """The whole picture with a box around the athlete, everybody else dimmed."""
    width, height = poses.frame_size
    scale = min(1.0, _OVERVIEW_WIDTH / width)
    canvas = resized(image, (max(1, round(width * scale)), max(1, round(height * scale))))
    left, top, right, bottom = (round(edge * scale) for edge in subject.box)
    inside = (slice(max(0, top), max(0, bottom)), slice(max(0, left), max(0, right)))
    lit = canvas[inside].copy()
    canvas = cv2.convertScaleAbs(canvas, alpha=0.6).astype(np.uint8, copy=False)
    canvas[inside] = lit
    for colour, thickness in ((OUTLINE, 5), (CENTRE, 2)):
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, thickness, cv2.LINE_AA)
    return _still(canvas, poses, row)


def crop_around(box: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float32]], frame: tuple[int, int]) -> Crop:
    """The part of a `frame` (width, height) to show for an athlete's `box` (x1 y1 x2 y2); all of it for NaN.

    The box grows by a margin, then to a shape between 3:4 and 4:3 so that stills sit well beside one another, and is
    moved into the picture; it is smaller only where the picture is.
    """
    frame_width, frame_height = frame
    if not np.isfinite(box).all():
        return Crop(left=0, top=0, width=frame_width, height=frame_height)
    x1, y1, x2, y2 = (float(edge) for edge in box)
    margin = 2 * _MARGIN * max(x2 - x1, y2 - y1)
    width, height = x2 - x1 + margin, y2 - y1 + margin
    width, height = max(width, height * _NARROWEST), max(height, width / _WIDEST)
    whole_width = min(max(1, round(width)), frame_width)
    whole_height = min(max(1, round(height)), frame_height)
    left = round(np.clip((x1 + x2 - whole_width) / 2, 0, frame_width - whole_width))
    top = round(np.clip((y1 + y2 - whole_height) / 2, 0, frame_height - whole_height))
    return Crop(left=left, top=top, width=whole_width, height=whole_height)


def _still(canvas: Image, poses: PoseSequence, row: int) -> Still:
    flags = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR), flags)
    return Still(
        row=row,
        frame=int(poses.frame_indices[row]),
        time_s=float(poses.timestamps_s[row]),
        jpeg=jpeg.tobytes(),
        width=canvas.shape[1],
        height=canvas.shape[0],
    )
