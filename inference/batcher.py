"""One fair batch out of many clips: every clip decodes on a thread of its own, one thread infers for all.

A clip's frames wait in its own bounded lane, so that a full lane holds back its own decoder and nobody else's. Batches
take one frame a lane in turn, the lane served longest ago first, higher priorities before lower ones.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from inference.errors import FrameAccountingError, InferenceError, InferenceStopped
from inference.estimator import Prepared
from inference.lane import Lane, LaneAbandoned, Waiting
from inference.poses import Pose

T = TypeVar("T")
K = TypeVar("K")

Infer = Callable[[Sequence[Prepared]], list[list[Pose]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchStats:
    """What a batcher has done since it was made, and holds now."""

    batches: int = 0
    """Inferred, failed ones included."""
    frames: int = 0
    """In those batches."""
    mixed: int = 0
    """Batches with frames of two clips or more."""
    failed: int = 0
    """Batches whose inference raised."""
    max_batch: int
    lanes: int = 0
    """Clips in it now."""
    waiting: int = 0
    """Prepared frames that wait for a batch now."""

    @property
    def fill(self) -> float:
        """Mean share of a batch that was filled, 0..1; NaN before the first."""
        return self.frames / (self.batches * self.max_batch) if self.batches else float("nan")


class FairBatcher:
    """Runs `infer` on a thread of its own; `map` brings a clip to it.

    A batch goes when `max_batch` frames of one shape wait, when the oldest has waited `max_wait_s`, or when no lane
    could add another frame. A lane holds at most `lane_capacity` frames, from being prepared to being taken as results.
    """

    def __init__(self, infer: Infer, *, max_batch: int = 4, max_wait_s: float = 0.02, lane_capacity: int = 8) -> None:
        if min(max_batch, lane_capacity) < 1 or max_wait_s < 0:
            raise ValueError(f"max_batch {max_batch}, lane_capacity {lane_capacity}, max_wait_s {max_wait_s}")
        self._infer = infer
        self._max_batch = max_batch
        self._max_wait_s = max_wait_s
        self._lane_capacity = lane_capacity
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._lanes: list[Lane] = []  # in the order of service: who was served longest ago comes first
        self._counts: Counter[str] = Counter()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="batcher", daemon=True)
        self._thread.start()

    def map(
        self, frames: Iterable[T], prepare: Callable[[T], tuple[K, Prepared]], *, priority: int = 0
    ) -> Generator[tuple[K, list[Pose]], None, None]:
        """Yield (key, people) of each frame, in order. `prepare` gives a frame its key, such as index and timestamp.

        `frames` and `prepare` run on a thread of their own, at most a lane's capacity ahead of the caller; no more than
        one unprepared frame is held. That thread has ended when the generator has: exhausted, failed or closed, so
        close it (`contextlib.closing`) where you may leave early. A higher `priority` is served before lower ones.

        What `frames` or `prepare` raise is raised here, after the results of all frames before it. Raises what `infer`
        raised (InferenceError for strangers) if it failed on this clip's frames, InferenceStopped if the batcher is
        closed, FrameAccountingError if a result is missing or doubled.
        """
        lane = Lane(self._lock, self._work, capacity=self._lane_capacity, priority=priority)
        keys: dict[int, K] = {}
        producer = threading.Thread(target=_produce, args=(lane, frames, prepare, keys), name="clip", daemon=True)
        self._admit(lane)
        try:
            producer.start()
            for number, people in lane.results():
                yield keys.pop(number), people
        finally:
            self._dismiss(lane)
            if producer.ident is not None:  # the system had a thread to give
                producer.join()

    def stats(self) -> BatchStats:
        """What was done so far."""
        with self._lock:
            waiting = sum(len(lane.waiting) for lane in self._lanes)
            return BatchStats(max_batch=self._max_batch, lanes=len(self._lanes), waiting=waiting, **self._counts)

    def close(self) -> None:
        """Stop after the batch in progress; whoever still waits gets InferenceStopped. May be called again."""
        self._stop()
        self._thread.join()

    def _admit(self, lane: Lane) -> None:
        with self._lock:
            if self._closed:
                raise InferenceStopped
            self._lanes.append(lane)

    def _dismiss(self, lane: Lane) -> None:
        with self._lock:
            lane.abandon()
            self._lanes.remove(lane)
            self._work.notify()  # those who stay may have been waited for on its account

    def _stop(self) -> None:
        with self._lock:
            self._closed = True
            for lane in self._lanes:
                lane.fail(InferenceStopped())
            self._work.notify_all()

    def _serve(self) -> None:
        try:
            while (batch := self._next_batch()) is not None:
                self._run(batch)
        finally:
            # Also if this thread dies of a fault of its own: nobody may wait for it for ever.
            self._stop()

    def _next_batch(self) -> list[tuple[Lane, Waiting]] | None:
        """Wait for a batch that is due and take it out of the lanes; None when closed."""
        with self._lock:
            while not self._closed:
                now = time.monotonic()
                leader = self._due(now)
                if leader is not None:
                    return self._gather(leader.shape)
                oldest = min((lane.oldest for lane in self._lanes if lane.waiting), default=None)
                self._work.wait(None if oldest is None else max(oldest + self._max_wait_s - now, 0.0))
        return None

    def _due(self, now: float) -> Lane | None:
        """The first lane, in the order of service, whose next frame should go now."""
        ready = [lane for lane in self._in_order() if lane.waiting]
        sizes: Counter[tuple[int, int]] = Counter()
        for lane in ready:
            sizes[lane.shape] += len(lane.waiting)
        no_more_to_come = all(lane.full or lane.finished for lane in self._lanes)
        for lane in ready:
            waited = now >= lane.oldest + self._max_wait_s
            if no_more_to_come or waited or sizes[lane.shape] >= self._max_batch:
                return lane
        return None

    def _in_order(self) -> list[Lane]:
        return sorted(self._lanes, key=lambda lane: -lane.priority)

    def _gather(self, shape: tuple[int, int]) -> list[tuple[Lane, Waiting]]:
        """Take one frame of this shape a lane in turn until the batch is full or there are no more."""
        batch: list[tuple[Lane, Waiting]] = []
        while len(batch) < self._max_batch:
            lane = next((lane for lane in self._in_order() if lane.waiting and lane.shape == shape), None)
            if lane is None:
                break
            batch.append((lane, lane.waiting.popleft()))
            self._lanes.remove(lane)
            self._lanes.append(lane)
        return batch

    def _run(self, batch: list[tuple[Lane, Waiting]]) -> None:
        lanes = {lane for lane, _ in batch}
        failure: InferenceError | None = None
        results: list[list[Pose]] = []
        try:
            results = self._infer([frame.prepared for _, frame in batch])
            if len(results) != len(batch):
                failure = FrameAccountingError(f"{len(batch)} frames went in, {len(results)} results came out")
        except Exception as error:  # noqa: BLE001  # any fault of a runtime fails these clips and no others
            failure = error if isinstance(error, InferenceError) else InferenceError(f"inference failed: {error!r}")
            failure.__cause__ = error.__cause__ if failure is error else error
        with self._lock:
            self._counts.update(batches=1, frames=len(batch), mixed=len(lanes) > 1, failed=failure is not None)
            if failure is None:
                for (lane, frame), people in zip(batch, results, strict=True):
                    lane.deliver(frame.number, people)
            else:
                for lane in lanes:
                    lane.fail(_own_copy(failure))


def _produce(lane: Lane, frames: Iterable[T], prepare: Callable[[T], tuple[K, Prepared]], keys: dict[int, K]) -> None:
    """A clip's own thread: from frames to its lane, until they end, fail, or nobody wants them."""
    try:
        for number, frame in enumerate(frames):
            keys[number], prepared = prepare(frame)
            lane.put(number, prepared)
        lane.finish(None)
    except LaneAbandoned:
        pass
    except BaseException as error:  # noqa: BLE001  # whatever it is, it belongs to the thread that waits for us
        lane.finish(error)
    finally:
        if isinstance(frames, Generator):
            frames.close()


def _own_copy(error: InferenceError) -> InferenceError:
    """An equal error for each clip: threads that raise the same object would write their tracebacks into one."""
    copy = type(error)(error.message)
    copy.__cause__ = error.__cause__
    return copy
