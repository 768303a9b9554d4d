"""The keypoint contract: what a model must do on the golden photographs before anything may be measured with it.

People are found where they stand; every keypoint is where its name says; a mirrored picture exchanges left and right
and changes nothing else; and a picture's answer does not depend on what else is in the batch or on the crop's size.
Distances are shares of the height of the person's box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.errors import ContractBroken
from inference.estimator import Estimator, Prepared
from inference.golden import GoldenPerson, Photograph, photographs
from inference.poses import FloatArray, Pose, Skeleton
from inference.preprocess import Letterbox

SAME_PERSON = 0.5
"""IoU of two boxes from which on they are of the same person."""
GAIN = 0.02
"""A keypoint is not where its name says if another order of the names fits better by so much. Of all pairs that can be
exchanged left eye and left ear lose least, 0.066."""
FAR = 0.15
"""No keypoint may lie further than this, on average, from where it is; yolo11n-pose's right wrist lies 0.05 off."""
MIRRORED = 0.1
"""No keypoint may lie further than this, on average, from its counterpart in the mirrored picture."""
APART = 0.05
"""Left and right must be told from each other where they lie further apart than this."""
SURE = 0.5
"""Confidence from which on a keypoint is compared with its mirrored one."""
SAME_PX = 0.01
"""Pixels by which a pose may depend on what else is in its batch."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Found:
    """A golden person and the pose that was found there."""

    person: GoldenPerson
    pose: Pose


def check(estimator: Estimator) -> dict[str, float]:
    """Hold a model against the contract. Returns what was measured. Raises ContractBroken with every fault."""
    shown = photographs()
    answers, found = find_people(estimator)
    error, order_faults = check_order(found, estimator.skeleton.keypoint_names)
    mirrored, mirror_faults = _check_mirrored(estimator, shown, answers)
    depends, batch_faults = _check_batches(estimator, shown, answers)
    crop_faults = _check_crops(estimator, shown[0])
    if faults := [*order_faults, *mirror_faults, *batch_faults, *crop_faults]:
        raise ContractBroken("; ".join(faults))
    return {
        "people": len(found),
        "keypoint_error_pct_height": round(100 * error, 2),
        "mirrored_pct_height": round(100 * mirrored, 2),
        "batch_px": round(depends, 6),
    }


def find_people(estimator: Estimator) -> tuple[list[list[Pose]], list[Found]]:
    """What a model says of each photograph, and the golden people in it; also a sign that it works on this machine.

    Raises ContractBroken where it does not find them all.
    """
    shown = photographs()
    answers = [estimator.infer([estimator.prepare(photograph.image)])[0] for photograph in shown]
    found, faults = _match(shown, answers)
    if faults:
        raise ContractBroken("; ".join(faults))
    return answers, found


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


def _match(shown: Sequence[Photograph], answers: Sequence[Sequence[Pose]]) -> tuple[list[Found], list[str]]:
    found, faults = [], []
    for photograph, poses in zip(shown, answers, strict=True):
        for person in photograph.people:
            pose = _same_person(np.asarray(person.box, np.float32), poses)
            if pose is None:
                faults.append(f"nobody is found on {photograph.name} where somebody stands, in the box {person.box}")
            else:
                found.append(Found(person=person, pose=pose))
    return found, faults


def _same_person(box: FloatArray, poses: Sequence[Pose]) -> Pose | None:
    """Whose box is this one, if anybody's."""
    best = max(poses, key=lambda pose: _overlap(box, pose.box), default=None)
    return best if best is not None and _overlap(box, best.box) >= SAME_PERSON else None


def _overlap(one: FloatArray, other: FloatArray) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    together = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])) - shared
    return shared / together if together > 0 else 0.0


