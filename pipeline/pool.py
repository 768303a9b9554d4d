"""Whose turn it is in which actor: each has room for so many pictures, and a suspect has one to itself.

A clip holds a seat for as long as its extraction runs, and takes the room of the pictures that it then holds at most.
What clips less urgent than it take does not keep it out, unless all of them together would take twice the room: so it
waits for none of these to end, and, as the batcher serves the urgent first, for no more than the batch in progress.

When an actor dies every clip in it is a suspect; a suspect waits for an actor to be empty. While it waits only more
urgent ones get in, and while it is in there nobody. No Ray here.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from inference.spans import ROOM

if TYPE_CHECKING:
    from inference.actor import ActorStatus
    from inference.poses import ModelInfo

CHECK_S = 0.2
"""How often whoever waits for a seat is asked whether it still wants it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What a clip wants of an actor."""

    frames: int = ROOM
    """Room, in pictures: see `inference.spans.room_of`."""
    later: int = 0
    """Room that the next stage of its job will want: claimed are jobs that need not wait for it."""
    priority: int = 0
    alone: bool = False
    """No other clip beside it: a suspect."""

    def __post_init__(self) -> None:
        """Check it."""
        if self.frames < 1 or self.later < 0:
            raise ValueError(f"a clip wants {self.frames} pictures now and {self.later} later")

    @property
    def most(self) -> int:
        """Room that its job takes from now on, at most."""
        return max(self.frames, self.later)


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
    closed: float = -math.inf
    """Clips up to this priority do not get in: a suspect of that priority waits for it to be empty, or is in it (inf).
    """

    @property
    def model(self) -> ModelInfo | None:
        """What it last said it holds."""
        return self.status.model if self.status else None

    @property
    def frames(self) -> int:
        """Room that is taken."""
        return sum(seat.wish.frames for seat in self.seats)


@dataclass(slots=True, eq=False)
class Seat:
    """A clip's place in an actor, or its wish for one."""

    wish: Wish
    helps: bool = False
    """Whether it is one more for a clip that has a seat already."""
    member: Member | None = None
    life: int = 0
    """The actor's, when the seat was taken."""
    died_among: int = 0
    """Clips that were in the actor when it died; 0 while it lives."""

    @property
    def alone(self) -> bool:
        """Whether nobody else may sit beside it."""
        return self.wish.alone

    @property
    def model(self) -> ModelInfo | None:
        """The actor's; None while it is not known."""
        return self.member.model if self.member else None

    @property
    def actor(self) -> Any:
        """The actor to sit in. Only while the seat is taken."""
        assert self.member is not None  # noqa: S101 - for the type checker: `Pool.take` has returned
        return self.member.actor


class Pool:
    """Actors and who is in them. Any thread may call anything."""

    def __init__(self, room: int) -> None:
        if room < ROOM:
            raise ValueError(f"room for {room} pictures is not enough for one clip")
        self._room = room
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
            return self._places(self._room)

    def seats(self) -> int:
        """Whole clips that all actors take at once when they are there and empty, whatever they are now."""
        return len(self._members) * (self._room // ROOM)

    def threshold(self, running: Sequence[int]) -> float:
        """One more job would find a seat where its priority is above this; `running` are those of the jobs there are.

        -inf: whatever it is; inf: nobody would. A job without a seat may come to want one for a whole clip.
        """
        with self._changed:
            for above in (-math.inf, *sorted(set(running))):
                peers = sum(priority > above for priority in running)
                places = self._places(self._room, above, peers=above)
                if peers < places and len(running) < self._places(2 * self._room, above):
                    return above
            return math.inf

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

    def take(self, wish: Wish, *, check: Callable[[float], None]) -> Seat:
        """Wait for a seat: the more urgent first, then in the order of asking. An empty actor has room for any clip.

        `check` is called now and then with the seconds for which no actor answered; what it raises ends the waiting.
        """
        most = self._room
        seat = Seat(wish=replace(wish, frames=min(wish.frames, most), later=min(wish.later, most)))
        with self._changed:
            self._waiting.append(seat)
            self._assign()
        try:
            self._wait(seat, check)
        except BaseException:
            self.leave(seat)
            raise
        return seat

    def spare(self, seat: Seat) -> Seat | None:
        """One more seat for the clip of `seat`, in an actor with the same model that nobody is in; or None.

        None also while somebody waits. Poses of two models (one node may know bf16, another not) are never joined.
        """
        with self._changed:
            empty = [member for member in self._ready() if not member.seats and member.model == seat.model]
            if self._waiting or not empty:
                return None
            helper = Seat(wish=Wish(priority=seat.wish.priority), helps=True)
            _sit(helper, empty[0])
            return helper

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

    def _places(self, room: int, above: float = -math.inf, *, peers: float = -math.inf) -> int:
        """Clips of priorities above `peers` that there may be at once, the next one of a priority above `above`."""
        places = sum(seat.alone and seat.wish.priority > peers for seat in self._waiting)
        for member in self._ready():
            seats = [seat for seat in member.seats if seat.wish.priority > peers]
            places += sum(not seat.helps for seat in seats)
            if above >= member.closed:
                places += max(0, room - sum(seat.wish.most for seat in seats)) // ROOM
        return places

    def _assign(self) -> None:
        """Seat everybody who can be; who must wait is overtaken by nobody who is not more urgent."""
        ready = self._ready()
        if ready:
            self._empty_since = time.monotonic()
        waited_for = {member for member in self._members if member.closed > -math.inf}
        for member in self._members:
            member.closed = math.inf if any(seat.alone for seat in member.seats) else -math.inf
        must_wait = False
        for seat in sorted(self._waiting, key=lambda seat: -seat.wish.priority):
            if seat.alone:  # closes the actor that it waits for
                open_ones = [member for member in ready if seat.wish.priority > member.closed]
                fitting = [member for member in open_ones if not member.seats]
                if open_ones:
                    min(open_ones, key=_frames).closed = seat.wish.priority
            else:
                fitting = [] if must_wait else [member for member in ready if self._fits(seat.wish, member)]
                must_wait = not fitting
            if fitting:
                self._waiting.remove(seat)
                # Rather where no suspect waits for the others to go.
                _sit(seat, min(fitting, key=lambda member: (member in waited_for, member.frames)))
        self._changed.notify_all()

    def _fits(self, wish: Wish, member: Member) -> bool:
        beside = sum(seat.wish.frames for seat in member.seats if seat.wish.priority >= wish.priority)
        within = beside + wish.frames <= self._room and member.frames + wish.frames <= 2 * self._room
        return within and wish.priority > member.closed


def _sit(seat: Seat, member: Member) -> None:
    seat.member, seat.life = member, member.life
    member.seats.append(seat)
    if seat.alone:
        member.closed = math.inf


def _frames(member: Member) -> int:
    return member.frames
