"""Who sits where: places, suspects, deaths. Threads are real, actors are names."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from inference.actor import ActorStatus
from inference.batcher import BatchStats
from inference.poses import ModelInfo
from pipeline.pool import Pool, Seat

MODEL = ModelInfo(name="m", version="1", sha256="0", backend="torch", precision="fp32", runtime="torch 2")
STATUS = ActorStatus(model=MODEL, clips=0, batches=BatchStats())


def _pool(actors: int = 1, places: int = 3) -> Pool:
    pool = Pool(places)
    pool.fill([f"actor {number}" for number in range(actors)])
    for member in pool.members:
        pool.answered(member, member.life, STATUS)
    return pool


def _never(silent_s: float) -> None:
    """Nobody changes their mind."""


def _take(pool: Pool, *, alone: bool = False) -> Seat:
    """A seat that is free now."""
    return _ask(pool, alone=alone).result(timeout=5)


def _ask(pool: Pool, *, alone: bool = False, check: Callable[[float], None] = _never) -> Future[Seat]:
    """Ask for a seat on a thread of its own; returns once the wish is known to the pool."""
    asked: Future[Seat] = Future()

    def wait() -> None:
        try:
            asked.set_result(pool.take(alone=alone, check=check))
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            asked.set_exception(error)

    waiting = len(pool._waiting)
    threading.Thread(target=wait, daemon=True).start()
    deadline = time.monotonic() + 5
    while not asked.done() and len(pool._waiting) == waiting:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return asked


def test_the_least_busy_actor_is_next_and_no_actor_holds_more_than_its_places() -> None:
    pool = _pool(actors=2, places=2)
    seats = [_take(pool) for _ in range(4)]
    assert [seat.actor for seat in seats] == ["actor 0", "actor 1", "actor 0", "actor 1"]
    fifth = _ask(pool)
    assert not fifth.done()
    pool.leave(seats[1])
    assert fifth.result(timeout=5).actor == "actor 1"


def test_a_suspect_waits_for_an_empty_actor_and_nobody_gets_in_before_or_beside_it() -> None:
    pool = _pool()
    first, second = _take(pool), _take(pool)
    suspect = _ask(pool, alone=True)
    late = _ask(pool)
    pool.leave(first)
    assert (suspect.done(), late.done()) == (False, False)
    pool.leave(second)
    seat = suspect.result(timeout=5)
    assert not late.done()
    pool.leave(seat)
    assert late.result(timeout=5).actor == "actor 0"


def test_suspects_take_turns_with_those_who_came_between_them() -> None:
    pool = _pool()
    running = _take(pool)
    one, between, two = _ask(pool, alone=True), _ask(pool), _ask(pool, alone=True)
    pool.leave(running)
    seat = one.result(timeout=5)
    assert not between.done()
    pool.leave(seat)
    seat = between.result(timeout=5)
    assert not two.done()
    pool.leave(seat)
    pool.leave(two.result(timeout=5))
    assert pool.capacity() == 3


def test_capacity_leaves_no_room_where_a_suspect_is_or_waits() -> None:
    pool = _pool(actors=2)
    assert pool.capacity() == 6
    seats = [_take(pool) for _ in range(4)]
    suspect = _ask(pool, alone=True)
    assert pool.capacity() == 2 + 3 + 1, "one actor takes no more than the two in it, the other its three"
    for seat in seats:
        pool.leave(seat)
    assert suspect.result(timeout=5)
    assert pool.capacity() == 1 + 3


def test_all_clips_of_a_dead_actor_know_how_many_they_were_whoever_looks_first() -> None:
    pool = _pool(actors=2)
    seats = [_take(pool) for _ in range(5)]
    dead = [seat for seat in seats if seat.actor == "actor 0"]
    for seat in dead:
        assert pool.died(seat) == 3
        pool.leave(seat)
    assert pool.ready() == 1, "until it answers again"
    assert pool.capacity() == 3


def test_who_comes_after_a_death_does_not_count_among_the_dead() -> None:
    pool = _pool()
    old = _take(pool)
    pool.died(old)
    (member,) = pool.members
    pool.answered(member, member.life - 1, STATUS)
    assert not pool.ready(), "an answer from before the death says nothing"
    pool.answered(member, member.life, STATUS)
    new = _take(pool)
    assert pool.died(new) == 1
    assert pool.died(old) == 1


def test_who_waits_may_change_its_mind_and_is_told_for_how_long_no_actor_answers() -> None:
    pool = _pool()
    (member,) = pool.members
    pool.answered(member, member.life, None)

    def enough(silent_s: float) -> None:
        if silent_s > 0.3:
            raise KeyError(silent_s)

    asked = _ask(pool, check=enough)
    with pytest.raises(KeyError):
        asked.result(timeout=5)
    pool.answered(member, member.life, STATUS)
    assert _take(pool).actor == "actor 0"
    assert len(member.seats) == 1


def test_a_spare_seat_is_one_that_nobody_else_could_want() -> None:
    pool = _pool(actors=3)
    mine = _take(pool)
    others = [pool.spare(), pool.spare()]
    assert [seat.actor for seat in others if seat] == ["actor 1", "actor 2"]
    assert pool.spare() is None, "every actor holds somebody"
    for seat in others:
        assert seat is not None
        pool.leave(seat)
    suspect = _ask(pool, alone=True)
    assert suspect.result(timeout=5).actor == "actor 1"
    neighbour = pool.spare()
    assert neighbour is not None
    assert neighbour.actor == "actor 2", "not the suspect's"
    waiting = _ask(pool, alone=True)
    pool.leave(mine)
    pool.leave(neighbour)
    assert waiting.result(timeout=5).actor in {"actor 0", "actor 2"}


def test_there_is_no_spare_seat_while_somebody_waits_or_no_actor_answers() -> None:
    pool = _pool(actors=1)
    _take(pool)
    suspect = _ask(pool, alone=True)
    silent = pool.members[0]
    assert not suspect.done()
    assert pool.spare() is None
    pool.answered(silent, silent.life, None)
    assert pool.spare() is None
