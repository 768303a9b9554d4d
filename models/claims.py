"""From the queue to a worker: whose turn it is, and which job the worker can do.

A claim carries a fresh lease token; see `queue.py` for what it is worth.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy import case, func, select, update

from models import lanes
from models.announce import announce, wake_workers
from models.canary import Canary
from models.database import Database, shared_now
from models.errors import StoreUnavailable
from models.jobs import STAGES, ClaimedJob, Lease
from models.offer import Offer, at_once, had_better_wait, settle_model
from models.register import JobRegister
from models.rows import NO_SYNC, WITHOUT_DOCUMENTS, job_value, lock
from models.sessions import utc_now
from models.tables import VideoAnalysisJob, VideoSession

ROUNDS = 10
"""Batches that one claim admits at most: together as many jobs as one bulk call submits."""
PASSED_OVER = 100
"""Models whose jobs one claim passes over at most because another worker has, or loads, them; the next goes on."""
LOOKED_AT_AGAIN = timedelta(seconds=5)
"""How long the same worker does not look at these jobs then."""


class _HadBetterWait(Exception):
    """The job whose turn it is, and all that ask for the same, for a model that this worker lacks."""

    def __init__(self, asked: str | None, until: datetime) -> None:
        super().__init__(asked)
        self.asked, self.until = str(asked), until


class JobClaims(JobRegister):
    """Jobs as workers come to have them.

    Leases are measured with the database's clock, so that no worker's own can cost another one its job. `clock`
    replaces it, for tests.
    """

    def __init__(
        self,
        database: Database,
        *,
        lease_s: float,
        max_attempts: int,
        max_active_jobs: int,
        clock: Callable[[], datetime] | None,
    ) -> None:
        super().__init__(database, clock=clock or utc_now, max_attempts=max_attempts, max_active_jobs=max_active_jobs)
        self._clock = clock
        self._lease = timedelta(seconds=lease_s)
        self._passed_over: dict[str, tuple[Offer, dict[str, datetime]]] = {}

    def claim(
        self,
        worker_id: str,
        *,
        above: int | None = None,
        runs: str | None = None,
        follows: str | None = None,
        holds: Collection[str] = (),
        canary: Canary | None = None,
    ) -> ClaimedJob | None:
        """The job whose turn it is: highest priority, then the owner least recently served, then the oldest.

        With `above` only a job of a higher priority than that. None where no such job waits that nobody else is just
        taking. No two workers get the same one. `runs` is the worker's model, `name@version`: what a job gets that
        asks for none, or for the alias that the worker `follows`. What another asks for is looked up in the catalogue,
        anew at each claim. A job that was claimed before keeps its model where the worker still `holds` that. While the
        `canary`, which the worker has loaded, is active, its athletes' jobs get that instead of `runs`. A job that asks
        for what this worker lacks stays in the queue while another one runs that, or anyone is about to load it.
        """
        self._admit(above)
        claimed = self._take(worker_id, above, Offer(runs=runs, follows=follows, holds=holds, canary=canary))
        if claimed is None:
            if above is None:  # who asks for urgent ones alone has seen none of the other lanes
                self.tidy_lanes()
            return None
        with suppress(StoreUnavailable):  # the claim holds; whatever the job does next says the session's state again
            self._show_processing(claimed)
        return claimed

    def _admit(self, above: int | None) -> None:
        for _ in range(ROUNDS):
            # Each in its own transaction: the lanes of many owners must not stay locked while a turn is passed.
            with self._database.transaction() as transaction:
                lanes.walk_indexes(transaction)
                admitted = lanes.admit(transaction, shared_now(transaction, self._clock), above)
                if admitted > 1:
                    wake_workers(transaction)  # those that looked meanwhile found these locked
            if admitted < lanes.BATCH:
                return

    def _take(self, worker_id: str, above: int | None, offer: Offer) -> ClaimedJob | None:
        """The next job that need not wait for a model which this worker lacks."""
        passed = self._passed_by(worker_id, offer)
        for _ in range(PASSED_OVER):
            try:
                return self._take_next(worker_id, above, offer, passed)
            except _HadBetterWait as waits:
                passed[waits.asked] = waits.until
        return None

    def _passed_by(self, worker_id: str, offer: Offer) -> dict[str, datetime]:
        """What jobs ask for that this worker has passed over → until when; none once it offers other models.

        Nobody else hears of that: such jobs stay where they are in the queue, for whoever has what they ask for.
        """
        before, passed = self._passed_over.get(worker_id, (None, {}))
        if before != offer:
            passed = {}
            self._passed_over[worker_id] = (offer, passed)
        return passed

    def _take_next(
        self, worker_id: str, above: int | None, offer: Offer, passed: dict[str, datetime]
    ) -> ClaimedJob | None:
        row, token = VideoAnalysisJob, str(uuid.uuid4())
        with self._database.transaction() as transaction:
            lanes.walk_indexes(transaction)
            now = shared_now(transaction, self._clock)
            _forget_until(passed, now)
            claim = (
                update(row)
                .where(row.id == lanes.next_job(transaction, above, without=passed))
                .values(
                    status="quick_running",
                    stage=STAGES["quick_running"],
                    progress_pct=0,
                    progress_updated_at=now,
                    attempt=row.attempt + 1,
                    lease_token=token,
                    lease_expires_at=now + self._lease,
                    worker_id=worker_id,
                    resolved_model=at_once(offer),
                    started_at=func.coalesce(row.started_at, now),
                    # A quick result of an earlier attempt keeps its times until there is a newer one.
                    quick_started_at=case((row.quick_completed_at.is_(None), now), else_=row.quick_started_at),
                    deep_started_at=None,
                    updated_at=now,
                )
                .returning(row.id)
            )
            job_id = transaction.scalar(claim, execution_options=NO_SYNC)
            if job_id is None:
                return None
            found = transaction.scalars(select(row).where(row.id == job_id).options(*WITHOUT_DOCUMENTS)).one()
            settle_model(transaction, found, offer)
            if had_better_wait(transaction, found, offer, now):
                raise _HadBetterWait(found.model_name, now + LOOKED_AT_AGAIN)  # which undoes the claim
            job = job_value(found)
            announce(transaction, found)
            lanes.pass_turn(transaction, job.owner, now)
        lease = Lease(job_id=job.id, token=token, worker_id=worker_id, attempt=job.attempt, claimed_at=now)
        return ClaimedJob(job=job, lease=lease)

    def _show_processing(self, claimed: ClaimedJob) -> None:
        # Apart from the claim, which has its job before anybody knows the session: sessions are locked before jobs.
        session = VideoSession.id == claimed.job.session_id
        still_held = select(VideoAnalysisJob.id).where(VideoAnalysisJob.lease_token == claimed.lease.token)
        with self._database.transaction() as transaction:
            lanes.walk_indexes(transaction)
            transaction.execute(lock(select(VideoSession.id).where(session)))
            begun = update(VideoSession).where(session, still_held.where(VideoAnalysisJob.id == claimed.id).exists())
            processing = begun.values(status="processing", updated_at=shared_now(transaction, self._clock))
            transaction.execute(processing, execution_options=NO_SYNC)

    def tidy_lanes(self) -> int:
        """Repair what canceled and deleted jobs leave behind in the lanes, so far as claims come by. Returns how much.

        `requeue_expired` does it too.
        """
        with self._database.transaction() as transaction:
            lanes.walk_indexes(transaction)
            repaired = lanes.tidy(transaction)
        with self._database.transaction() as transaction:  # jobs are locked before lanes, so not in the same one
            lanes.walk_indexes(transaction)
            return repaired + lanes.readmit_strays(transaction)


def _forget_until(passed: dict[str, datetime], now: datetime) -> None:
    for asked in [asked for asked, until in passed.items() if until <= now]:
        del passed[asked]
