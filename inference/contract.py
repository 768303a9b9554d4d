"""The keypoint contract: what a model must do on golden photographs and a clip before anything may be measured with it.

People are found where they stand; every keypoint is where its name says; a mirrored picture exchanges left and right
and changes nothing else; and a picture's answer does not depend on what else is in the batch or on the crop's size.
In the clip, which is shown as clips are, keypoints go with the camera.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inference.errors import ContractBroken
from inference.estimator import Estimator, Prepared
from inference.golden import Photograph, photographs
from inference.golden_clip import clip, watch
from inference.golden_poses import (
    Found,
    check_order,
    check_steady,
    compare_mirrored,
    match,
    mirrored,
    pair_mirrored,
    same_person,
)
from inference.poses import Pose
from inference.preprocess import Letterbox

SAME_PX = 0.01
"""Pixels by which a pose may depend on what else is in its batch."""
SELDOM = 0.5
"""Share of the clip's frames in which a model may confuse left and right: yolo11n-pose does in one of 24, of a wrist
that lies before the body."""


def check(estimator: Estimator) -> dict[str, float]:
    """Hold a model against the contract. Returns what was measured. Raises ContractBroken with every fault;
    the clip is shown only to one that keeps it on the photographs."""
    shown = photographs()
    answers, found = find_people(estimator)
    error, order_faults = check_order(found, estimator.skeleton.keypoint_names)
    turned_by, mirror_faults = _check_mirrored(estimator, shown, answers)
    depends, batch_faults = _check_batches(estimator, shown, answers)
    crop_faults = _check_crops(estimator, shown[0])
    if faults := [*order_faults, *mirror_faults, *batch_faults, *crop_faults]:
        raise ContractBroken("; ".join(faults))
    filmed, clip_faults = _check_clip(estimator)
    if clip_faults:
        raise ContractBroken("; ".join(clip_faults))
    return {
        "people": len(found),
        "keypoint_error_pct_height": round(100 * error, 2),
        "mirrored_pct_height": round(100 * turned_by, 2),
        "batch_px": round(depends, 6),
        **filmed,
    }


def find_people(estimator: Estimator) -> tuple[list[list[Pose]], list[Found]]:
    """What a model says of each photograph, and the golden people in it; also a sign that it works on this machine.

    Raises ContractBroken where it does not find them all.
    """
    shown = photographs()
    answers = [estimator.infer([estimator.prepare(photograph.image)])[0] for photograph in shown]
    found, faults = match(shown, answers)
    if faults:
        raise ContractBroken("; ".join(faults))
    return answers, found


def _check_mirrored(
    estimator: Estimator, shown: Sequence[Photograph], answers: Sequence[Sequence[Pose]]
) -> tuple[float, list[str]]:
    """Show mirrored photographs. Returns the median distance of counterparts, and faults by name."""
    turned = [estimator.infer([estimator.prepare(image)])[0] for image in mirrored([one.image for one in shown])]
    pairs, faults = pair_mirrored(shown, answers, turned)
    return (float("nan"), faults) if faults else compare_mirrored(pairs, estimator.skeleton)


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
            pose = same_person(np.asarray(person.box, np.float32), estimator.infer([prepared])[0])
            if pose is None:
                return [f"nobody is found in a crop of {size[0]} × {size[1]} around somebody on {photograph.name}"]
            _, faults = check_order([Found(person=person, pose=pose)], estimator.skeleton.keypoint_names)
            if faults:
                return [f"in a crop of {size[0]} × {size[1]} {fault}" for fault in faults]
    return []


def _check_clip(estimator: Estimator) -> tuple[dict[str, float], list[str]]:
    """Show the golden clip and its mirrored copy. Returns what was measured, and faults by name."""
    shown, names = clip(), estimator.skeleton.keypoint_names
    images = [frame.image for frame in shown]
    answers, turned = watch(estimator, images), watch(estimator, mirrored(images))
    found, lost = match(shown, answers)
    pairs, lost_mirrored = pair_mirrored(shown, answers, turned)
    if missing := lost or lost_mirrored:
        return {}, [f"{missing[0]} ({len(missing)} times)"]
    _, order_faults = check_order(found, names)
    people = len(shown[0].people)
    steady = [check_steady(found[person::people], names) for person in range(people)]
    turned_by, mirror_faults = compare_mirrored(pairs, estimator.skeleton, seldom=SELDOM)
    measured = {
        "clip_frames": len(shown),
        "clip_moved_pct_height": round(100 * max(moved for moved, _ in steady), 2),
        "clip_mirrored_pct_height": round(100 * turned_by, 2),
    }
    faults = [*order_faults, *(fault for _, wandering in steady for fault in wandering), *mirror_faults]
    return measured, [f"in the golden clip {fault}" for fault in faults]
