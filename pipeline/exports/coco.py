"""Poses as COCO keypoint annotations, as labelling and training tools read them."""

from __future__ import annotations

from typing import Any

import numpy as np

from inference.poses import PoseSequence
from inference.tracks import CONFIDENT

PERSON = 1
"""Category id of a person in COCO."""


def coco_document(poses: PoseSequence) -> dict[str, Any]:
    """The annotation file: an image a frame, an annotation a frame in which the athlete was seen.

    `images.id` is the frame's index among decoded frames. `keypoints` are x, y, v in source pixels: 0, 0, 0 where not
    seen, as COCO wants it; v = 1 below a confidence of 0.3, else 2. Beside what COCO knows, images have `timestamp_s`,
    annotations `score` (mean confidence) and `keypoint_scores` (null where not seen).
    Layout: https://cocodataset.org/#format-data.
    """
    width, height = poses.frame_size
    frames = poses.frame_indices.tolist()
    images = [
        {"id": frame, "width": width, "height": height, "file_name": f"{frame:06d}.jpg", "timestamp_s": time_s}
        for frame, time_s in zip(frames, poses.timestamps_s.tolist(), strict=True)
    ]
    seen = np.flatnonzero(poses.seen).tolist()
    return {
        "info": {"description": "Poses by a model, not labels by people", "model": poses.model.name},
        "licenses": [],
        "images": images,
        "annotations": [_annotation(poses, row, number) for number, row in enumerate(seen, start=1)],
        "categories": [
            {
                "id": PERSON,
                "name": "person",
                "supercategory": "person",
                "keypoints": list(poses.skeleton.keypoint_names),
                "skeleton": [[start + 1, end + 1] for start, end in poses.skeleton.limbs],
            }
        ],
    }


def _annotation(poses: PoseSequence, row: int, number: int) -> dict[str, Any]:
    x1, y1, x2, y2 = poses.boxes[row].astype(np.float64).tolist()
    places = poses.keypoints[row].astype(np.float64).tolist()
    scores = poses.confidence[row].astype(np.float64).tolist()
    keypoints: list[float | int] = []
    known: list[float | None] = []
    for (x, y), score in zip(places, scores, strict=True):
        if np.isnan(x) or np.isnan(y):
            keypoints += [0, 0, 0]
            known.append(None)
        else:
            keypoints += [round(x, 2), round(y, 2), 2 if score >= CONFIDENT else 1]
            known.append(round(score, 3))
    surely = [score for score in known if score is not None]
    return {
        "id": number,
        "image_id": int(poses.frame_indices[row]),
        "category_id": PERSON,
        "iscrowd": 0,
        "bbox": [round(x1, 2), round(y1, 2), round(x2 - x1, 2), round(y2 - y1, 2)],
        "area": round((x2 - x1) * (y2 - y1), 2),
        "keypoints": keypoints,
        "num_keypoints": len(surely),
        "score": round(sum(surely) / len(surely), 3) if surely else None,
        "keypoint_scores": known,
    }
