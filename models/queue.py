"""Every SQL statement about a job's life that a worker causes: claim, heartbeat, finish.

Rows stay here; what leaves is frozen (`models.jobs`). A claim carries a fresh lease token and every later write shows
it, so a worker that lost its lease changes nothing. Only the token decides: a lease that ran out and was not yet given
to anybody else still finishes its job.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session as Transaction
from sqlalchemy.orm import aliased

from models.database import Database
from models.errors import ArtifactsMissing, InvalidTransition, JobCanceled, LeaseLost
from models.jobs import (
    STAGES,
    TERMINAL,
    ClaimedJob,
    HeartbeatReply,
    Job,
    JobDetail,
    JobResults,
    Lease,
    Owner,
    Page,
    Session,
    missing_artifacts,
)
from models.register import JobRegister
from models.rows import WITHOUT_DOCUMENTS, job_value, lock
from models.sessions import settle_session, utc_now
from models.tables import VideoAnalysisJob
from models.transitions import (
    STAGE_PROGRESS,
    check_goes_on,
    end,
    move,
    record_attempt,
    requeue,
    write_deep,
    write_quick,
)

__all__ = [
    "ClaimedJob",
    "HeartbeatReply",
    "Job",
    "JobDetail",
    "JobQueue",
    "JobResults",
    "Lease",
    "Owner",
    "Page",
    "Session",
]


class JobQueue(JobRegister):
    """Jobs and the sessions they belong to: the database is the only queue.

    `clock` gives aware moments; it is the workers' clocks that lease times are measured with, so they should agree to
    within a small part of `lease_s`.
    """

    def __init__(
        self,
        database: Database,
        *,
        lease_s: float = 60.0,
        max_attempts: int = 3,
        backoff_s: float = 5.0,
        max_backoff_s: float = 300.0,
        clock: Callable[[], datetime] = utc_now,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        super().__init__(database, clock=clock, max_attempts=max_attempts)
        self._lease = timedelta(seconds=lease_s)
        self._backoff_s = backoff_s
        self._max_backoff_s = max_backoff_s
        self._uniform = uniform

    def claim(self, worker_id: str) -> ClaimedJob | None:
        """The most urgent job that waits, the oldest among equals, or None. No two workers get the same."""
        now, token = self._now(), str(uuid.uuid4())
        row = VideoAnalysisJob
        waiting = aliased(row)
        first = (
            select(waiting.id)
            .where(waiting.status == "queued", waiting.available_at <= now)
            .order_by(waiting.priority.desc(), waiting.created_at, waiting.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        claim = (
            update(row)
            .where(row.id == first.scalar_subquery())
            .values(
                status="quick_running",
                stage=STAGES["quick_running"],
                progress_pct=0,
                attempt=row.attempt + 1,
                lease_token=token,
                lease_expires_at=now + self._lease,
                worker_id=worker_id,
                started_at=func.coalesce(row.started_at, now),
                # A quick result of an earlier attempt keeps its times until there is a newer one.
                quick_started_at=case((row.quick_completed_at.is_(None), now), else_=row.quick_started_at),
                deep_started_at=None,
                updated_at=now,
            )
            .returning(row.id)
            .execution_options(synchronize_session=False)
        )
        with self._database.transaction() as transaction:
            job_id = transaction.scalar(claim)
            if job_id is None:
                return None
            job = job_value(transaction.scalars(select(row).where(row.id == job_id).options(*WITHOUT_DOCUMENTS)).one())
            settle_session(transaction, job.session_id, now)
        lease = Lease(job_id=job.id, token=token, worker_id=worker_id, attempt=job.attempt, claimed_at=now)
        return ClaimedJob(job=job, lease=lease)

    def heartbeat(self, lease: Lease, progress_pct: float) -> HeartbeatReply:
        """Renew the lease and write progress: within the stage's span, and never backwards. Raises LeaseLost."""
        with self._held(lease) as (_, row):
            low, high = STAGE_PROGRESS[row.stage]
            row.progress_pct = max(row.progress_pct, low, min(high, int(progress_pct)))
            row.lease_expires_at = self._now() + self._lease
            return HeartbeatReply(cancel_requested=row.cancel_requested_at is not None)

    def save_quick(self, lease: Lease, *, document: Mapping[str, Any], s3_key: str) -> Job:
        """The quick result of a job that goes on: its documents become readable, the job is `quick_done`.

        `document` is the whole results document with `findings` and `report` in it, `s3_key` where it already is
        stored. Raises LeaseLost or JobCanceled (nothing changed), InvalidTransition, and ArtifactsMissing: then the
        job is failed, and what it showed before is what it still shows.
        """
        return self._save(lease, "quick", document, s3_key, last=False)

    def start_deep(self, lease: Lease) -> Job:
        """`quick_done` → `deep_running`. Raises LeaseLost, JobCanceled, InvalidTransition."""
        now = self._now()
        with self._held(lease) as (_, row):
            check_goes_on(row, "quick_done")
            move(row, "deep_running", now)
            row.deep_started_at = now
            return job_value(row)

    def finish(self, lease: Lease, *, stage: Literal["quick", "deep"], document: Mapping[str, Any], s3_key: str) -> Job:
        """The result of the job's last stage, and with it `done`: the guardrails are checked in this transaction.

        Arguments and errors are those of `save_quick`. `stage` is `quick` for a job without a deep stage.
        """
        return self._save(lease, stage, document, s3_key, last=True)

    def fail(self, lease: Lease, code: str, message: str, transient: bool) -> Job:
        """The attempt failed: try again later where that may help and attempts are left, otherwise the job failed.

        A quick result stays readable. Raises LeaseLost.
        """
        with self._held(lease) as (transaction, row):
            self._fail(row, code, message, transient=transient)
            settle_session(transaction, row.session_id, self._now())
            return job_value(row)

    def release(self, lease: Lease) -> Job:
        """Hand the job back, to be claimed at once by anybody. Raises LeaseLost.

        It costs no attempt, and yet the next one has its own number, so that artifacts of both stay apart: the
        allowance grows by one instead.
        """
        now = self._now()
        with self._held(lease) as (transaction, row):
            if row.cancel_requested_at is not None:
                end(row, "canceled", now)
            else:
                row.max_attempts += 1
                requeue(row, now, available_at=now)
            settle_session(transaction, row.session_id, now)
            return job_value(row)

    def mark_canceled(self, lease: Lease) -> Job:
        """The worker stopped because the owner asked for it. Raises LeaseLost."""
        now = self._now()
        with self._held(lease) as (transaction, row):
            row.cancel_requested_at = row.cancel_requested_at or now
            end(row, "canceled", now)
            settle_session(transaction, row.session_id, now)
            return job_value(row)

    def requeue_expired(self) -> int:
        """Take jobs from workers that went silent. Returns how many: queued again, or failed (`lease_expired`)."""
        count = 0
        while self._requeue_one_expired():  # a transaction each: two housekeepers cannot wait for each other
            count += 1
        return count

    def _requeue_one_expired(self) -> bool:
        now = self._now()
        expired = (
            select(VideoAnalysisJob)
            .where(VideoAnalysisJob.lease_expires_at < now)
            .order_by(VideoAnalysisJob.lease_expires_at)
            .limit(1)
            .options(*WITHOUT_DOCUMENTS)
            .with_for_update(skip_locked=True)
        )
        with self._database.transaction() as transaction:
            row = transaction.scalar(expired)
            if row is None:
                return False
            self._fail(row, "lease_expired", "The worker stopped answering.", transient=True)
            if row.status == "queued":
                row.available_at = now  # the worker is to blame, not the clip: nothing to wait for
            settle_session(transaction, row.session_id, now)
            return True

    @contextmanager
    def _held(self, lease: Lease) -> Iterator[tuple[Transaction, VideoAnalysisJob]]:
        """The job's row, locked, in a transaction; only for whoever still holds the lease."""
        with self._database.transaction() as transaction:
            row = transaction.scalar(
                lock(select(VideoAnalysisJob).where(VideoAnalysisJob.id == lease.job_id).options(*WITHOUT_DOCUMENTS))
            )
            if row is None or row.lease_token != lease.token:
                raise JobCanceled if row is not None and row.status == "canceled" else LeaseLost
            row.updated_at = self._now()
            yield transaction, row

    def _save(
        self, lease: Lease, stage: Literal["quick", "deep"], document: Mapping[str, Any], s3_key: str, *, last: bool
    ) -> Job:
        if not 0 < len(s3_key) <= 500:
            raise ValueError("the key of the stored results has 1 to 500 characters")
        missing = missing_artifacts(document.get("findings"), document.get("report"))
        now = self._now()
        with self._held(lease) as (transaction, row):
            check_goes_on(row, "quick_running" if stage == "quick" else "deep_running")
            if stage == "quick" and last is row.deep_enabled:
                raise InvalidTransition("A job ends with its deep stage if it has one, and with the quick one if not.")
            if missing:
                self._fail(row, ArtifactsMissing.code, missing, transient=False)
            elif stage == "quick":
                write_quick(row, lease, document, s3_key, now)
            else:
                quick = transaction.scalar(select(VideoAnalysisJob.quick_results).where(VideoAnalysisJob.id == row.id))
                write_deep(row, quick, document, s3_key, now)
            if last and not missing:
                end(row, "done", now)
                row.progress_pct = 100
            if row.status in TERMINAL:
                settle_session(transaction, row.session_id, now)
            job = job_value(row)
        if missing:
            raise ArtifactsMissing(missing)
        return job

    def _fail(self, row: VideoAnalysisJob, code: str, message: str, *, transient: bool) -> None:
        now = self._now()
        kept = record_attempt(row, code, message, now)
        if row.cancel_requested_at is not None:
            end(row, "canceled", now)
        elif transient and row.attempt < row.max_attempts:
            longest = min(self._max_backoff_s, self._backoff_s * 2 ** (row.attempt - 1))
            requeue(row, now, available_at=now + timedelta(seconds=self._uniform(longest / 2, longest)))
        else:
            end(row, "failed", now)
            row.error_code, row.error_message = code, kept
