"""How far two models' poses of the same frames agree. Pure functions on arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from inference.extract import Extraction
from inference.poses import COCO_17, FloatArray, PoseSequence, Skeleton
from inference.tracks import CONFIDENT
from pipeline.comparison.body import Array, Body, Mask, body_of
from pipeline.comparison.documents import AgreementDocument, JointDocument, Sides

SAME_PERSON = 0.5
"""IoU of two boxes from which they are one person's."""
AREA = 0.53
"""Of a person in its box: what Ultralytics' validation takes where a person's outline is not known."""
SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062, "hip": 0.107,
    "knee": 0.087, "ankle": 0.089, "big_toe": 0.089, "small_toe": 0.089, "heel": 0.089,
}  # fmt: skip
"""How far two people who mark a keypoint are apart, by joint: COCO-17's (cocodataset.org, keypoints evaluation), and of
feet what Halpe-FullBody's own evaluation takes (github.com/Fang-Haoshu/Halpe-FullBody, cocoeval.py)."""
SIGMA_MIDDLE = 0.08
"""The same evaluation's for `head`, `neck` and `hip`, in the body's middle."""


def agreement(one: Extraction, other: Extraction) -> AgreementDocument:
    """What both say of the frames of one clip that both looked at. Raises ValueError where they share none."""
    a, b = shared_keypoints(*shared_frames(one.poses, other.poses))
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

    Raises ValueError where there are none.
    """
    frames, rows_a, rows_b = np.intersect1d(a.frame_indices, b.frame_indices, assume_unique=True, return_indices=True)
    if not len(frames):
        raise ValueError("poses of other frames cannot be compared")
    return _rows(a, rows_a), _rows(b, rows_b)


def shared_keypoints(a: PoseSequence, b: PoseSequence) -> tuple[PoseSequence, PoseSequence]:
    """Both cut down to COCO-17, which every model has, where one of them has more. Raises KeyError if it has not."""
    return (a, b) if a.skeleton == b.skeleton else (a.only(COCO_17), b.only(COCO_17))


def compute_oks(a: PoseSequence, b: PoseSequence, *, exchanged: bool = False) -> Array:
    """Object keypoint similarity (T, K), 0..1, of each keypoint; NaN unless both are confident of it.

    exp(-d² / (2 s² k²)) with d the distance in pixels, s² the mean of both boxes' areas times 0.53, and k = 2σ
    (cocodataset.org, keypoints evaluation). `exchanged`: left and right of `b` change places first.
    """
    order = b.skeleton.exchanged() if exchanged else list(range(len(b.skeleton.keypoint_names)))
    sigmas = _sigmas(a.skeleton)
    known = (a.confidence >= CONFIDENT) & (b.confidence[:, order] >= CONFIDENT)
    squares = np.sum((a.keypoints.astype(float) - b.keypoints[:, order].astype(float)) ** 2, axis=-1)
    area = AREA * (_areas(a.boxes) + _areas(b.boxes)) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        similarity = np.exp(-squares / (2 * area[:, None] * (2 * sigmas) ** 2))
    return np.where(known, similarity, np.nan)


def _sigmas(skeleton: Skeleton) -> Array:
    """(K,)"""
    sided = {f"{side}_{joint}": sigma for joint, sigma in SIGMAS.items() for side in ("left", "right")}
    known = SIGMAS | sided | dict.fromkeys(("head", "neck", "hip"), SIGMA_MIDDLE)
    return np.array([known[name] for name in skeleton.keypoint_names])


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
