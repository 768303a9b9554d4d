"""One fair batch out of many clips: every clip cuts its frames on a thread of its own, a few threads infer for all.

A clip's frames wait in its own lane, by kind. Batches hold one kind and take one frame a lane in turn, the
lane served longest ago first, higher priorities before lower ones: nobody waits longer than the batch in progress of
each thread for what is less urgent, but for one batch in `PATIENCE`. A batch that does not fit into memory is inferred
in halves, and those that follow are smaller for a while. Once the runtime is broken nothing more is inferred: what it
said next might be wrong.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from inference.batch_size import BatchSizes, ran_out_of_memory
from inference.errors import FrameAccountingError, InferenceError, InferenceStopped, OutOfMemory, RuntimeBroken
from inference.estimator import Kind, Prepared
from inference.lane import Lane, Waiting
from inference.poses import Pose

Infer = Callable[[Sequence[Prepared]], list[list[Pose]]]

OnBroken = Callable[[RuntimeBroken], None]

PATIENCE = 16
"""Batches that may pass over less urgent clips that wait; then one goes to who was served longest ago. A clip that came
no further at all would be taken for one that stands still, and its actor be replaced."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchStats:
    """What a batcher has done since it was made, and holds now."""

    batches: int = 0
    """Inferred, failed ones included."""
    frames: int = 0
    """In those batches."""
    room: int = 0
    """Frames that those batches could have held."""
    mixed: int = 0
    """Batches with frames of two clips or more."""
    failed: int = 0
    """Batches whose inference raised."""
    halved: int = 0
    """Batches that did not fit into memory. Their halves count as batches, they themselves do not."""
    infer_s: float = 0.0
    """Seconds of inference, of all serving threads together."""
    thread_s: float = 0.0
    """Seconds that those threads had while there was a clip: what `infer_s` could have been at most."""
    waited_s: float = 0.0
    """Seconds that frames waited for their batch, of all frames together."""
    lanes: int = 0
    """Clips in it now."""
    waiting: int = 0
    """Prepared frames that wait for a batch now."""
    shapes: Mapping[tuple[int, int, int, bool], int] = field(default_factory=dict)
    """(N, H, W, fine) → batches of that shape."""
    lowered: Mapping[Kind, int] = field(default_factory=dict)
    """Kinds whose batches are kept smaller than what pays now, for want of memory → frames in a full one."""

    @property
    def fill(self) -> float:
        """Mean share of a batch that was filled, 0..1; NaN before the first."""
        return self.frames / self.room if self.room else float("nan")


