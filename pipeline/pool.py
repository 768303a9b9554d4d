"""Whose turn it is in which actor: at most so many clips in each, and a suspect has one to itself.

A clip holds a seat for as long as its extraction runs. When an actor dies every clip in it is a suspect; a suspect
waits for an actor to be empty, and while it waits and while it is in there nobody else gets in. No Ray here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference.actor import ActorStatus

CHECK_S = 0.2
"""How often whoever waits for a seat is asked whether it still wants it."""


@dataclass(slots=True, eq=False)
class Member:
    """An actor of the pool as the worker sees it."""

    actor: Any
    asked: tuple[int, Any] | None = None
    """The life in which it was asked for its status, and that call, which it has not answered yet."""
    status: ActorStatus | None = None
    """Its last answer; None while it starts, or starts again after it died."""
    life: int = 0
    """How many times it was found dead; an answer of an earlier life says nothing about this one."""
    seats: list[Seat] = field(default_factory=list)
    closed: bool = False
    """A suspect is in it, or waits for it to be empty."""


@dataclass(slots=True, eq=False)
class Seat:
    """A clip's place in an actor, or its wish for one."""

    alone: bool
    member: Member | None = None
    life: int = 0
    """The actor's, when the seat was taken."""
    died_among: int = 0
    """Clips that were in the actor when it died; 0 while it lives."""

    @property
    def actor(self) -> Any:
        """The actor to sit in. Only while the seat is taken."""
        assert self.member is not None  # noqa: S101 - for the type checker: `Pool.take` has returned
        return self.member.actor


class Pool:
    """Actors and who is in them. Any thread may call anything."""

    def __init__(self, clips_per_actor: int) -> None:
        self._clips_per_actor = clips_per_actor
        self._changed = threading.Condition()
        self._members: list[Member] = []
        self._waiting: list[Seat] = []
        self._empty_since = time.monotonic()

    @property
    def members(self) -> list[Member]:
        """The actors, in a fixed order."""
        return self._members

    def fill(self, actors: list[Any]) -> None:
        """Put these actors into the pool in place of those that were there; none has answered yet."""
        with self._changed:
            self._members = [Member(actor=actor) for actor in actors]

    def ready(self) -> int:
        """How many actors answer."""
        with self._changed:
            return len(self._ready())

    def capacity(self) -> int:
        """Clips that may be running or waiting for a seat before one more would have to wait too."""
        with self._changed:
            room = sum(len(m.seats) if m.closed else self._clips_per_actor for m in self._ready())
            return room + sum(seat.alone for seat in self._waiting)

    def answered(self, member: Member, life: int, status: ActorStatus | None) -> None:
        """Note what an actor said when asked in that life of its; None where it did not answer."""
        with self._changed:
            if life == member.life:
                member.status = status
                self._assign()

    def replace(self, member: Member, actor: Any) -> None:
        """Another actor, which has not answered yet, in the place of one that is gone for good."""
        with self._changed:
            self._note_death(member)
            member.actor = actor

    def take(self, *, alone: bool, check: Callable[[float], None]) -> Seat:
        """Wait for a seat, in the order of asking. `alone`: in an actor that holds no other clip.

        `check` is called now and then with the seconds for which no actor answered; what it raises ends the waiting.
        """
        seat = Seat(alone=alone)
        with self._changed:
            self._waiting.append(seat)
            self._assign()
        try:
            self._wait(seat, check)
        except BaseException:
            self.leave(seat)
            raise
        return seat

    def spare(self) -> Seat | None:
        """A seat in an actor that answers and that nobody is in, while nobody waits; None where there is none."""
        with self._changed:
            empty = [member for member in self._ready() if not member.seats and not member.closed]
            if self._waiting or not empty:
                return None
            seat = Seat(alone=False, member=empty[0], life=empty[0].life)
            empty[0].seats.append(seat)
            return seat

    def leave(self, seat: Seat) -> None:
        """Give a seat back, or the wish for one. Leaving twice is no error."""
        with self._changed:
            if seat in self._waiting:
                self._waiting.remove(seat)
            if seat.member is not None and seat in seat.member.seats:
                seat.member.seats.remove(seat)
            self._assign()

    def died(self, seat: Seat) -> int:
        """Note that the actor died with this clip in it; returns how many were: the first to say so counts for all."""
        with self._changed:
            if not seat.died_among and seat.member is not None and seat.life == seat.member.life:
                self._note_death(seat.member)
            return seat.died_among or 1

    def _note_death(self, member: Member) -> None:
        among = [seat for seat in member.seats if seat.life == member.life]
        for seat in among:
            seat.died_among = len(among)
        member.life += 1
        member.status = member.asked = None
        self._assign()

    def _wait(self, seat: Seat, check: Callable[[float], None]) -> None:
        while True:
            with self._changed:
                if seat.member is not None or self._changed.wait_for(lambda: seat.member is not None, CHECK_S):
                    return
                silent_s = 0.0 if self._ready() else time.monotonic() - self._empty_since
            check(silent_s)

    def _ready(self) -> list[Member]:
        return [member for member in self._members if member.status]

    def _assign(self) -> None:
        """Seat everybody who can be, first come first served; a waiting suspect closes the actor that it waits for."""
        ready = self._ready()
        if ready:
            self._empty_since = time.monotonic()
        for member in self._members:
            member.closed = any(seat.alone for seat in member.seats)
        for seat in list(self._waiting):
            open_ones = [member for member in ready if not member.closed]
            if not open_ones:
                break
            member = min(open_ones, key=lambda candidate: len(candidate.seats))
            member.closed = seat.alone
            if len(member.seats) < (1 if seat.alone else self._clips_per_actor):
                self._waiting.remove(seat)
                seat.member, seat.life = member, member.life
                member.seats.append(seat)
        self._changed.notify_all()
