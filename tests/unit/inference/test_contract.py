"""The keypoint contract on made-up poses: what it must notice, by name. Real models are in `test_admission.py`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.backends import make_backend
from inference.backends.base import Backend
from inference.catalog import DEFAULT_MODEL, resolve
from inference.contract import check
from inference.errors import ContractBroken
from inference.estimator import Estimator
from inference.golden import GoldenPerson, photographs
from inference.golden_clip import clip
from inference.golden_poses import FAR, MOVES, Found, check_order, check_steady, compare_mirrored
from inference.poses import COCO_17, FloatArray, Pose
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
    distance, faults = compare_mirrored(mirrored_pairs(EXCHANGED), COCO_17)
    assert (distance, faults) == (0.0, [])


def test_a_side_that_stays_where_it_was_is_named() -> None:
    order = EXCHANGED.copy()
    order[13], order[14] = 13, 14
    _, faults = compare_mirrored(mirrored_pairs(order), COCO_17)
    assert faults == ["left_knee and right_knee are not exchanged when the picture is mirrored"]


def test_what_moves_when_the_picture_is_mirrored_is_named() -> None:
    distance, faults = compare_mirrored(mirrored_pairs(EXCHANGED, shift=0.11), COCO_17)
    assert distance == pytest.approx(0.11, rel=0.01)
    assert "nose is somewhere else when the picture is mirrored" in faults


def test_sides_that_are_confused_seldom_are_no_fault_where_that_is_allowed() -> None:
    order = EXCHANGED.copy()
    order[13], order[14] = 13, 14
    right, wrong = mirrored_pairs(EXCHANGED), mirrored_pairs(order)
    assert compare_mirrored([*right, *wrong], COCO_17, seldom=0.5)[1] == []
    assert len(compare_mirrored([*right, *wrong, *wrong], COCO_17, seldom=0.5)[1]) == 1


def test_keypoints_that_stay_on_somebody_who_stands_still_have_no_fault() -> None:
    person = PEOPLE[0]
    moved, faults = check_steady([seen(person)] * 4, NAMES)
    assert (moved, faults) == (0.0, [])


def test_a_keypoint_that_wanders_is_named() -> None:
    found = [seen(PEOPLE[0]) for _ in range(5)]
    for number, one in enumerate(found):
        one.pose.keypoints[NAMES.index("left_knee")] += ((number - 2) * MOVES * PEOPLE[0].height, 0)
    moved, faults = check_steady(found, NAMES)
    assert faults == ["left_knee moves by 12 % of the height on somebody who stands still"]
    assert moved == pytest.approx(0.12 / len(set(NAMES) & set(PEOPLE[0].points)), rel=0.01)


def test_the_golden_clip_shows_the_photograph_where_it_says() -> None:
    photograph, frames = photographs()[0], clip()
    for frame in frames:
        for person, filmed in zip(photograph.people, frame.people, strict=True):
            assert min(filmed.box) >= 0
            assert filmed.box[2] <= frame.image.shape[1]
            assert filmed.box[3] <= frame.image.shape[0]
            for name, (x, y) in person.points.items():
                there = patch(photograph.image, (x, y))
                assert np.abs(there - patch(frame.image, filmed.points[name])).mean() < 12, (frame.name, name)
    places = np.asarray([frame.people[0].points["nose"] for frame in frames])
    assert np.ptp(places, axis=0).min() > 30  # the camera moves


def patch(image: NDArray[np.uint8], at: tuple[float, float]) -> NDArray[np.float64]:
    """(3,) mean colour around a point."""
    x, y = round(at[0]), round(at[1])
    return image[max(y - 6, 0) : y + 7, max(x - 6, 0) : x + 7].reshape(-1, 3).mean(axis=0)


class WrongInBatches:
    """The built-in network, whose answers are altered in batches larger than those in which photographs are shown."""

    def __init__(self, backend: Backend, alter: Callable[[FloatArray], None]) -> None:
        self._backend, self._alter = backend, alter
        self.name, self.precision, self.runtime = backend.name, backend.precision, backend.runtime
        self.servers = 1

    def infer(self, batch: NDArray[np.uint8], *, fine: bool = True) -> FloatArray:
        raw = self._backend.infer(batch, fine=fine).copy()
        if len(batch) > 3:
            self._alter(raw)
        return raw

    def best_batch(self, shape: tuple[int, int]) -> int:
        return 8

    def close(self) -> None:
        self._backend.close()


def exchange_knees(raw: FloatArray) -> None:
    left, right = (slice(5 + 3 * NAMES.index(name), 8 + 3 * NAMES.index(name)) for name in ("left_knee", "right_knee"))
    raw[:, left], raw[:, right] = raw[:, right].copy(), raw[:, left].copy()


def tremble(raw: FloatArray) -> None:
    ankle = 5 + 3 * NAMES.index("right_ankle")
    raw[::2, ankle] += 0.3 * raw[::2, 3]
    raw[1::2, ankle] -= 0.3 * raw[1::2, 3]


def lose(raw: FloatArray) -> None:
    raw[:, 4] = 0


@pytest.mark.model
@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (exchange_knees, "in the golden clip left_knee and right_knee are exchanged"),
        (tremble, "in the golden clip right_ankle moves by "),
        (lose, "nobody is found on frame "),
    ],
)
def test_what_goes_wrong_in_a_clip_alone_is_refused(
    alter: Callable[[FloatArray], None], said: str, model_cache: Path
) -> None:
    spec = resolve(DEFAULT_MODEL)
    backend = make_backend(spec, backend="openvino", precision="fp32", threads=2, cache_dir=model_cache)
    estimator = Estimator(WrongInBatches(backend, alter), spec)
    with pytest.raises(ContractBroken, match=said):
        check(estimator)
    estimator.close()


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
