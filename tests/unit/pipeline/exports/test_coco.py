"""COCO's rules for keypoint annotations, on poses counted by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import reports

from inference.poses import PoseSequence
from pipeline.exports.coco import coco_document


def poses() -> PoseSequence:
    made = reports.poses([0.0, 0.04, 0.08], indices=[0, 7, 9], unseen=[1], box=(50, 16, 80.5, 80))
    keypoints, confidence = made.keypoints.copy(), made.confidence.copy()
    keypoints[0, 0], confidence[0, 0] = (60.25, 20.126), 0.75  # the nose
    confidence[0, 1] = 0.2
    keypoints[0, 2], confidence[0, 2] = np.nan, np.nan
    return replace(made, keypoints=keypoints, confidence=confidence)


def test_images_are_frames() -> None:
    document = coco_document(poses())
    assert [image["id"] for image in document["images"]] == [0, 7, 9]
    assert document["images"][1] == {
        "id": 7, "width": 128, "height": 96, "file_name": "000007.jpg", "timestamp_s": 0.04,
    }  # fmt: skip


def test_annotations_are_whom_was_seen() -> None:
    first, last = coco_document(poses())["annotations"]
    assert [(one["id"], one["image_id"], one["category_id"], one["iscrowd"]) for one in (first, last)] == [
        (1, 0, 1, 0), (2, 9, 1, 0),
    ]  # fmt: skip
    assert first["bbox"] == [50.0, 16.0, 30.5, 64.0]
    assert first["area"] == 1952.0
    assert len(first["keypoints"]) == 51
    assert first["keypoints"][:3] == [60.25, 20.13, 2]
    assert first["keypoints"][5] == 1  # there, but not to be relied on
    assert first["keypoints"][6:9] == [0, 0, 0]
    assert (first["num_keypoints"], last["num_keypoints"]) == (16, 17)
    assert first["keypoint_scores"][:3] == [0.75, 0.2, None]
    assert first["score"] == round((0.75 + 0.2 + 14 * 0.9) / 16, 3)


def test_the_category_names_the_keypoints_from_one() -> None:
    (category,) = coco_document(poses())["categories"]
    assert (category["id"], category["name"], len(category["keypoints"])) == (1, "person", 17)
    assert category["keypoints"][9] == "left_wrist"
    assert [8, 10] in category["skeleton"]  # elbow 8 and wrist 10, counted from 1 as COCO counts
    assert min(min(limb) for limb in category["skeleton"]) == 1
    assert max(max(limb) for limb in category["skeleton"]) == 17


def test_it_is_json() -> None:
    json.dumps(coco_document(poses()), allow_nan=False)
