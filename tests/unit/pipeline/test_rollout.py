"""Which step comes next: from every situation there is a way to the model that is wanted, and no job stands on it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pipeline.rollout import REST, Held, Room, Situation, Step, next_step

A, B, C = "net@a", "net@b", "net@c"
WARM_S = 60.0


def held(model: str, **what: Any) -> Held:
    return Held(**{"model": model, "ready": True, "jobs": 0, "left": 0.0, **what})


def step(*those: Held, wanted: str, serving: str | None, moment: float = 0.0, **others: object) -> Step:
    now = Situation(wanted=wanted, serving=serving, served=serving or A, held=those, **others)
    return next_step(now, moment=moment, warm_s=WARM_S)


def test_where_nothing_is_to_change_nothing_does() -> None:
    assert step(held(A, jobs=3), wanted=A, serving=A) == REST
    assert step(held(A, ready=False), wanted=A, serving=A) == REST, "an actor that starts again is waited for"


def test_a_swap() -> None:
    """Load beside what serves, route, let the old one drain, keep it warm, drop it."""
    assert step(held(A, jobs=3), wanted=B, serving=A) == Step(kind="load", model=B)
    assert step(held(A, jobs=3), held(B, ready=False), wanted=B, serving=A) == REST
    assert step(held(A, jobs=3), held(B), wanted=B, serving=A) == Step(kind="route", model=B)
    assert step(held(A, jobs=3), held(B), wanted=B, serving=B, moment=1e9) == REST
    assert step(held(A, left=10.0), held(B), wanted=B, serving=B, moment=69.9) == REST
    assert step(held(A, left=10.0), held(B), wanted=B, serving=B, moment=70.0) == Step(kind="drop", model=A)


def test_the_way_back_takes_no_loading_while_the_old_one_is_there() -> None:
    for jobs in (0, 2):
        assert step(held(A, jobs=jobs), held(B, jobs=1), wanted=A, serving=B) == Step(kind="route", model=A)


def test_what_cannot_be_loaded_changes_nothing() -> None:
    assert step(held(A, jobs=1), wanted=B, serving=A, refused=frozenset({B})) == REST
    assert step(held(A, left=0.0), held(C), wanted=B, serving=C, refused=frozenset({B}), moment=9.0) == REST


def test_a_model_that_failed_once_is_not_worth_a_second_outage() -> None:
    tried = frozenset({B})
    assert step(held(A, jobs=2), wanted=B, serving=A, room="none", tried=tried) == REST
    assert step(held(A, jobs=2), wanted=B, serving=A, room="enough", tried=tried) == Step(kind="load", model=B)
    assert step(wanted=B, serving=None, tried=tried) == Step(kind="load", model=B), "nothing is lost by it"


def test_a_warm_model_that_answers_late_is_not_dropped() -> None:
    late = replace(held(A, ready=False), late=True)
    assert step(late, held(B), wanted=B, serving=B) == REST
    assert step(replace(late, late=False), held(B), wanted=B, serving=B) == Step(kind="drop", model=A)


def test_another_promotion_while_one_is_loading() -> None:
    assert step(held(A), held(B, ready=False), wanted=C, serving=A) == Step(kind="drop", model=B)
    assert step(held(A), held(B, ready=False), wanted=A, serving=A) == Step(kind="drop", model=B)


def test_a_third_model_waits_for_the_first_to_be_empty() -> None:
    assert step(held(A, jobs=1), held(B), wanted=C, serving=B) == Step(kind="shut", model=A), "or it never were"
    assert step(held(A, jobs=1, shut=True), held(B), wanted=C, serving=B) == REST
    assert step(held(A), held(B), wanted=C, serving=B) == Step(kind="drop", model=A), "however warm it is"


def test_where_two_do_not_fit_the_old_one_goes_first() -> None:
    assert step(held(A, jobs=2), wanted=B, serving=A, room="unclear") == REST
    assert step(held(A, jobs=2), wanted=B, serving=A, room="none") == Step(kind="close")
    assert step(held(A, jobs=2, shut=True), wanted=B, serving=None, room="none") == REST
    assert step(held(A), wanted=B, serving=None) == Step(kind="drop", model=A)
    assert step(wanted=B, serving=None) == Step(kind="load", model=B)
    assert step(held(B, ready=False), wanted=B, serving=None) == REST
    assert step(held(B), wanted=B, serving=None) == Step(kind="route", model=B)


def test_a_warm_one_gives_way_before_anybody_waits() -> None:
    assert step(held(A), held(B), wanted=C, serving=B, room="none") == Step(kind="drop", model=A)


def test_back_to_what_was_there_where_the_old_one_went_in_vain() -> None:
    gone = frozenset({B})
    assert step(wanted=B, serving=None, refused=gone) == Step(kind="load", model=A)
    assert step(held(A), wanted=B, serving=None, refused=gone) == Step(kind="route", model=A)
    assert step(wanted=B, serving=None, refused=frozenset({A, B})) == REST
    assert step(held(A, jobs=1), wanted=A, serving=None) == Step(kind="route", model=A), "taken back while it drains"


def test_a_canary_comes_beside_what_serves_and_never_serves() -> None:
    assert step(held(A, jobs=3), wanted=A, serving=A, canary=B) == Step(kind="load", model=B)
    assert step(held(A, jobs=3), held(B, ready=False, canary=True), wanted=A, serving=A, canary=B) == REST
    assert step(held(A), held(B, canary=True), wanted=A, serving=A, canary=B, moment=1e9) == REST
    assert step(held(A), wanted=A, serving=A, canary=B, refused=frozenset({B})) == REST
    assert step(held(A), wanted=A, serving=A, canary=A) == REST


def test_a_canary_takes_the_place_of_what_is_warm() -> None:
    assert step(held(A), held(C, left=9.0), wanted=A, serving=A, canary=B) == Step(kind="drop", model=C)
    assert step(held(A), held(C, jobs=1), wanted=A, serving=A, canary=B) == Step(kind="shut", model=C)
    assert step(held(A), held(C, jobs=1, shut=True), wanted=A, serving=A, canary=B) == REST
    assert step(held(A), held(B, left=9.0), wanted=A, serving=A, canary=B, moment=1e9) == REST, "it is there already"


def test_a_canary_does_not_come_where_there_is_no_room() -> None:
    """Nobody has to wait in the queue for it, as they would for what they all shall get."""
    for room in ("unclear", "none"):
        assert step(held(A), wanted=A, serving=A, canary=B, room=room) == REST


def test_a_canary_that_is_over_goes_at_once_and_nobody_comes_to_it_any_more() -> None:
    assert step(held(A), held(B, jobs=1, canary=True), wanted=A, serving=A) == Step(kind="shut", model=B)
    assert step(held(A), held(B, jobs=1, canary=True, shut=True), wanted=A, serving=A) == REST
    assert step(held(A), held(B, canary=True, left=9.0), wanted=A, serving=A) == Step(kind="drop", model=B)
    again = held(B, jobs=1, canary=True, shut=True)
    assert step(held(A), again, wanted=A, serving=A, canary=B) == REST, "wanted again before it was empty"
    assert step(held(A), replace(again, jobs=0), wanted=A, serving=A, canary=B) == Step(kind="drop", model=B)


def test_a_canary_that_is_promoted_is_there_already() -> None:
    assert step(held(A, jobs=1), held(B, jobs=1, canary=True), wanted=B, serving=A) == Step(kind="route", model=B)


def test_a_canary_gives_way_to_what_all_shall_get() -> None:
    assert step(held(A), held(B, canary=True), wanted=C, serving=A) == Step(kind="drop", model=B)
    assert step(held(A), held(B, canary=True), wanted=C, serving=A, canary=B) == Step(kind="drop", model=B)


def test_two_that_serve_or_two_of_a_model_are_not() -> None:
    with pytest.raises(ValueError, match="serves"):
        Situation(wanted=A, serving=B, served=A, held=(held(A),))
    with pytest.raises(ValueError, match="serves"):
        Situation(wanted=A, serving=A, served=A, held=(held(A), held(A)))


def situations() -> list[Situation]:
    """Everything that three models can be, two of them held at most."""
    shapes = [None, *itertools.product((True, False), (0, 2), (True, False))]
    found = []
    for one, two in itertools.product(shapes, shapes):
        there = tuple(
            Held(model=model, ready=shape[0], jobs=shape[1], left=0.0, shut=shape[2])
            for model, shape in ((A, one), (B, two))
            if shape is not None
        )
        rooms: tuple[Room, ...] = ("enough", "unclear", "none")
        servings = (None, *(one.model for one in there))
        refusals = (frozenset[str](), frozenset({A}), frozenset({B}), frozenset({C}))
        for wanted, serving, served, refused, room in itertools.product((A, B, C), servings, (A, B), refusals, rooms):
            if serving in {None, served}:
                found.append(
                    Situation(wanted=wanted, serving=serving, served=served, held=there, refused=refused, room=room)
                )
    return found


def with_canaries(now: Situation) -> Iterator[Situation]:
    """The same without a canary and with others; and what does not serve may have come as one."""
    for canary, came in itertools.product((None, B, C), (False, True)):
        there = (replace(one, canary=came and one.model != now.serving) for one in now.held)
        yield replace(now, canary=canary, held=tuple(there))


def test_no_step_harms_a_job_and_all_lead_to_the_target() -> None:
    """Steps are carried out, jobs end, models load, what is unclear is cleared up: from every situation."""
    everything = situations()
    assert len(everything) > 3000
    known: set[Situation] = set()
    """Those from which the way is known to lead there."""
    for start in itertools.chain.from_iterable(map(with_canaries, everything)):
        now, way = start, []
        while now not in known:
            way.append(now)
            assert len(way) <= 12, way
            taken = next_step(now, moment=0.0, warm_s=WARM_S)
            check_harmless(now, taken)
            before, now = now, carried_out(now, taken)
            if taken == REST:
                now = time_passed(now)
                if now == before:
                    check_there(now)
                    break
        known.update(way)


def check_there(now: Situation) -> None:
    if now.target in now.refused:
        return
    assert now.serving == now.target
    assert len(now.held) <= 2
    beside = {one.model for one in now.held} - {now.serving}
    if now.beside is not None and now.room == "enough":
        assert beside == {now.beside}
    assert not any(one.canary and one.model not in {now.serving, now.beside} for one in now.held)


def check_harmless(now: Situation, taken: Step) -> None:
    one = now.find(taken.model)
    if taken.kind == "drop":
        assert one is not None
        assert not one.jobs
        assert now.serving != one.model
    elif taken.kind == "route":
        assert one is not None
        assert one.ready
    elif taken.kind == "shut":
        assert one is not None
        assert one.model not in {now.serving, now.target}
        assert one.model != now.beside or now.serving != now.target, "a canary gives way to what all shall get alone"
    elif taken.kind == "load":
        assert one is None
        assert taken.model not in now.refused
        assert len(now.held) < 2
        assert now.serving is None or now.room == "enough"
        assert taken.model in {now.target, now.beside}


def carried_out(now: Situation, taken: Step) -> Situation:
    rest = tuple(one for one in now.held if one.model != taken.model)
    if taken.kind == "load":
        canary = taken.model != now.target
        return replace(now, held=(*rest, Held(model=str(taken.model), ready=False, jobs=0, left=0.0, canary=canary)))
    if taken.kind == "drop":
        return replace(now, held=rest)
    if taken.kind == "route":
        routed = (replace(one, canary=one.canary and one.model != taken.model) for one in now.held)
        return replace(now, serving=taken.model, served=str(taken.model), held=tuple(routed))
    if taken.kind == "close":
        return replace(now, serving=None)
    if taken.kind == "shut":
        shut = (replace(one, shut=True) if one.model == taken.model else one for one in now.held)
        return replace(now, held=tuple(shut))
    return now


def time_passed(now: Situation) -> Situation:
    """Every job has ended, every actor is there, and what was unclear turned out to be too little."""
    there = tuple(replace(one, ready=True, jobs=0) for one in now.held)
    return replace(now, held=there, room="none" if now.room == "unclear" else now.room)
