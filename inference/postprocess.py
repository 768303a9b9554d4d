"""Tensors of a YOLO pose head → poses in source pixels. The one door behind which no tensor layout is known.

A raw tensor is (C, A): for each of A anchors the box (centre x, centre y, width, height), the score, and K triples
(x, y, confidence), all in input pixels and 0..1. Thresholds are the defaults of Ultralytics' `predict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.errors import BackendUnavailable
from inference.poses import FloatArray, Pose
from inference.preprocess import Letterbox

_BOX_AND_SCORE = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which candidates count as people."""

    confidence: float = 0.25
    """Scores above this, 0..1."""
    overlap: float = 0.7
    """A box with more IoU than this with a better one is the same person."""
    limit: int = 300
    """At most so many people a picture, the best first."""


def poses_from_raw(
    raw: FloatArray, letterboxes: Sequence[Letterbox], *, keypoints: int, selection: Selection | None = None
) -> list[list[Pose]]:
    """(N, 5 + 3K, A) float32 and the N letterboxes of its pictures → the people of each picture, best score first.

    Raises BackendUnavailable if the tensor is not laid out as this module's first lines say.
    """
    channels = _BOX_AND_SCORE + 3 * keypoints
    if raw.ndim != 3 or raw.shape[:2] != (len(letterboxes), channels):
        raise BackendUnavailable(
            f"the model's output is {raw.shape}, not ({len(letterboxes)}, {channels}, anchors): "
            f"only YOLO pose heads with one class, {keypoints} keypoints and no built-in suppression are supported"
        )
    chosen = selection or Selection()
    return [_poses(picture, letterbox, chosen) for picture, letterbox in zip(raw, letterboxes, strict=True)]


def poses_from_rows(
    rows: FloatArray, letterboxes: Sequence[Letterbox], *, keypoints: int, selection: Selection | None = None
) -> list[list[Pose]]:
    """(N, R, 6 + 3K) float32, people already told from each other → the people of each picture, best score first.

    A row is x1 y1 x2 y2, score, class and K triples, in input pixels and 0..1. Raises BackendUnavailable for another
    layout.
    """
    columns = _BOX_AND_SCORE + 1 + 3 * keypoints
    if rows.ndim != 3 or (len(rows), rows.shape[2]) != (len(letterboxes), columns):
        raise BackendUnavailable(f"the model's output is {rows.shape}, not ({len(letterboxes)}, people, {columns})")
    chosen = selection or Selection()
    return [_people(picture, letterbox, chosen) for picture, letterbox in zip(rows, letterboxes, strict=True)]


def suppress(boxes: FloatArray, scores: FloatArray, *, overlap: float, limit: int) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: indices of the boxes to keep, best score first.

    `boxes` is (N, 4) x1 y1 x2 y2, `scores` (N,). Ties keep their order. IoU is computed in float32, as in torchvision.
    """
    order = np.argsort(-scores, kind="stable")
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[np.intp] = []
    while len(order) and len(kept) < limit:
        best, rest = order[0], order[1:]
        kept.append(best)
        corners = np.maximum(boxes[best, :2], boxes[rest, :2]), np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.clip(corners[1] - corners[0], 0.0, None).prod(axis=1)
        # Multiplied out, so that boxes without area divide nothing by zero.
        order = rest[shared <= overlap * (areas[best] + areas[rest] - shared)]
    return np.asarray(kept, dtype=np.intp)


def _poses(raw: FloatArray, letterbox: Letterbox, selection: Selection) -> list[Pose]:
    """(5 + 3K, A) → the people of one picture."""
    people = raw[:, raw[4] > selection.confidence].T
    centre, half = people[:, :2], people[:, 2:4] / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    kept = suppress(boxes, people[:, 4], overlap=selection.overlap, limit=selection.limit)
    triples = people[kept, _BOX_AND_SCORE:].reshape(len(kept), (len(raw) - _BOX_AND_SCORE) // 3, 3)
    return _in_source(boxes[kept], people[kept, 4], triples, letterbox)


def _people(rows: FloatArray, letterbox: Letterbox, selection: Selection) -> list[Pose]:
    """(R, 6 + 3K) → the people of one picture."""
    people = rows[rows[:, 4] > selection.confidence]
    people = people[np.argsort(-people[:, 4], kind="stable")][: selection.limit]
    triples = people[:, _BOX_AND_SCORE + 1 :].reshape(len(people), (rows.shape[1] - _BOX_AND_SCORE - 1) // 3, 3)
    return _in_source(people[:, :4], people[:, 4], triples, letterbox)


def _in_source(boxes: FloatArray, scores: FloatArray, triples: FloatArray, letterbox: Letterbox) -> list[Pose]:
    """(P, 4) x1 y1 x2 y2, (P,) and (P, K, 3) in input pixels → P poses in source pixels."""
    points = letterbox.to_source(triples[:, :, :2])
    corners = letterbox.to_source(boxes.reshape(-1, 2, 2)).reshape(-1, 4)
    return [
        Pose(keypoints=points[i], confidence=triples[i, :, 2].copy(), box=corners[i], score=float(score))
        for i, score in enumerate(scores)
    ]