class FairBatcher:
    """Runs `infer` on threads of its own; `lane` brings a clip to it.

    A batch goes when as many frames of one kind wait as `max_batch` says for it, when the oldest has waited
    `max_wait_s`, or when every clip waits for results and so nobody could add another frame.
    """

    def __init__(
        self,
        infer: Infer,
        *,
        max_batch: Callable[[Kind], int],
        servers: int = 1,
        max_wait_s: float = 0.02,
        on_broken: OnBroken = lambda error: None,
    ) -> None:
        """`on_broken` is called at most once, on a thread of this batcher's, before any clip fails with that error."""
        if servers < 1 or max_wait_s < 0:
            raise ValueError(f"servers {servers}, max_wait_s {max_wait_s}")
        self._infer = infer
        self._on_broken = on_broken
        self._sizes = BatchSizes(max_batch)
        self._max_wait_s = max_wait_s
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._lanes: list[Lane] = []  # in the order of service: who was served longest ago comes first
        self._counts: Counter[str] = Counter()
        self._shapes: Counter[tuple[int, int, int, bool]] = Counter()
        self._infer_s = self._waited_s = 0.0
        self._occupied_s = 0.0  # while there was a clip
        self._occupied_since = 0.0
        self._passed_over = 0  # batches in a row that went to others while something less urgent waited
        self._ended: InferenceError | None = None  # what every clip gets from then on
        self._broken = False
        self._threads = [threading.Thread(target=self._serve, name="batcher", daemon=True) for _ in range(servers)]
        for thread in self._threads:
            thread.start()

    @contextmanager
    def lane(self, *, priority: int = 0) -> Iterator[Lane]:
        """A lane for one clip, as long as the block runs. A higher `priority` is served before lower ones.

        Raises InferenceStopped if the batcher is closed, and RuntimeBroken.
        """
        lane = Lane(self._lock, self._work, priority=priority)
        with self._lock:
            if self._ended is not None:
                raise _own_copy(self._ended)
            if not self._lanes:
                self._occupied_since = time.monotonic()
            self._lanes.append(lane)
        try:
            yield lane
        finally:
            with self._lock:
                lane.fail(InferenceStopped("the clip has left"))
                self._lanes.remove(lane)
                if not self._lanes:
                    self._occupied_s += time.monotonic() - self._occupied_since
                self._work.notify_all()  # those who stay may have been waited for on its account

    def stats(self) -> BatchStats:
        """What was done so far."""
        with self._lock:
            waiting = sum(len(queue) for lane in self._lanes for queue in lane.waiting.values())
            occupied_s = self._occupied_s + (time.monotonic() - self._occupied_since if self._lanes else 0.0)
            return BatchStats(
                thread_s=occupied_s * len(self._threads),
                lanes=len(self._lanes),
                waiting=waiting,
                infer_s=self._infer_s,
                waited_s=self._waited_s,
                shapes=dict(self._shapes),
                lowered=self._sizes.lowered,
                **self._counts,
            )

    def close(self) -> None:
        """Stop after the batches in progress; whoever still waits gets InferenceStopped. May be called again."""
        self._stop(InferenceStopped())
        for thread in self._threads:
            thread.join()

    def _stop(self, why: InferenceError) -> None:
        """Infer nothing more, and fail every clip with this unless it was stopped before."""
        with self._lock:
            self._ended = self._ended or why
            for lane in self._lanes:
                lane.fail(_own_copy(self._ended))
            self._work.notify_all()

    def _break(self, error: RuntimeBroken) -> None:
        with self._lock:
            first, self._broken = self._ended is None and not self._broken, True
        if first:
            self._on_broken(error)  # before the clips: where it ends the process, all of them are lost alike
        self._stop(error)

    def _serve(self) -> None:
        try:
            while self._serve_one():
                pass  # nothing is held here: a thread without work must not keep its last batch's pictures
        except BaseException as error:
            # A fault of this thread's own: nobody may wait for it for ever, nor come here any more.
            self._break(RuntimeBroken(f"A thread that infers has died: {error!r}"))
            raise

    def _serve_one(self) -> bool:
        """Wait for a batch and infer it; False when closed."""
        batch = self._next_batch()
        if batch is not None:
            self._run(batch)
        return batch is not None

    def _next_batch(self) -> _Batch | None:
        """Wait for a batch that is due and take it out of the lanes; None when closed."""
        with self._lock:
            while self._ended is None:
                now = time.monotonic()
                kind = self._due(now)
                if kind is not None:
                    return self._gather(kind, now)
                since = [oldest for lane in self._lanes if (oldest := lane.oldest()) is not None]
                self._work.wait(max(min(since) + self._max_wait_s - now, 0.0) if since else None)
        return None

    def _due(self, now: float) -> Kind | None:
        """The kind whose batch should go now: the first that is due, in the order of service.

        No batch goes before what is more urgent: rather the more urgent one goes before it is due.
        """
        sizes: Counter[Kind] = Counter()
        for lane in self._lanes:
            for kind, queue in lane.waiting.items():
                sizes[kind] += len(queue)
        still_to_come = max((lane.priority for lane in self._lanes if not lane.hungry), default=None)
        first: Lane | None = None
        for lane in self._in_order():
            no_more_to_come = still_to_come is None or lane.priority > still_to_come
            for kind, queue in lane.waiting.items():
                first = first or lane
                waited = now >= queue[0].since + self._max_wait_s
                if no_more_to_come or waited or sizes[kind] >= self._sizes.most(kind):
                    return kind if first.priority <= lane.priority else next(iter(first.waiting))
        return None

    def _in_order(self) -> list[Lane]:
        """The lanes in the order of service, the more urgent first unless others were passed over for too long."""
        if self._passed_over >= PATIENCE:
            return list(self._lanes)
        return sorted(self._lanes, key=lambda lane: -lane.priority)

    def _gather(self, kind: Kind, now: float) -> _Batch:
        """Take one frame of this kind a lane in turn until the batch is full or there are no more."""
        room = self._sizes.most(kind)
        waiting = sum(len(lane.waiting.get(kind, ())) for lane in self._lanes)
        out_of_patience = self._passed_over >= PATIENCE
        # Powers of two: a runtime prepares itself for each number of pictures that it meets.
        size = min(room, 1 << (waiting.bit_length() - 1))
        frames: list[Waiting] = []
        while len(frames) < size:
            lane = next(lane for lane in self._in_order() if kind in lane.waiting)
            frames.append(lane.take(kind))
            self._lanes.remove(lane)
            self._lanes.append(lane)
        served = {frame.group.lane for frame in frames}
        urgent = max(lane.priority for lane in served)
        over = any(lane.waiting and lane.priority < urgent and lane not in served for lane in self._lanes)
        # One batch for the less urgent and then it starts anew, though some of another kind may still wait.
        self._passed_over = self._passed_over + 1 if over and not out_of_patience else 0
        return _Batch(frames=frames, room=room, gathered=now)

    def _run(self, batch: _Batch) -> None:
        frames = batch.frames
        failure: InferenceError | None = None
        results: list[list[Pose]] = []
        too_large = False
        began = time.monotonic()
        try:
            results = self._infer([frame.prepared for frame in frames])
            if len(results) != len(frames):
                failure = FrameAccountingError(f"{len(frames)} frames went in, {len(results)} results came out")
        except Exception as error:  # noqa: BLE001  # any fault of a runtime fails these clips and no others
            too_large = ran_out_of_memory(error)
            if not too_large or len(frames) == 1:
                failure = _with_code(error)
        with self._lock:
            self._infer_s += time.monotonic() - began
        if isinstance(failure, RuntimeBroken):
            self._break(failure)
        if too_large and failure is None:
            # Only here, where the error is gone, and what its traceback held of the batch's memory with it.
            self._again_in_halves(batch)
        else:
            self._deliver(batch, results, failure)

    def _again_in_halves(self, batch: _Batch) -> None:
        """What did not fit at once: nothing of it is lost, and only a frame that does not fit alone fails its clip."""
        with self._lock:
            self._counts.update(halved=1)
            self._sizes.did_not_fit(batch.kind, len(batch.frames))
        for half in batch.halves():
            if not self._broken:
                self._run(half)

    def _deliver(self, batch: _Batch, results: list[list[Pose]], failure: InferenceError | None) -> None:
        frames = batch.frames
        lanes = {frame.group.lane for frame in frames}
        with self._lock:
            self._waited_s += sum(batch.gathered - frame.since for frame in frames)
            self._counts.update(
                batches=1, frames=len(frames), room=batch.room, mixed=len(lanes) > 1, failed=failure is not None
            )
            self._shapes[len(frames), *batch.kind] += 1
            if failure is None:
                self._sizes.fitted(batch.kind, len(frames))
                for frame, people in zip(frames, results, strict=True):
                    frame.group.lane.deliver(frame, people)
            else:
                for lane in lanes:
                    lane.fail(_own_copy(failure))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Batch:
    frames: list[Waiting]
    """At least one, all of one kind."""
    room: int
    gathered: float
    """time.monotonic()."""

    @property
    def kind(self) -> Kind:
        return self.frames[0].prepared.kind

    def halves(self) -> tuple[_Batch, _Batch]:
        middle = len(self.frames) // 2
        first, second = self.frames[:middle], self.frames[middle:]
        return replace(self, frames=first, room=len(first)), replace(self, frames=second, room=len(second))


def _with_code(error: Exception) -> InferenceError:
    if isinstance(error, InferenceError):
        return error
    coded = OutOfMemory() if ran_out_of_memory(error) else InferenceError(f"inference failed: {error!r}")
    coded.__cause__ = error
    return coded


def _own_copy(error: InferenceError) -> InferenceError:
    """An equal error for each clip: threads that raise the same object would write their tracebacks into one."""
    copy = type(error)(error.message)
    copy.__cause__ = error.__cause__
    return copy
