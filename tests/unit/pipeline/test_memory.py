"""Whether one more generation fits beside the one that is there."""

from __future__ import annotations

from inference.memory import Memory
from pipeline.memory import MIB, lacking


def actor(node: str, resident: int | None, free: int | None) -> Memory:
    return Memory(
        node=node,
        resident_bytes=None if resident is None else resident * MIB,
        free_bytes=None if free is None else free * MIB,
    )


def test_as_much_as_is_taken_must_be_free_on_every_machine() -> None:
    assert lacking([]) is None
    assert lacking([actor("a", 500, 500)]) is None
    assert lacking([actor("a", 500, 499)]) == "500 MiB are wanted on a, 499 MiB are free"
    assert lacking([actor("a", 500, 2000), actor("b", 500, 400)]) == "500 MiB are wanted on b, 400 MiB are free"


def test_actors_of_one_machine_want_it_together() -> None:
    assert lacking([actor("a", 500, 1100), actor("a", 500, 1000)]) is None
    assert lacking([actor("a", 500, 1100), actor("a", 500, 999)]) == "1000 MiB are wanted on a, 999 MiB are free"


def test_a_larger_model_wants_twice_the_difference_more_of_each_actor() -> None:
    assert lacking([actor("a", 500, 700)], 100 * MIB) is None
    assert lacking([actor("a", 500, 699)], 100 * MIB) == "700 MiB are wanted on a, 699 MiB are free"
    pair = [actor("a", 500, 1399), actor("a", 500, 1399)]
    assert lacking(pair, 100 * MIB) == "1400 MiB are wanted on a, 1399 MiB are free"


def test_a_smaller_model_is_taken_to_want_as_much() -> None:
    assert lacking([actor("a", 500, 499)], -100 * MIB) == "500 MiB are wanted on a, 499 MiB are free"


def test_what_is_not_known_lacks_nothing() -> None:
    assert lacking([actor("a", None, None), actor("b", 500, None), actor("c", None, 0)]) is None
