"""The worker: claims no more jobs than its actors have room for, so that the database is the only queue."""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field

from models.announce import QUEUE_CHANNEL
from models.canary import Canary
from models.errors import StoreUnavailable
from models.jobs import ClaimedJob
from models.listen import Listener
from models.storage import StorageOptions
from pipeline.cluster import Cluster
from pipeline.follow import Follower, FollowOptions, Models
from pipeline.generation import Generation
from pipeline.heart import Heart
from pipeline.housekeeping import Housekeeper, HousekeepingOptions
from pipeline.job_run import JobRunner
from pipeline.metrics import WorkerMetrics
from pipeline.stage_run import StageTools
from pipeline.stages import Limits

logger = logging.getLogger(__name__)

HAND_BACK_S = 8.0
"""How long all jobs together may take to be handed back."""
SWEEPS_A_LEASE = 6
"""Twice a beat of a third of a lease: then a dead worker's jobs are back within one lease and one beat."""
BATCHES_LOGGED_A_LEASE = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerOptions:
    """How a worker behaves."""

    poll_s: float = 1.0
    """How often the queue is looked into; on PostgreSQL wake-ups come sooner, unless the actors are full."""
    grace_s: float = 15.0
    """How long a stop waits for running jobs before they are handed back."""
    stall_s: float = 600.0
    """Seconds without progress after which an extraction is given up, and without any actor a job handed back."""
    follow: FollowOptions = field(default_factory=FollowOptions)


@dataclass(frozen=True, slots=True)
class _Running:
    """A job of this worker."""

    generation: Generation
    priority: int


@dataclass(frozen=True, slots=True)
class _Place:
    """What a claim is for: generations that are held meanwhile."""

    generations: tuple[Generation, ...]
    """The one that serves first."""
    canary: Canary | None
    """The other one's."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What to wait for before there is anything to claim."""

    event: threading.Event
    timeout_s: float


