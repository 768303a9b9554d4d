"""Who sits where: places, suspects, deaths. Threads are real, actors are names."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

import pytest

from inference.actor import ActorStatus
from inference.batcher import BatchStats
from inference.poses import ModelInfo
from inference.spans import LEAST_ROOM, ROOM
from pipeline.pool import Pool, Seat, Wish

MODEL = ModelInfo(name="m", version="1", sha256="0", backend="torch", precision="fp32", runtime="torch 2")
STATUS = ActorStatus(model=MODEL, clips=0, batches=BatchStats())


def _pool(actors: int = 1, places: int = 3) -> Pool:
    pool = Pool(places * ROOM)
    pool.fill([f"actor {number}" for number in range(actors)])
    for member in pool.members:
        pool.answered(member, member.life, STATUS)
    return pool


def _never(silent_s: float) -> None:
    """Nobody changes their mind."""


def _take(pool: Pool, wish: Wish | None = None) -> Seat:
    """A seat that is free now."""
    return _ask(pool, wish).result(timeout=5)


def _ask(pool: Pool, wish: Wish | None = None, *, check: Callable[[float], None] = _never) -> Future[Seat]:
    """Ask for a seat on a thread of its own; returns once the wish is known to the pool."""
    asked: Future[Seat] = Future()

    def wait() -> None:
        try:
            asked.set_result(pool.take(wish or Wish(), check=check))
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            asked.set_exception(error)

    waiting = len(pool._waiting)
    threading.Thread(target=wait, daemon=True).start()
    deadline = time.monotonic() + 5
    while not asked.done() and len(pool._waiting) == waiting:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return asked


ALONE = Wish(alone=True)
URGENT = Wish(priority=5)
SHORT = Wish(frames=16)


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
    suspect = _ask(pool, ALONE)
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
    one, between, two = _ask(pool, ALONE), _ask(pool), _ask(pool, ALONE)
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
    suspect = _ask(pool, ALONE)
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
    others = [pool.spare(mine), pool.spare(mine)]
    assert [seat.actor for seat in others if seat] == ["actor 1", "actor 2"]
    assert pool.spare(mine) is None, "every actor holds somebody"
    for seat in others:
        assert seat is not None
        pool.leave(seat)
    suspect = _ask(pool, ALONE)
    assert suspect.result(timeout=5).actor == "actor 1"
    neighbour = pool.spare(mine)
    assert neighbour is not None
    assert neighbour.actor == "actor 2", "not the suspect's"
    waiting = _ask(pool, ALONE)
    pool.leave(mine)
    pool.leave(neighbour)
    assert waiting.result(timeout=5).actor in {"actor 0", "actor 2"}


def test_there_is_no_spare_seat_while_somebody_waits_or_no_actor_answers() -> None:
    pool = _pool(actors=1)
    mine = _take(pool)
    suspect = _ask(pool, ALONE)
    silent = pool.members[0]
    assert not suspect.done()
    assert pool.spare(mine) is None
    pool.answered(silent, silent.life, None)
    assert pool.spare(mine) is None


def test_a_spare_seat_has_the_same_model() -> None:
    pool = _pool(actors=3)
    other = replace(STATUS, model=replace(MODEL, precision="bf16"))
    pool.answered(pool.members[1], pool.members[1].life, other)
    mine = _take(pool)
    assert mine.actor == "actor 0"
    helper = pool.spare(mine)
    assert helper is not None
    assert helper.actor == "actor 2"
    assert pool.spare(mine) is None


def test_who_can_sit_elsewhere_leaves_the_actor_that_a_suspect_waits_for() -> None:
    pool = _pool(actors=2)
    pool.leave(_take(pool, SHORT))
    staying = [_take(pool, SHORT), _take(pool, Wish(frames=3 * LEAST_ROOM)), _take(pool, SHORT)]
    suspect = _ask(pool, ALONE)
    (waited_for,) = [member for member in pool.members if member.closed > -math.inf]
    urgent = [_take(pool, Wish(frames=LEAST_ROOM, priority=5)) for _ in range(3)]
    assert all(seat.member is not waited_for for seat in urgent)
    for seat in staying:
        pool.leave(seat)
    assert suspect.result(timeout=5).member is waited_for


def test_an_actor_takes_clips_by_their_room_and_not_by_their_number() -> None:
    pool = _pool(places=1)
    short = [_take(pool, SHORT) for _ in range(4)]
    more = _ask(pool, SHORT)
    assert not more.done()
    pool.leave(short[0])
    assert more.result(timeout=5)


def test_the_least_busy_actor_is_the_one_with_the_fewest_frames() -> None:
    pool = _pool(actors=2)
    assert _take(pool).actor == "actor 0"
    assert [_take(pool, SHORT).actor for _ in range(4)] == ["actor 1"] * 4
    assert _take(pool, SHORT).actor == "actor 0"


def test_a_clip_that_is_larger_than_the_room_gets_an_actor_all_the_same() -> None:
    pool = _pool(places=1)
    large = _take(pool, Wish(frames=5 * ROOM))
    assert not (small := _ask(pool, SHORT)).done()
    assert _take(pool, Wish(frames=5 * ROOM, priority=1)).actor == "actor 0", "what is less urgent is not in its way"
    pool.leave(large)
    assert not small.done()


def test_who_does_not_fit_is_overtaken_by_the_more_urgent_alone() -> None:
    pool = _pool(places=2)
    first, _ = _take(pool), _take(pool, Wish(frames=48))
    large = _ask(pool)
    small, less_urgent = _ask(pool, SHORT), _ask(pool, Wish(frames=16, priority=-1))
    assert not any(asked.done() for asked in (large, small, less_urgent)), "the small ones would fit"
    assert _ask(pool, Wish(frames=16, priority=1)).result(timeout=5)
    assert not any(asked.done() for asked in (large, small, less_urgent))
    pool.leave(first)
    assert not large.done(), "the urgent one has taken room that it would need"
    assert not small.done()


def test_those_who_wait_come_in_by_urgency_then_by_age() -> None:
    pool = _pool(places=1)
    seat = _take(pool, Wish(priority=9))
    asked = {name: _ask(pool, Wish(priority=name // 10)) for name in (11, 12, 51, 1, 52)}
    for name in (51, 52, 11, 12, 1):
        assert not asked[name].done()
        pool.leave(seat)
        seat = asked[name].result(timeout=5)
    assert not pool._waiting


def test_bulk_keeps_no_urgent_clip_out() -> None:
    pool = _pool()
    for _ in range(3):
        _take(pool)
    bulk = _ask(pool)
    urgent = [_take(pool, URGENT) for _ in range(3)]
    assert not bulk.done()
    assert not (fourth := _ask(pool, URGENT)).done(), "among themselves they have the room that bulk has"
    most_urgent = _ask(pool, Wish(priority=9))
    assert not most_urgent.done(), "and all together twice that"
    pool.leave(urgent[0])
    assert most_urgent.result(timeout=5)
    assert not fourth.done()


def test_urgent_clips_keep_bulk_out() -> None:
    pool = _pool(places=2)
    _take(pool, URGENT)
    seat = _take(pool)
    bulk = _ask(pool)
    assert not bulk.done()
    pool.leave(seat)
    assert bulk.result(timeout=5)


def test_an_urgent_clip_gets_in_before_a_suspect_that_waits_and_nobody_while_it_is_in() -> None:
    pool = _pool()
    running = _take(pool)
    suspect = _ask(pool, ALONE)
    assert pool.threshold([0, 0]) == 0, "the urgent alone"
    urgent = _take(pool, URGENT)
    pool.leave(running)
    assert not suspect.done()
    pool.leave(urgent)
    assert suspect.result(timeout=5)
    assert not _ask(pool, URGENT).done()
    assert pool.threshold([0]) == math.inf


class TestThreshold:
    """Whose jobs are worth claiming."""

    def test_anybodys_while_there_is_room(self) -> None:
        pool = _pool()
        assert pool.threshold([]) == pool.threshold([0, 5]) == -math.inf
        assert _pool(actors=2).threshold([0] * 5) == -math.inf

    def test_the_more_urgent_ones_while_less_urgent_ones_fill_it(self) -> None:
        pool = _pool()
        for wish in (Wish(), Wish(), URGENT):
            _take(pool, wish)
        assert pool.threshold([0, 5, 0]) == 0
        _take(pool, URGENT)
        assert pool.threshold([0, 5, 0, 5]) == 0
        assert pool.capacity() == 4
        _take(pool, URGENT)
        assert pool.threshold([0, 5, 0, 5, 5]) == 5, "one as urgent would have to wait"
        _take(pool, Wish(priority=9))
        assert pool.threshold([0, 5, 0, 5, 5, 9]) == math.inf, "all together have taken twice the room"

    def test_jobs_without_a_seat_count_as_whole_clips(self) -> None:
        """They were claimed a moment ago, or draw."""
        pool = _pool()
        _take(pool, SHORT)
        assert pool.threshold([0, 0]) == -math.inf
        assert pool.threshold([0, 0, 0]) == 0
        assert pool.threshold([5, 5, 5]) == 5
        assert pool.threshold([0] * 6) == math.inf

    def test_short_clips_leave_room_for_more(self) -> None:
        pool = _pool()
        for _ in range(4):
            _take(pool, SHORT)
        assert pool.capacity() == 6
        assert pool.threshold([0] * 5) == -math.inf

    def test_the_room_that_a_next_stage_will_want_is_left_free(self) -> None:
        pool = _pool()
        for _ in range(3):
            _take(pool, Wish(frames=24, later=ROOM))
        assert pool.capacity() == 3
        assert pool.threshold([0, 0, 0]) == 0
        assert _take(pool, SHORT), "who asks for a seat all the same gets it"

    def test_nobodys_while_no_actor_answers(self) -> None:
        pool = _pool()
        (member,) = pool.members
        pool.answered(member, member.life, None)
        assert pool.threshold([]) == pool.threshold([0]) == math.inf
        assert pool.capacity() == 0

    def test_a_second_seat_of_a_clip_is_no_job(self) -> None:
        pool = _pool(actors=2, places=1)
        assert pool.spare(_take(pool))
        assert pool.capacity() == 1
        assert pool.threshold([0]) == 0


@pytest.mark.parametrize(("frames", "later"), [(0, 0), (16, -1)])
def test_a_wish_checks_itself(frames: int, later: int) -> None:
    with pytest.raises(ValueError, match="a clip wants"):
        Wish(frames=frames, later=later)


def test_a_pool_has_room_for_one_clip_at_least() -> None:
    with pytest.raises(ValueError, match="not enough"):
        Pool(ROOM - 1)
