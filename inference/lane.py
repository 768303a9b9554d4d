"""One clip's way through the batcher: groups of frames in, their people out, in order and all accounted for."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from inference.errors import FrameAccountingError, InferenceError
from inference.estimator import Kind, Prepared
from inference.poses import Pose


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Waiting:
    """A prepared frame that waits for a batch."""

    group: Group
    place: int
    """In its group."""
    prepared: Prepared
    since: float
    """time.monotonic()."""


class Group:
    """Frames that were submitted together, and what came of them."""

    def __init__(self, lane: Lane, frames: int) -> None:
        self.lane = lane
        self._people: list[list[Pose] | None] = [None] * frames
        self._missing = frames

    @property
    def complete(self) -> bool:
        """Whether every frame has its result."""
        return not self._missing

    def result(self) -> list[list[Pose]]:
        """The people of each frame, in the order of submission; waits for them.

        Raises InferenceError where inference failed on this clip's frames, InferenceStopped if the batcher is closed,
        FrameAccountingError if a result is missing or doubled.
        """
        self.lane.wait_for(self)
        return [people for people in self._people if people is not None]

    def take(self, place: int, people: list[Pose]) -> bool:
        """Note the result of a frame; False where there is one already. The lane calls it."""
        if self._people[place] is not None:
            return False
        self._people[place] = people
        self._missing -= 1
        return True


class Lane:
    """Where two threads meet: the clip's own, which submits and waits, and a server's, which takes and delivers.

    The batcher's lock guards everything. `submit` and `wait_for` take it; the rest is called by those who hold it. A
    lane is not bounded: whoever submits holds pictures, and bounds those.
    """

    def __init__(self, lock: threading.Lock, work: threading.Condition, *, priority: int) -> None:
        self.priority = priority
        self.waiting: dict[Kind, deque[Waiting]] = {}
        """By kind; the kind that came first stands first."""
        self._awaited: Group | None = None
        self._lock = lock
        self._work = work
        self._changed = threading.Condition(lock)
        self._failure: InferenceError | None = None

    @property
    def hungry(self) -> bool:
        """Whether the clip waits for a result and can submit nothing before."""
        return self._awaited is not None and not self._awaited.complete

    def submit(self, frames: Sequence[Prepared]) -> Group:
        """Queue frames, of any kinds, and return at once."""
        group = Group(self, len(frames))
        now = time.monotonic()
        with self._lock:
            if self._failure is None:
                for place, prepared in enumerate(frames):
                    queue = self.waiting.setdefault(prepared.kind, deque())
                    queue.append(Waiting(group=group, place=place, prepared=prepared, since=now))
                self._work.notify_all()
        return group

    def wait_for(self, group: Group) -> None:
        """Return when the group is complete. Raises what failed the lane."""
        with self._lock:
            if not group.complete and self._failure is None:
                self._awaited = group
                self._work.notify_all()  # others may have waited for what this lane would add
                self._changed.wait_for(lambda: group.complete or self._failure is not None)
            if self._failure is not None:
                raise self._failure

    def take(self, kind: Kind) -> Waiting:
        """The next frame of this kind. Raises KeyError where none waits."""
        queue = self.waiting[kind]
        frame = queue.popleft()
        if not queue:
            del self.waiting[kind]
        return frame

    def deliver(self, frame: Waiting, people: list[Pose]) -> None:
        """Hand over a result; a second one of the same frame fails the lane."""
        if self._failure is not None:
            return
        if not frame.group.take(frame.place, people):
            self.fail(FrameAccountingError(f"frame {frame.place} of a group got two results"))
        elif frame.group.complete:
            self._changed.notify_all()

    def fail(self, error: InferenceError) -> None:
        """Make the clip raise this instead of its next result. The first error stays."""
        self._failure = self._failure or error
        self.waiting.clear()
        self._changed.notify_all()

    def oldest(self) -> float | None:
        """Since when the frame that waits longest does."""
        return min((queue[0].since for queue in self.waiting.values()), default=None)