def _check_mirrored(
    estimator: Estimator, shown: Sequence[Photograph], answers: Sequence[Sequence[Pose]]
) -> tuple[float, list[str]]:
    """Show mirrored photographs. Returns the median distance of counterparts, and faults by name."""
    pairs: list[tuple[Pose, Pose]] = []
    for photograph, poses in zip(shown, answers, strict=True):
        width = photograph.image.shape[1]
        turned = np.ascontiguousarray(photograph.image[:, ::-1])
        back = [_turned_back(pose, width) for pose in estimator.infer([estimator.prepare(turned)])[0]]
        for person in photograph.people:
            box = np.asarray(person.box, np.float32)
            pose, counterpart = _same_person(box, poses), _same_person(box, back)
            if pose is None or counterpart is None:
                return float("nan"), [f"somebody on {photograph.name} is not found when it is mirrored"]
            pairs.append((pose, counterpart))
    return _compare_mirrored(pairs, estimator.skeleton)


def _turned_back(pose: Pose, width: int) -> Pose:
    """The pose in the picture that was not mirrored; its keypoints still have the names that the mirrored one got."""
    points = pose.keypoints.copy()
    points[:, 0] = width - points[:, 0]
    x1, y1, x2, y2 = pose.box
    box = np.asarray([width - x2, y1, width - x1, y2], np.float32)
    return Pose(keypoints=points, confidence=pose.confidence, box=box, score=pose.score)


def _compare_mirrored(pairs: Sequence[tuple[Pose, Pose]], skeleton: Skeleton) -> tuple[float, list[str]]:
    """`pairs`: the same person in a picture and in its mirrored copy, turned back."""
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
        if (exchanged[told, index] >= kept[told, index]).any():
            other = skeleton.keypoint_names[partner[index]]
            faults.append(f"{name} and {other} are not exchanged when the picture is mirrored")
        elif sure[:, index].any() and exchanged[sure[:, index], index].mean() > MIRRORED:
            faults.append(f"{name} is somewhere else when the picture is mirrored")
    return float(np.median(exchanged[sure])) if sure.any() else float("nan"), faults


def _check_batches(
    estimator: Estimator, shown: Sequence[Photograph], answers: Sequence[Sequence[Pose]]
) -> tuple[float, list[str]]:
    """Infer each photograph among others, first, in the middle and last. Returns the largest difference in pixels."""
    largest = 0.0
    for photograph, alone in zip(shown, answers, strict=True):
        image = photograph.image
        others = [np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(image[::-1])]
        for place in range(3):
            batch = [*others[:place], image, *others[place:]]
            among = estimator.infer([estimator.prepare(one) for one in batch])[place]
            if len(among) != len(alone):
                return float("inf"), ["who is found depends on what else is in the batch"]
            for one, other in zip(among, alone, strict=True):
                largest = max(largest, float(np.abs(one.keypoints - other.keypoints).max()))
    return largest, [f"keypoints move by {largest:.2f} px with the rest of the batch"] if largest > SAME_PX else []


def _check_crops(estimator: Estimator, photograph: Photograph) -> list[str]:
    """Look at one person in crops of two sizes, with the head's finest level and without."""
    person = photograph.people[0]
    x1, y1, x2, y2 = person.box
    height, width = photograph.image.shape[:2]
    for size, scale in (((192, 256), 256 / (1.2 * person.height)), ((256, 384), 384 / (1.2 * person.height))):
        letterbox = Letterbox.crop((width, height), ((x1 + x2) / 2, (y1 + y2) / 2), size, scale)
        for fine in (True, False):
            prepared = Prepared(image=letterbox.apply(photograph.image), letterbox=letterbox, fine=fine)
            pose = _same_person(np.asarray(person.box, np.float32), estimator.infer([prepared])[0])
            if pose is None:
                return [f"nobody is found in a crop of {size[0]} × {size[1]} around somebody on {photograph.name}"]
            _, faults = check_order([Found(person=person, pose=pose)], estimator.skeleton.keypoint_names)
            if faults:
                return [f"in a crop of {size[0]} × {size[1]} {fault}" for fault in faults]
    return []
