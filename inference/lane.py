"""One clip's way through the batcher: a bounded queue in, its results out, in order and all accounted for."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from inference.errors import FrameAccountingError, InferenceError
from inference.estimator import Prepared
from inference.poses import Pose


class LaneAbandoned(Exception):
    """Nobody takes this lane's results any more; its producer should end."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Waiting:
    """A prepared frame that waits for a batch."""

    number: int
    """0, 1, 2 … within its clip."""
    prepared: Prepared
    since: float
    """time.monotonic()."""


class Lane:
    """Where three threads meet: the clip's producer, the batcher and the caller who takes the results.

    The batcher's lock guards everything. The producer's `put` and `finish` and the caller's `results` take it; the rest
    is called by those who hold it.
    """

    def __init__(self, lock: threading.Lock, work: threading.Condition, *, capacity: int, priority: int) -> None:
        self.priority = priority
        self.waiting: deque[Waiting] = deque()
        self.finished = False
        """Whether the producer has put its last frame."""
        self._lock = lock
        self._work = work
        self._changed = threading.Condition(lock)
        self._capacity = capacity
        self._results: deque[tuple[int, list[Pose]]] = deque()
        self._put = self._delivered = self._taken = 0
        self._failure: InferenceError | None = None
        self._producer_error: BaseException | None = None
        self._abandoned = False

    def put(self, number: int, prepared: Prepared) -> None:
        """Queue the next frame, waiting for room. Raises LaneAbandoned when it would be for nothing."""
        with self._lock:
            self._changed.wait_for(lambda: self._dead or not self.full)
            if self._dead:
                raise LaneAbandoned
            self.waiting.append(Waiting(number=number, prepared=prepared, since=time.monotonic()))
            self._put += 1
            self._work.notify()

    def finish(self, error: BaseException | None) -> None:
        """Say that no more frames follow, and which error ended them."""
        with self._lock:
            self.finished = True
            self._producer_error = error
            self._changed.notify_all()
            self._work.notify()

    def results(self) -> Iterator[tuple[int, list[Pose]]]:
        """Yield (number, people) of every frame in order, then raise what ended the producer, if anything did."""
        while True:
            with self._lock:
                self._changed.wait_for(lambda: self._failure or self._results or self._exhausted)
                if self._failure is not None:
                    raise self._failure
                if not self._results:
                    break
                result = self._results.popleft()
                self._taken += 1
                self._changed.notify_all()
            yield result
        if self._producer_error is not None:
            raise self._producer_error

    @property
    def full(self) -> bool:
        """Whether the producer has to wait."""
        return self._put - self._taken >= self._capacity

    @property
    def shape(self) -> tuple[int, int]:
        """Of the frame that waits longest."""
        return self.waiting[0].prepared.shape

    @property
    def oldest(self) -> float:
        """Since when the frame that waits longest does."""
        return self.waiting[0].since

    def deliver(self, number: int, people: list[Pose]) -> None:
        """Hand the caller the next result; any other than the next fails the lane."""
        if self._dead:
            return
        if number != self._delivered or self._delivered == self._put:
            self.fail(FrameAccountingError(f"result of frame {number} came where {self._delivered} was due"))
            return
        self._delivered += 1
        self._results.append((number, people))
        self._changed.notify_all()

    def fail(self, error: InferenceError) -> None:
        """Make the caller raise this instead of its next result, and the producer end. The first error stays."""
        self._failure = self._failure or error
        self.waiting.clear()
        self._changed.notify_all()

    def abandon(self) -> None:
        """The caller is gone: drop what waits and make the producer end."""
        self._abandoned = True
        self.waiting.clear()
        self._results.clear()
        self._changed.notify_all()

    @property
    def _dead(self) -> bool:
        return self._abandoned or self._failure is not None

    @property
    def _exhausted(self) -> bool:
        return self.finished and self._taken == self._put
