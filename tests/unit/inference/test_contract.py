"""The keypoint contract on made-up poses: what it must notice, by name. Real models are in `test_admission.py`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from inference.contract import FAR, Found, _compare_mirrored, check_order
from inference.golden import GoldenPerson, photographs
from inference.poses import COCO_17, Pose
from inference.skeletons import HALPE_26, SKELETONS, as_json, from_json

NAMES = COCO_17.keypoint_names
PEOPLE = [person for photograph in photographs() for person in photograph.people]


def seen(person: GoldenPerson, names: Sequence[str] = NAMES) -> Found:
    """A pose that has every keypoint where it is, and those that nobody knows in the middle of the box."""
    x1, y1, x2, y2 = person.box
    middle = ((x1 + x2) / 2, (y1 + y2) / 2)
    points = np.asarray([person.points.get(name, middle) for name in names], np.float32)
    pose = Pose(
        keypoints=points,
        confidence=np.ones(len(names), np.float32),
        box=np.asarray(person.box, np.float32),
        score=0.9,
    )
    return Found(person=person, pose=pose)


def reordered(found: Found, order: Sequence[int]) -> Found:
    return replace(found, pose=replace(found.pose, keypoints=found.pose.keypoints[list(order)]))


def test_the_golden_points_lie_in_their_boxes_and_name_every_keypoint() -> None:
    feet = {"left_big_toe", "right_big_toe", "left_heel", "right_heel"}
    assert {name for person in PEOPLE for name in person.points} == {*NAMES, *feet}
    for person in PEOPLE:
        x1, y1, x2, y2 = person.box
        assert all(x1 <= x <= x2 and y1 <= y <= y2 for x, y in person.points.values())


def test_keypoints_where_they_are_have_no_fault() -> None:
    assert check_order([seen(person) for person in PEOPLE], NAMES) == (0.0, [])


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(range(17), 2)))
def test_any_two_that_are_exchanged_are_named(one: int, other: int) -> None:
    order = list(range(17))
    order[one], order[other] = other, one
    _, faults = check_order([reordered(seen(person), order) for person in PEOPLE], NAMES)
    assert faults == [f"{NAMES[one]} and {NAMES[other]} are exchanged"]


@pytest.mark.parametrize("part", ["big_toe", "heel"])
def test_feet_that_are_exchanged_are_named(part: str) -> None:
    names = HALPE_26.keypoint_names
    left, right = names.index(f"left_{part}"), names.index(f"right_{part}")
    order = list(range(26))
    order[left], order[right] = right, left
    _, faults = check_order([reordered(seen(person, names), order) for person in PEOPLE], names)
    assert faults == [f"left_{part} and right_{part} are exchanged"]


def test_three_in_another_order_are_named_together() -> None:
    order = list(range(17))
    order[13], order[15], order[16] = 15, 16, 13
    _, faults = check_order([reordered(seen(person), order) for person in PEOPLE], NAMES)
    assert faults == ["left_knee, left_ankle, right_ankle are in another order"]


def test_a_keypoint_far_from_where_it_is_is_named() -> None:
    found = [seen(person) for person in PEOPLE]
    for one in found:
        one.pose.keypoints[NAMES.index("right_ankle")] += (0, 1.2 * FAR * one.person.height)
    error, faults = check_order(found, NAMES)
    assert error == pytest.approx(1.2 * FAR / 17, rel=0.01)
    assert faults == ["right_ankle lies 18 % of the height off"]


def mirrored_pairs(order: Sequence[int], *, shift: float = 0.0) -> list[tuple[Pose, Pose]]:
    """People, and how a model whose mirrored keypoints come in `order` sees them in the mirrored picture."""
    pairs = []
    for person in PEOPLE[:2]:
        pose = seen(person).pose
        points = pose.keypoints[list(order)] + np.asarray((0, shift * person.height), np.float32)
        pairs.append((pose, replace(pose, keypoints=points)))
    return pairs


EXCHANGED = [0, *(index for pair in COCO_17.left_right for index in reversed(pair))]


def test_a_mirrored_picture_exchanges_left_and_right() -> None:
    distance, faults = _compare_mirrored(mirrored_pairs(EXCHANGED), COCO_17)
    assert (distance, faults) == (0.0, [])


def test_a_side_that_stays_where_it_was_is_named() -> None:
    order = EXCHANGED.copy()
    order[13], order[14] = 13, 14
    _, faults = _compare_mirrored(mirrored_pairs(order), COCO_17)
    assert faults == [
        "left_knee and right_knee are not exchanged when the picture is mirrored",
        "right_knee and left_knee are not exchanged when the picture is mirrored",
    ]


def test_what_moves_when_the_picture_is_mirrored_is_named() -> None:
    distance, faults = _compare_mirrored(mirrored_pairs(EXCHANGED, shift=0.11), COCO_17)
    assert distance == pytest.approx(0.11, rel=0.01)
    assert "nose is somewhere else when the picture is mirrored" in faults


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_a_skeleton_is_stored_and_pairs_what_its_names_say(skeleton) -> None:  # type: ignore[no-untyped-def]
    assert from_json(as_json(skeleton)) == skeleton
    names = skeleton.keypoint_names
    assert len(set(names)) == len(names)
    pairs = {(names[left], names[right]) for left, right in skeleton.left_right}
    assert pairs == {(name, name.replace("left_", "right_")) for name in names if name.startswith("left_")}
    assert {index for limb in skeleton.limbs for index in limb} <= set(range(len(names)))


def test_halpe_begins_as_coco_does() -> None:
    assert HALPE_26.keypoint_names[:17] == NAMES
    assert len(HALPE_26.keypoint_names) == 26
