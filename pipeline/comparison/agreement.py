"""How far two models' poses of the same frames agree. Pure functions on arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from inference.extract import Extraction
from inference.poses import FloatArray, PoseSequence
from inference.tracks import CONFIDENT
from pipeline.comparison.body import Array, Body, Mask, body_of
from pipeline.comparison.documents import AgreementDocument, JointDocument, Sides

SAME_PERSON = 0.5
"""IoU of two boxes from which they are one person's."""
AREA = 0.53
"""Of a person in its box: what Ultralytics' validation takes where a person's outline is not known."""
SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
"""Of COCO-17's keypoints: how far two people who mark one are apart (cocodataset.org, keypoints evaluation)."""


def agreement(one: Extraction, other: Extraction) -> AgreementDocument:
    """What both say of the frames of one clip that both looked at. Raises ValueError where they share none."""
    a, b = shared_frames(one.poses, other.poses)
    similarity = compute_oks(a, b)
    turned = compute_oks(a, b, exchanged=True)
    bodies = body_of(a), body_of(b)
    jitter_a, jitter_b = bodies[0].noise_beside(bodies[1])
    means, turned_means = (_row_means(values) for values in (similarity, turned))
    both = a.seen & b.seen
    return AgreementDocument(
        frames=len(a.timestamps_s),
        both=int(both.sum()),
        other_person=int(np.sum(compute_iou(a.boxes, b.boxes)[both] < SAME_PERSON)),
        oks=_rounded(means, 50, mean=True),
        oks_p5=_rounded(means, 5),
        mirrored_against=int(np.sum(turned_means > means)),
        joints=_joints(a.skeleton.keypoint_names, similarity, bodies),
        a=Sides(**bodies[0].sides()),
        b=Sides(**bodies[1].sides()),
        people_a=one.subject.people,
        people_b=other.subject.people,
        jitter_a_pct=_rounded(jitter_a, 50),
        jitter_b_pct=_rounded(jitter_b, 50),
    )


def shared_frames(a: PoseSequence, b: PoseSequence) -> tuple[PoseSequence, PoseSequence]:
    """Both cut down to the frames that are in both: QUICK looks further where nobody is in its window.

    Raises ValueError where there are none, or the skeletons are not the same.
    """
    frames, rows_a, rows_b = np.intersect1d(a.frame_indices, b.frame_indices, assume_unique=True, return_indices=True)
    if not len(frames) or a.skeleton != b.skeleton:
        raise ValueError("poses of other frames or of another skeleton cannot be compared")
    return _rows(a, rows_a), _rows(b, rows_b)


def compute_oks(a: PoseSequence, b: PoseSequence, *, exchanged: bool = False) -> Array:
    """Object keypoint similarity (T, 17), 0..1, of each keypoint; NaN unless both are confident of it.

    exp(-d² / (2 s² k²)) with d the distance in pixels, s² the mean of both boxes' areas times 0.53, and k = 2σ
    (cocodataset.org, keypoints evaluation). `exchanged`: left and right of `b` change places first.
    """
    order = np.arange(len(SIGMAS))
    if exchanged:
        for left, right in a.skeleton.left_right:
            order[[left, right]] = right, left
    known = (a.confidence >= CONFIDENT) & (b.confidence[:, order] >= CONFIDENT)
    squares = np.sum((a.keypoints.astype(float) - b.keypoints[:, order].astype(float)) ** 2, axis=-1)
    area = AREA * (_areas(a.boxes) + _areas(b.boxes)) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        similarity = np.exp(-squares / (2 * area[:, None] * (2 * SIGMAS) ** 2))
    return np.where(known, similarity, np.nan)


def compute_iou(one: FloatArray, other: FloatArray) -> Array:
    """Intersection over union (T,) of boxes (T, 4) x1 y1 x2 y2; NaN where either is."""
    low, high = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])
    shared = np.prod(np.clip((high - low).astype(float), 0, None), axis=1)
    return np.asarray(shared / (_areas(one) + _areas(other) - shared), float)


def _joints(names: tuple[str, ...], similarity: Array, bodies: tuple[Body, Body]) -> dict[str, JointDocument]:
    apart = np.linalg.norm(bodies[0].path - bodies[1].path, axis=-1)
    return {
        name: JointDocument(
            frames=int(np.isfinite(similarity[:, k]).sum()),
            oks=round(float(np.nanmean(similarity[:, k])), 4),
            distance_pct=_rounded(apart[:, k], 50),
        )
        for k, name in enumerate(names)
        if np.isfinite(similarity[:, k]).any()
    }


def _rows(poses: PoseSequence, rows: NDArray[np.intp]) -> PoseSequence:
    return replace(
        poses,
        keypoints=poses.keypoints[rows],
        confidence=poses.confidence[rows],
        boxes=poses.boxes[rows],
        timestamps_s=poses.timestamps_s[rows],
        frame_indices=poses.frame_indices[rows],
    )


def _areas(boxes: FloatArray) -> Array:
    wide = boxes.astype(float)
    return np.asarray((wide[:, 2] - wide[:, 0]) * (wide[:, 3] - wide[:, 1]), float)


def _row_means(values: Array) -> Array:
    """(T,) mean of the known values of each row, NaN where none is."""
    known: Mask = np.isfinite(values)
    counts = known.sum(axis=1)
    return np.where(counts > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(counts, 1), np.nan)


def _rounded(values: Array, percent: float, *, mean: bool = False) -> float | None:
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    return round(float(known.mean() if mean else np.percentile(known, percent)), 4)
