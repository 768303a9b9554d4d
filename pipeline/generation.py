"""One model's actors and their pool. A worker has one generation, and two while it goes from one to the next.

A job holds its generation from before its claim to its end, so that nothing of it comes from two models.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pipeline import ray_state
from pipeline.pool import Member, Pool, Seat, Wish

if TYPE_CHECKING:
    from inference.actor import ActorStatus
    from inference.memory import Memory
    from inference.poses import ModelInfo

logger = logging.getLogger(__name__)

ANSWER_S = 1.0
"""How long a look at the actors may take."""
PROVE_S = 60.0
"""How long actors may take for two photographs."""


class Generation:
    """Actors that hold one model. Any thread may call anything."""

    def __init__(self, start_actor: Callable[[], Any], *, actors: int, room: int, expected: str | None = None) -> None:
        """Start the actors; `look` says when they have loaded. `room` is that of each, in pictures."""
        self.started = time.monotonic()
        self.expected = expected
        """`name@version` that the actors are to load; None: whatever they do."""
        self.proven = False
        """Whether its actors have shown that they find people: no job comes before."""
        self.shut = False
        """Whether no more jobs may come to it: another generation waits for its place."""
        self.ready_at = -math.inf
        """`time.monotonic` of when all its actors last answered."""
        self.restarts = 0
        """How often an actor was found to be starting again."""
        self.model_info: ModelInfo | None = None
        """The model that an actor last said it holds."""
        self.pool = Pool(room)
        self._start_actor = start_actor
        self._looking = threading.Lock()
        self._jobs_lock = threading.Lock()
        self._jobs = 0
        self._left = self.started
        self.pool.fill([start_actor() for _ in range(actors)])

    @property
    def model(self) -> str | None:
        """`name@version` of the model that the actors hold; None until one has said so."""
        return self.model_info.ref if self.model_info else None

    @property
    def jobs(self) -> int:
        """How many hold it."""
        return self._jobs

    @property
    def left(self) -> float:
        """`time.monotonic` of when a job last let go of it."""
        return self._left

    def hold(self) -> None:
        """Keep it from being dropped until `release`."""
        with self._jobs_lock:
            self._jobs += 1

    def release(self) -> None:
        """Let go of it."""
        with self._jobs_lock:
            self._jobs -= 1
            self._left = time.monotonic()

    def ready(self) -> bool:
        """Whether every actor answered when it was last looked at."""
        return self.pool.ready() == len(self.pool.members)

    def capacity(self) -> int:
        """Jobs that all actors that answer now take at once, suspects that wait included; looks at them first."""
        self.look()
        return self.pool.capacity()

    def threshold(self, running: Sequence[int]) -> float:
        """Above which priority one more job would find a seat: see `Pool.threshold`; looks at the actors first."""
        self.look()
        return self.pool.threshold(running)

    @contextmanager
    def borrowed(
        self, wish: Wish | None = None, *, check: Callable[[float], None] = lambda silent_s: None
    ) -> Iterator[Seat]:
        """A seat in an actor that answers, for as long as the block runs; `check` as in `Pool.take`."""
        seat = self._take(wish or Wish(), check)
        try:
            yield seat
        finally:
            self.pool.leave(seat)

    @contextmanager
    def spare(self, seat: Seat, most: int) -> Iterator[list[Seat]]:
        """More seats for the clip of `seat`, as `Pool.spare` has them, at most so many, while the block runs."""
        seats: list[Seat] = []
        self.look()
        try:
            while len(seats) < most and (helper := self.pool.spare(seat)) is not None:
                seats.append(helper)
            yield seats
        finally:
            for helper in seats:
                self.pool.leave(helper)

    def died(self, seat: Seat) -> int:
        """The actor died under this clip: how many were in it then."""
        return self.pool.died(seat)

    def kill(self, seat: Seat) -> None:
        """End the actor of this seat, whatever it does, and have it started again: what it holds is lost."""
        self.pool.died(seat)
        _kill(seat.actor, no_restart=False)

    def statuses(self) -> list[ActorStatus]:
        """What the actors said of themselves when last looked at; one that did not answer is left out."""
        return [member.status for member in self.pool.members if member.status]

    def prove(self) -> None:
        """Have every actor find the people on the golden photographs, before there are clips.

        Raises what that raises, in Ray's wrapping, and Ray's GetTimeoutError.
        """
        import ray

        ray.get([member.actor.prove.remote() for member in self.pool.members], timeout=PROVE_S)

    def memories(self) -> list[Memory]:
        """What each actor takes; one that does not answer is left out."""
        import ray

        calls = [member.actor.memory.remote() for member in self.pool.members]
        answered, _ = ray.wait(calls, num_returns=len(calls), timeout=ANSWER_S) if calls else ([], [])
        found: list[Memory] = []
        for call in answered:
            with suppress(ray.exceptions.RayError):
                found.append(ray.get(call))
        return found

    def end(self) -> None:
        """End the actors for good. Nobody may hold the generation."""
        members = list(self.pool.members)
        self.pool.fill([])
        for member in members:
            _kill(member.actor, no_restart=True)

    def look(self, *, first: bool = False) -> bool:
        """Ask every actor for its status; True when all have answered. `first` raises why an actor could not load.

        A call to an actor that is starting again fails at once, so an actor that looks idle may be a dead one: without
        this look it would swallow the queue, an attempt of every job at a time.
        """
        import ray

        with self._looking:
            calls = [(member, *_ask(member)) for member in self.pool.members]
            asked = [call for _, _, call in calls]
            answered, _ = ray.wait(asked, num_returns=len(asked), timeout=ANSWER_S) if asked else ([], [])
            for member, life, call in calls:
                self.pool.answered(member, life, self._answer(member, call, first) if call in answered else None)
                if first and call not in answered:
                    self.restarts = max(self.restarts, ray_state.restarts(member.actor))
            ready = self.ready()
            if ready:
                self.ready_at = time.monotonic()
            return ready

    def _take(self, wish: Wish, check: Callable[[float], None]) -> Seat:
        """A seat whose actor has just answered: the last look may be a second old, and a dead one takes no clip."""
        import ray

        while True:
            seat = self.pool.take(wish, check=check)
            try:
                ray.get(seat.actor.status.remote(), timeout=ANSWER_S)
            except ray.exceptions.RayError:
                if seat.member is not None:
                    self.pool.answered(seat.member, seat.life, None)
                self.pool.leave(seat)
            except BaseException:
                self.pool.leave(seat)
                raise
            else:
                return seat

    def _answer(self, member: Member, call: Any, first: bool) -> ActorStatus | None:
        """What an answered call says; None for an actor that starts again."""
        import ray

        member.asked = None
        try:
            status: ActorStatus = ray.get(call)
        except (ray.exceptions.ActorDiedError, ray.exceptions.RayTaskError):  # gone, or it could not load
            if first:
                raise
            logger.warning("Pose actor is gone for good: another one is started")
            _kill(member.actor, no_restart=True)
            self.pool.replace(member, self._start_actor())
            return None
        except ray.exceptions.RayError:
            self.restarts += 1
            return None
        self.model_info = status.model
        return status


def _ask(member: Member) -> tuple[int, Any]:
    """The member's life, and the call for its status that it has not answered yet."""
    asked, life = member.asked, member.life
    if asked is None or asked[0] != life:
        asked = member.asked = life, member.actor.status.remote()
    return asked


def _kill(actor: Any, *, no_restart: bool) -> None:
    import ray

    with suppress(ray.exceptions.RayError):  # gone already
        ray.kill(actor, no_restart=no_restart)
