"""The worker: claims no more jobs than its actors have room for, so that the database is the only queue."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from dataclasses import dataclass

from models.errors import StoreUnavailable
from models.queue import ClaimedJob
from models.storage import StorageOptions
from pipeline.cluster import Cluster
from pipeline.job_run import JobRunner
from pipeline.stages import Limits

logger = logging.getLogger(__name__)

HAND_BACK_S = 8.0
"""How long all jobs together may take to be handed back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerOptions:
    """How a worker behaves."""

    poll_s: float = 1.0
    grace_s: float = 15.0
    """How long a stop waits for running jobs before they are handed back."""


class Worker:
    """One Ray driver that runs jobs until it is told to stop."""

    def __init__(
        self, *, storage_options: StorageOptions, cluster: Cluster, limits: Limits, options: WorkerOptions
    ) -> None:
        self.id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._storage = storage_options.open()
        self._cluster = cluster
        self._runner = JobRunner(storage=self._storage, storage_options=storage_options, cluster=cluster, limits=limits)
        self._options = options
        self._lease_s = storage_options.lease_s
        self._running: set[threading.Thread] = set()
        self._hand_back = threading.Event()
        self._next_sweep = 0.0

    def run(self, stop: threading.Event, hand_back: threading.Event | None = None) -> None:
        """Claim and run jobs until `stop` is set; then drain. `hand_back` ends the draining at once."""
        capacity = 0 if stop.is_set() else self._cluster.capacity()
        logger.info("Worker started: worker_id=%s capacity=%d", self.id, capacity)
        while not stop.is_set():
            if time.monotonic() >= self._next_sweep:
                self._next_sweep = time.monotonic() + self._lease_s / 3
                self._sweep()
                self._log_batches()
            if not self._start_next():
                stop.wait(self._options.poll_s)
        self._drain(hand_back or threading.Event())
        self._log_batches()
        self._storage.close()
        logger.info("Worker stopped: worker_id=%s", self.id)

    def _start_next(self) -> bool:
        """Claim one job if there is room. False when there was nothing to do."""
        self._running = {thread for thread in self._running if thread.is_alive()}
        if len(self._running) >= self._cluster.capacity():
            return False
        claimed = self._claim()
        if claimed is None:
            return False
        thread = threading.Thread(
            target=self._runner.run, args=(claimed, self._hand_back), name=f"job-{claimed.id}", daemon=True
        )
        self._running.add(thread)
        thread.start()
        return True

    def _claim(self) -> ClaimedJob | None:
        try:
            return self._storage.queue.claim(self.id)
        except StoreUnavailable as error:
            logger.warning("Claim failed, trying again: %s", error.message)
            self._forbear()
            return None

    def _sweep(self) -> None:
        """Bring back the jobs of workers that died."""
        try:
            returned = self._storage.queue.requeue_expired()
        except StoreUnavailable as error:
            logger.warning("Sweep failed, trying again: %s", error.message)
            self._forbear()
            return
        if returned:
            logger.warning("Jobs of dead workers requeued: count=%d", returned, extra={"count": returned})

    def _log_batches(self) -> None:
        """How full the batches are, and how many hold frames of several clips: what an actor is worth."""
        for status in self._cluster.statuses():
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

    def _forbear(self) -> None:
        """After the database was away no worker could beat: give the living ones a lease's time before any is swept."""
        self._next_sweep = time.monotonic() + self._lease_s

    def _drain(self, hand_back: threading.Event) -> None:
        """Wait for running jobs for the grace time, then have them handed back, all of them at once."""
        deadline = time.monotonic() + self._options.grace_s
        while self._alive() and time.monotonic() < deadline and not hand_back.wait(0.1):
            pass
        self._hand_back.set()
        deadline = time.monotonic() + HAND_BACK_S
        for thread in self._alive():
            thread.join(timeout=max(0.0, deadline - time.monotonic()))

    def _alive(self) -> list[threading.Thread]:
        return [thread for thread in self._running if thread.is_alive()]