class Worker:
    """One Ray driver that runs jobs until it is told to stop."""

    def __init__(
        self,
        *,
        storage_options: StorageOptions,
        cluster: Cluster,
        limits: Limits,
        options: WorkerOptions,
        housekeeping: HousekeepingOptions | None = None,
        metrics: WorkerMetrics | None = None,
        models: Models | None = None,
    ) -> None:
        """`cluster` has started. With `models` the worker follows what their alias means."""
        self.id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._storage = storage_options.open()
        self._cluster = cluster
        self._metrics = metrics or WorkerMetrics()
        self._heart = Heart(storage_options)
        house = housekeeping or HousekeepingOptions(lease_s=storage_options.lease_s)
        self._housekeeper = Housekeeper(self._storage, house, metrics=self._metrics)
        tools = StageTools(
            storage=self._storage,
            storage_options=storage_options,
            limits=limits,
            stall_s=options.stall_s,
            metrics=self._metrics,
        )
        self._follows = models.alias if models else None
        self._runner = JobRunner(tools=tools, heart=self._heart, follows=self._follows)
        self._follower = Follower(
            cluster=cluster,
            models=models,
            database=self._storage.database,
            worker_id=self.id,
            options=options.follow,
        )
        self._options = options
        self._lease_s = storage_options.lease_s
        self._lock = threading.Lock()
        self._running: dict[threading.Thread, _Running] = {}
        self._hand_back = threading.Event()
        self._work, self._room = threading.Event(), threading.Event()
        self._next_log = self._next_sweep = self._next_urgent = 0.0
        self._forbear()  # whoever else works here must have had the time to beat

    def run(self, stop: threading.Event, hand_back: threading.Event | None = None) -> None:
        """Claim and run jobs until `stop` is set; then drain. `hand_back` ends the draining at once."""
        capacity = 0 if stop.is_set() else self._cluster.capacity()
        logger.info("Worker started: worker_id=%s capacity=%d", self.id, capacity)
        with self._company(stop):
            try:
                while not stop.is_set():
                    self._do_what_is_due()
                    waiting = self._start_next()
                    if waiting is not None and not stop.is_set():
                        waiting.event.wait(waiting.timeout_s)
            finally:  # whatever ended the claiming, those that run are not to blame
                self._drain(hand_back or threading.Event())
        self._log_batches()
        self._storage.close()
        logger.info("Worker stopped: worker_id=%s", self.id)

    @contextmanager
    def _company(self, stop: threading.Event) -> Iterator[None]:
        """The threads beside the claiming one, until every job is over."""

        def pass_on() -> None:
            stop.wait()
            self._work.set()
            self._room.set()

        threading.Thread(target=pass_on, name="stop", daemon=True).start()
        with ExitStack() as stack:
            for thread in (
                self._heart,
                self._housekeeper,
                self._follower,
            ):  # closed in the other order: the last beat comes last
                thread.start()
                stack.enter_context(closing(thread))
            wake_up = Listener(self._storage.database, [QUEUE_CHANNEL], lambda channel, payload: self._work.set())
            stack.enter_context(closing(wake_up))
            yield

    def _start_next(self) -> _Waiting | None:
        """Claim one job. Returns what to wait for where that could not be done: room for it, or the job itself."""
        self._room.clear()
        canary = self._follower.canary
        with self._cluster.entered(str(canary.model) if canary else None) as generations:
            if not generations:  # one model has to go before the next can come
                return _Waiting(self._room, self._options.poll_s)
            if self._crowded(generations):
                return _Waiting(self._room, self._options.poll_s)
            place = _Place(generations, canary if len(generations) > 1 else None)
            # Nobody knows whose the next job is, so there must be room in either.
            threshold = max(generation.threshold(self._priorities(generation)) for generation in generations)
            if threshold > -math.inf:
                return self._start_urgent(place, threshold)
            self._work.clear()
            return None if self._start(place, above=None) else _Waiting(self._work, self._options.poll_s)

    def _priorities(self, generation: Generation) -> list[int]:
        """Of the jobs that hold it."""
        with self._lock:
            return [job.priority for job in self._running.values() if job.generation is generation]

    def _crowded(self, serving: Sequence[Generation]) -> bool:
        """Whether jobs that mean another model wait for its seats already: nobody knows what the next one means.

        By the seats it has, not by those that answer: an actor that starts again there holds up nobody here.
        """
        others = [generation for generation in self._cluster.generations if generation not in serving]
        return any(len(self._priorities(other)) > 2 * other.pool.seats() for other in others if other.jobs)

    def _start_urgent(self, place: _Place, threshold: float) -> _Waiting | None:
        """Where no job but one of a higher priority would find a seat, claim such a one.

        Not at each wake-up, as all of them are for other jobs when a batch comes in: once in `poll_s`, until none is
        found.
        """
        poll_s, now = self._options.poll_s, time.monotonic()
        if threshold == math.inf:
            return _Waiting(self._room, poll_s)
        if now < self._next_urgent:
            return _Waiting(self._room, self._next_urgent - now)
        if self._start(place, above=int(threshold)):
            return None
        self._next_urgent = time.monotonic() + poll_s
        return _Waiting(self._room, poll_s)

    def _start(self, place: _Place, *, above: int | None) -> bool:
        """Claim a job, of a higher priority than `above`, and have it run. False where there is none."""
        claimed = self._claim(place, above)
        if claimed is None:
            return False
        self._metrics.claimed()
        # Until the job's end: nothing of it may come from another model.
        generation = self._cluster.hold(claimed.job.resolved_model, place.generations)
        arguments = (claimed, generation)
        thread = threading.Thread(target=self._run, args=arguments, name=f"job-{claimed.id}", daemon=True)
        with self._lock:
            self._running[thread] = _Running(generation, claimed.job.priority)
        thread.start()
        return True

    def _run(self, claimed: ClaimedJob, generation: Generation) -> None:
        try:
            self._runner.run(claimed, generation, self._hand_back)
        finally:
            generation.release()
            with self._lock:
                self._running.pop(threading.current_thread(), None)
            self._room.set()

    def _claim(self, place: _Place, above: int | None) -> ClaimedJob | None:
        try:
            return self._storage.queue.claim(
                self.id,
                above=above,
                runs=place.generations[0].model,
                follows=self._follows,
                holds=self._cluster.holds(),
                canary=place.canary,
            )
        except StoreUnavailable as error:
            logger.warning("Claim failed, trying again: %s", error.message)
            self._forbear()
            return None

    def _do_what_is_due(self) -> None:
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + self._lease_s / SWEEPS_A_LEASE
            self._sweep()
        if now >= self._next_log:
            self._next_log = now + self._lease_s / BATCHES_LOGGED_A_LEASE
            self._log_batches()

    def _sweep(self) -> None:
        """Bring back the jobs of workers that died."""
        try:
            returned = self._storage.queue.requeue_expired()
        except StoreUnavailable as error:
            logger.warning("Sweep failed, trying again: %s", error.message)
            self._forbear()
            return
        if returned:
            self._metrics.leases_expired(returned)
            logger.warning("Jobs of dead workers requeued: count=%d", returned, extra={"count": returned})

    def _forbear(self) -> None:
        """Sweep no sooner than in a beat: if the database was away, for us or for all, the living must beat first."""
        self._next_sweep = time.monotonic() + self._lease_s / 3

    def _log_batches(self) -> None:
        """How full the batches are, and how many hold frames of several clips: what an actor is worth."""
        statuses = self._cluster.statuses()
        self._metrics.observe_actors(statuses)
        for status in statuses:
            batches = status.batches
            if batches.batches:
                values = {
                    "batches": batches.batches,
                    "frames": batches.frames,
                    "mixed": batches.mixed,
                    "fill": round(batches.fill, 3),
                    "clips": status.clips,
                }
                pairs = " ".join(f"{key}={value}" for key, value in values.items())
                logger.info("Batches so far: %s", pairs, extra=values)

    def _drain(self, hand_back: threading.Event) -> None:
        """Wait for running jobs for the grace time, then have them handed back, all of them at once."""
        deadline = time.monotonic() + self._options.grace_s
        while self._alive() and time.monotonic() < deadline and not hand_back.wait(0.1):
            self._cluster.capacity()  # looks at the actors, for jobs that still wait for one
        self._hand_back.set()
        deadline = time.monotonic() + HAND_BACK_S
        for thread in self._alive():
            thread.join(timeout=max(0.0, deadline - time.monotonic()))

    def _alive(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._running)
