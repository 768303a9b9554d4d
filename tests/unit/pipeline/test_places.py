"""Whether there are places for more actors, out of what each node has left."""

from __future__ import annotations

import pytest

from pipeline.places import lacking

ONE_GPU = {"GPU": 1.0, "CPU": 0.5}


def test_an_actor_lies_on_one_node() -> None:
    halves = [{"GPU": 0.5, "CPU": 4.0}, {"GPU": 0.5, "CPU": 4.0}]
    assert lacking(halves, ONE_GPU, 1) == "1 times 1 GPUs and 0.5 CPUs on one node are wanted, there are 0 such places"
    assert lacking([*halves, {"GPU": 1.0, "CPU": 0.5}], ONE_GPU, 1) is None


def test_all_that_it_asks_for_lies_there() -> None:
    apart = [{"GPU": 2.0}, {"CPU": 8.0}]
    assert lacking(apart, ONE_GPU, 2) == "2 times 1 GPUs and 0.5 CPUs on one node are wanted, there are 0 such places"


def test_what_is_lacking_altogether_is_named() -> None:
    assert lacking([{"CPU": 8.0}], ONE_GPU, 1) == "1 GPUs are wanted, 0 are free"
    assert lacking([{"GPU": 3.0, "CPU": 1.0}], ONE_GPU, 3) == "1.5 CPUs are wanted, 1 are free"
    assert lacking([], {"GPU": 0.0, "CPU": 1.0}, 2) == "2 CPUs are wanted, 0 are free"


@pytest.mark.parametrize(("actors", "enough"), [(3, True), (4, False)])
def test_several_find_as_many_places(actors: int, enough: bool) -> None:
    nodes = [{"GPU": 2.5, "CPU": 8.0}, {"GPU": 1.9, "CPU": 0.5}]
    assert (lacking(nodes, ONE_GPU, actors) is None) is enough


def test_shares_of_a_gpu_add_up_to_it() -> None:
    assert lacking([{"GPU": 0.3}], {"GPU": 0.1, "CPU": 0.0}, 3) is None


def test_who_asks_for_nothing_finds_a_place() -> None:
    assert lacking([], {"GPU": 0.0, "CPU": 0.0}, 2) is None
