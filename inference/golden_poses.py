"""What a model says of people whose keypoints are known: who is who, is every keypoint what its name says, and what a
mirrored picture changes. Distances are shares of the height of the person's box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.golden import GoldenPerson, Photograph
from inference.poses import FloatArray, Pose, Skeleton

SAME_PERSON = 0.5
"""IoU of two boxes from which on they are of the same person."""
GAIN = 0.02
"""A keypoint is not where its name says if another order of the names fits better by so much. Of all pairs that can be
exchanged left eye and left ear lose least, 0.066."""
FAR = 0.15
"""No keypoint may lie further than this, on average, from where it is; yolo11n-pose's right wrist lies 0.05 off."""
MIRRORED = 0.1
"""No keypoint may lie further than this, on average, from its counterpart in the mirrored picture."""
MOVES = 0.1
"""No keypoint may lie further than this, on average, from where on a still person it mostly is; yolo11n-pose's right
wrist, on somebody who hides it, lies 0.046 off."""
APART = 0.05
"""Left and right must be told from each other where they lie further apart than this."""
SURE = 0.5
"""Confidence from which on a keypoint is compared with its mirrored one."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Found:
    """A golden person and the pose that was found there."""

    person: GoldenPerson
    pose: Pose


def match(shown: Sequence[Photograph], answers: Sequence[Sequence[Pose]]) -> tuple[list[Found], list[str]]:
    """The golden people among those that a model found on each photograph, and who is missing."""
    found, faults = [], []
    for photograph, poses in zip(shown, answers, strict=True):
        for person in photograph.people:
            pose = same_person(np.asarray(person.box, np.float32), poses)
            if pose is None:
                faults.append(f"nobody is found on {photograph.name} where somebody stands, in the box {person.box}")
            else:
                found.append(Found(person=person, pose=pose))
    return found, faults


def same_person(box: FloatArray, poses: Sequence[Pose]) -> Pose | None:
    """Whose box is this one, if anybody's."""
    best = max(poses, key=lambda pose: _overlap(box, pose.box), default=None)
    return best if best is not None and _overlap(box, best.box) >= SAME_PERSON else None


def _overlap(one: FloatArray, other: FloatArray) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    together = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])) - shared
    return shared / together if together > 0 else 0.0


def check_order(found: Sequence[Found], names: Sequence[str]) -> tuple[float, list[str]]:
    """Whether each of a model's keypoints is what its name says. Returns the mean error, and faults by name.

    Of all ways to give the golden names to the model's keypoints, the one with the smallest sum of distances must be
    the model's own, or gain no more than `GAIN`.
    """
    from scipy.optimize import linear_sum_assignment

    known = [name for name in names if any(name in one.person.points for one in found)]
    distances = _distances(found, names, known)
    given, taken = linear_sum_assignment(distances)
    own = np.diagonal(distances)
    meant = {known[row]: known[column] for row, column in zip(given, taken, strict=True)}
    if own.sum() - distances[given, taken].sum() > GAIN:
        return float(own.mean()), _exchanged(meant)
    far = [
        f"{name} lies {100 * off:.0f} % of the height off" for name, off in zip(known, own, strict=True) if off > FAR
    ]
    return float(own.mean()), far


def check_steady(found: Sequence[Found], names: Sequence[str]) -> tuple[float, list[str]]:
    """Whether keypoints stay where they are on one person who is found again and again.

    Returns how far from where it mostly is a keypoint lies, the mean of all, and those that wander, by name.
    """
    known = [name for name in names if name in found[0].person.points]
    offs = np.asarray(
        [
            [(one.pose.keypoints[names.index(name)] - one.person.points[name]) / one.person.height for name in known]
            for one in found
        ]
    )
    moved = np.linalg.norm(offs - np.median(offs, axis=0), axis=2).mean(axis=0)
    return float(moved.mean()), [
        f"{name} moves by {100 * off:.0f} % of the height on somebody who stands still"
        for name, off in zip(known, moved, strict=True)
        if off > MOVES
    ]


