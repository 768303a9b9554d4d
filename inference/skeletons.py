"""The skeletons that a model may have, by the words of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inference.poses import COCO_17, Skeleton

HALPE_26 = Skeleton(
    name="halpe-26",
    keypoint_names=(
        *COCO_17.keypoint_names, "head", "neck", "hip", "left_big_toe", "right_big_toe", "left_small_toe",
        "right_small_toe", "left_heel", "right_heel",
    ),
    left_right=(*COCO_17.left_right, (20, 21), (22, 23), (24, 25)),
    limbs=(*COCO_17.limbs, (17, 18), (18, 19), (15, 20), (15, 22), (15, 24), (16, 21), (16, 23), (16, 25)),
)  # fmt: skip
"""Halpe-FullBody's 26: COCO-17's, then head, neck, hip and feet. Source: github.com/Fang-Haoshu/Halpe-FullBody."""

SKELETONS: dict[str, Skeleton] = {"coco17": COCO_17, "halpe26": HALPE_26}


def as_json(skeleton: Skeleton) -> dict[str, Any]:
    """A skeleton as it is stored."""
    return {
        "name": skeleton.name,
        "keypoints": list(skeleton.keypoint_names),
        "left_right": [list(pair) for pair in skeleton.left_right],
        "limbs": [list(limb) for limb in skeleton.limbs],
    }


def from_json(stored: Mapping[str, Any]) -> Skeleton:
    """The way back. Raises KeyError, TypeError or ValueError for what `as_json` never wrote."""
    return Skeleton(
        name=str(stored["name"]),
        keypoint_names=tuple(map(str, stored["keypoints"])),
        left_right=tuple((int(left), int(right)) for left, right in stored["left_right"]),
        limbs=tuple((int(first), int(second)) for first, second in stored["limbs"]),
    )
