"""The loop of a process that works off trials beside the workers, and lets real work go first."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from models.backlog import jobs_wait
from models.errors import StoreUnavailable
from models.storage import Storage
from models.stored import DoneJobs
from models.trials import Trials, Why, in_sample
from pipeline.trials.measuring import Bench, run_trial

logger = logging.getLogger(__name__)

AWAY_S = 5.0
"""Pause after the store or the database did not answer."""
SETTLED = timedelta(minutes=1)
"""A job's end may be seen later than that of one that ended after it, but not by more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """When to begin the next clip, and when to end."""

    yields: bool
    """Begin none while a job waits to be claimed."""
    until_done: bool
    """End once nothing waits and nobody works on any; otherwise when told to."""
    poll_s: float = 1.0


def work_off(
    bench: Bench, why: Why, pace: Pace, stop: threading.Event, enlist: Callable[[], object] = lambda: None
) -> None:
    """Measure one job after the other until `stop` is set; `enlist` is called before each and finds new ones.

    An outage of the store or the database costs a pause. Raises RuntimeBroken.
    """
    while not stop.is_set():
        try:
            enlist()
            if pace.yields and jobs_wait(bench.storage.database):
                stop.wait(pace.poll_s)
                continue
            claimed = bench.trials.claim(bench.model, why)
            if claimed is not None:
                run_trial(bench, claimed, stop)
            elif pace.until_done and not _open(bench, why):
                return
            else:
                stop.wait(pace.poll_s)
        except StoreUnavailable as error:
            logger.warning("Trials wait: %s %s", error.code, error.message)
            stop.wait(AWAY_S)


class Sampler:
    """Enlists a sample of the jobs that finish, each looked at about once."""

    def __init__(self, storage: Storage, trials: Trials, model: str, *, share: float, since: datetime) -> None:
        self._jobs = DoneJobs(storage.database)
        self._trials = trials
        self._model = model
        self._share = share
        self._since = since

    def __call__(self) -> int:
        """Those that finished since the last call. Returns how many are new. Raises StoreUnavailable."""
        return self._trials.enlist(self._model, "shadow", self._sampled())

    def _sampled(self) -> Iterator[str]:
        newest = self._since
        for job in self._jobs.ended(self._since):
            newest = max(newest, job.completed_at - SETTLED)
            if in_sample(job.id, self._share):
                yield job.id
        self._since = newest


def _open(bench: Bench, why: Why) -> int:
    """How many are not over: another process that works on one may die."""
    counts = bench.trials.counts(bench.model, why)
    return counts.waiting + counts.running