def _distances(found: Sequence[Found], names: Sequence[str], known: Sequence[str]) -> NDArray[np.float64]:
    """(k, k): how far the model's keypoint of a name lies, on average, from where each golden keypoint is."""
    distances = np.zeros((len(known), len(known)))
    for column, truth in enumerate(known):
        seeing = [one for one in found if truth in one.person.points]
        for row, name in enumerate(known):
            offs = [
                np.hypot(*(one.pose.keypoints[names.index(name)] - one.person.points[truth])) / one.person.height
                for one in seeing
            ]
            distances[row, column] = np.mean(offs)
    return distances


def _exchanged(meant: Mapping[str, str]) -> list[str]:
    """What is in another order, cycle by cycle."""
    faults, left = [], dict(meant)
    while left:
        cycle = [next(iter(left))]
        while (following := left.pop(cycle[-1])) != cycle[0]:
            cycle.append(following)
        if len(cycle) == 2:
            faults.append(f"{cycle[0]} and {cycle[1]} are exchanged")
        elif len(cycle) > 2:
            faults.append(f"{', '.join(cycle)} are in another order")
    return faults


def mirrored(images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Each picture, (h, w, 3), turned about its upright middle."""
    return [np.ascontiguousarray(image[:, ::-1]) for image in images]


def pair_mirrored(
    shown: Sequence[Photograph], answers: Sequence[Sequence[Pose]], turned: Sequence[Sequence[Pose]]
) -> tuple[list[tuple[Pose, Pose]], list[str]]:
    """Golden people in pictures and, turned back, in their mirrored copies; and who is not found in both."""
    pairs: list[tuple[Pose, Pose]] = []
    faults: list[str] = []
    for photograph, poses, mirror in zip(shown, answers, turned, strict=True):
        back = [_turned_back(pose, photograph.image.shape[1]) for pose in mirror]
        for person in photograph.people:
            box = np.asarray(person.box, np.float32)
            pose, counterpart = same_person(box, poses), same_person(box, back)
            if pose is None or counterpart is None:
                faults.append(f"somebody on {photograph.name} is not found when it is mirrored")
            else:
                pairs.append((pose, counterpart))
    return pairs, faults


def _turned_back(pose: Pose, width: int) -> Pose:
    """The pose in the picture that was not mirrored; its keypoints still have the names that the mirrored one got."""
    points = pose.keypoints.copy()
    points[:, 0] = width - points[:, 0]
    x1, y1, x2, y2 = pose.box
    box = np.asarray([width - x2, y1, width - x1, y2], np.float32)
    return Pose(keypoints=points, confidence=pose.confidence, box=box, score=pose.score)


def compare_mirrored(
    pairs: Sequence[tuple[Pose, Pose]], skeleton: Skeleton, *, seldom: float = 0.0
) -> tuple[float, list[str]]:
    """Whether left and right are exchanged and nothing else is. Returns the median distance, and faults by name.

    `pairs`: the same person in a picture and in its mirrored copy, turned back. Left and right may be confused in the
    share `seldom` of those that tell them apart.
    """
    partner = skeleton.exchanged()
    heights = np.asarray([pose.box[3] - pose.box[1] for pose, _ in pairs])[:, None]
    seen = np.stack([pose.keypoints for pose, _ in pairs])
    turned = np.stack([back.keypoints for _, back in pairs])
    sure = np.stack([np.minimum(pose.confidence, back.confidence[partner]) >= SURE for pose, back in pairs])
    exchanged = np.linalg.norm(seen - turned[:, partner], axis=2) / heights
    kept = np.linalg.norm(seen - turned, axis=2) / heights
    apart = np.linalg.norm(seen - seen[:, partner], axis=2) / heights
    faults = []
    for index, name in enumerate(skeleton.keypoint_names):
        told = sure[:, index] & (apart[:, index] > APART)
        confused = exchanged[told, index] >= kept[told, index]
        if confused.any() and confused.mean() > seldom:
            one, other = (skeleton.keypoint_names[which] for which in sorted((index, int(partner[index]))))
            faults.append(f"{one} and {other} are not exchanged when the picture is mirrored")
        elif sure[:, index].any() and exchanged[sure[:, index], index].mean() > MIRRORED:
            faults.append(f"{name} is somewhere else when the picture is mirrored")
    # A pair is mostly confused on both sides, and named once.
    return float(np.median(exchanged[sure])) if sure.any() else float("nan"), list(dict.fromkeys(faults))
