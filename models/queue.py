"""Every SQL statement about a claimed job's life that a worker causes: beat, finish, hand back.

Rows stay here; what leaves is frozen (`models.jobs`). A claim carries a fresh lease token and every later write shows
it, so a worker that lost its lease changes nothing. Only the token decides: a lease that ran out and was not yet given
to anybody else still finishes its job.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session as Transaction

from models import lanes
from models.announce import announce, wake_workers
from models.claims import JobClaims
from models.database import Database, on_postgres, shared_now
from models.errors import ArtifactsMissing, InvalidTransition, JobCanceled, LeaseLost
from models.jobs import (
    RUNNING,
    Beat,
    BeatReply,
    ClaimedJob,
    Job,
    JobDetail,
    JobResults,
    Lease,
    Owner,
    Page,
    Session,
    missing_artifacts,
)
from models.offer import canary_may_be_to_blame
from models.rows import NO_SYNC, WITHOUT_DOCUMENTS, job_value, lock
from models.sessions import settle_session
from models.tables import UtcDateTime, VideoAnalysisJob, VideoSession
from models.transitions import (
    advance,
    check_goes_on,
    end,
    move,
    record_attempt,
    requeue,
    write_deep,
    write_quick,
)

__all__ = [
    "Beat",
    "BeatReply",
    "ClaimedJob",
    "Job",
    "JobDetail",
    "JobQueue",
    "JobResults",
    "Lease",
    "Owner",
    "Page",
    "Session",
]

SWEPT = 1000
"""Silent jobs that one sweep takes back at most; the next one goes on."""
CANCELED = "The owner wanted the job to stop."
HANDED_BACK = "The worker handed the job back; this is not the job's fault and costs it nothing."
CRASHED = (
    "The actor died with this clip and others in it; nobody knows whose fault it was, so it costs this one nothing."
)
SILENT = "The worker stopped answering."


class JobQueue(JobClaims):
    """Jobs and the sessions they belong to: the database is the only queue."""

    def __init__(
        self,
        database: Database,
        *,
        lease_s: float = 60.0,
        max_attempts: int = 3,
        backoff_s: float = 5.0,
        max_backoff_s: float = 300.0,
        max_active_jobs: int = 0,
        clock: Callable[[], datetime] | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        super().__init__(
            database, lease_s=lease_s, max_attempts=max_attempts, max_active_jobs=max_active_jobs, clock=clock
        )
        self._backoff_s = backoff_s
        self._max_backoff_s = max_backoff_s
        self._uniform = uniform

    def beat(self, beats: Sequence[Beat]) -> dict[str, BeatReply]:
        """Renew all leases of a worker and write progress. Returns what there is to say to each, by lease token.

        Progress stays within its stage's span and never goes back.
        """
        row, by_token = VideoAnalysisJob, {beat.lease.token: beat for beat in beats}
        jobs = select(row).where(row.id.in_({beat.lease.job_id for beat in beats})).options(*WITHOUT_DOCUMENTS)
        with self._database.transaction() as transaction:
            now = shared_now(transaction, self._clock)
            # A row that is just being written is passed over: whoever is slow there must not cost the others their
            # leases, and its own lease outlasts a missed beat.
            free = transaction.scalars(jobs.with_for_update(key_share=True, skip_locked=True)).all()
            held = {found.id: found for found in free if found.lease_token in by_token}
            renewed = update(row).where(row.id.in_(held)).values(lease_expires_at=now + self._lease)
            transaction.execute(renewed, execution_options=NO_SYNC)
            further = [one for one in held.values() if advance(one, by_token[one.lease_token or ""].progress_pct, now)]
            if further:
                announce(transaction, *further)
            seen = {found.id: found for found in free}
            if len(seen) < len(by_token):
                seen |= {found.id: found for found in transaction.scalars(jobs)}
            return {token: _reply(beat.lease, seen.get(beat.lease.job_id)) for token, beat in by_token.items()}

    def save_quick(self, lease: Lease, *, document: Mapping[str, Any], s3_key: str) -> Job:
        """The quick result of a job that goes on: its documents become readable, the job is `quick_done`.

        `document` is the whole results document with `findings` and `report` in it, `s3_key` where it already is
        stored. Raises LeaseLost or JobCanceled (nothing changed), InvalidTransition, and ArtifactsMissing: then the
        job is failed, or what serves has a try where a canary may be to blame, and it shows what it showed before.
        """
        return self._save(lease, "quick", document, s3_key, last=False)

    def start_deep(self, lease: Lease) -> Job:
        """`quick_done` → `deep_running`. Raises LeaseLost, JobCanceled, InvalidTransition."""
        with self._held(lease) as (_, row, now):
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

        Where a canary may be to blame, what serves tries at once, and it costs no attempt. A quick result stays
        readable. Raises LeaseLost.
        """
        with self._held(lease) as (transaction, row, now):
            self._fail(transaction, row, code, message, now, transient=transient)
            return job_value(row)

    def release(self, lease: Lease, *, crashed: bool = False) -> Job:
        """Hand the job back, to be claimed at once by anybody. Raises LeaseLost.

        It costs no attempt, and yet the next one has its own number, so that artifacts of both stay apart: the
        allowance grows by one instead. `crashed` where the actor died with this job and others in it: that is counted,
        for the job must run alone from now on; but if it was a canary's actor, it runs by what serves, like any other.
        """
        with self._held(lease) as (transaction, row, now):
            if crashed:
                passed_on = canary_may_be_to_blame(transaction, row, "actor_died")
                record_attempt(row, "actor_died", CRASHED, now, retryable=True)
                if passed_on:
                    row.resolved_model = None
                else:
                    row.crashes = (row.crashes or 0) + 1
            else:
                record_attempt(row, "handed_back", HANDED_BACK, now)
            if row.cancel_requested_at is not None:
                end(row, "canceled", now)
            else:
                row.max_attempts += 1
                requeue(row, now, available_at=now)
            return job_value(row)

    def mark_canceled(self, lease: Lease) -> Job:
        """The worker stopped because the owner asked for it. Raises LeaseLost."""
        with self._held(lease) as (_, row, now):
            row.cancel_requested_at = row.cancel_requested_at or now
            record_attempt(row, "canceled", CANCELED, now)
            end(row, "canceled", now)
            return job_value(row)

    def requeue_expired(self) -> int:
        """Take jobs from workers that went silent. Returns how many: queued again, or failed (`lease_expired`).

        A lease that has run out is left alone for half a beat (a sixth of a lease), and every lease for a beat and a
        half after the database's start: then living workers beat first. Called twice a beat, it brings the jobs of a
        dead worker back within one lease and one beat.
        """
        row = VideoAnalysisJob
        with self._database.transaction(read_only=True) as transaction:
            silent = row.lease_expires_at < self._silent_since(transaction)
            ids = transaction.scalars(select(row.id).where(silent).order_by(row.lease_expires_at).limit(SWEPT)).all()
        count = sum(self._take_back(job_id) for job_id in ids)
        self.tidy_lanes()
        return count

    def _silent_since(self, transaction: Transaction) -> datetime:
        """Whoever's lease ran out before this moment has been silent for too long."""
        now = shared_now(transaction, self._clock)
        if self._clock is None and on_postgres(transaction):
            started = transaction.scalars(select(func.pg_postmaster_start_time(type_=UtcDateTime()))).one()
            if now < started + self._lease / 2:
                return lanes.NEVER  # nobody could beat while it was away: the living come first
        return now - self._lease / 6

    def _take_back(self, job_id: str) -> bool:
        with self._changing(job_id) as (transaction, row, now):
            if row is None or row.lease_expires_at is None or row.lease_expires_at >= self._silent_since(transaction):
                return False  # it beat, or ended, or another sweep was faster
            self._fail(transaction, row, "lease_expired", SILENT, now, transient=True)
            if row.status == "queued":
                row.available_at = now  # the worker is to blame, not the clip: nothing to wait for
            return True

    @contextmanager
    def _held(self, lease: Lease) -> Iterator[tuple[Transaction, VideoAnalysisJob, datetime]]:
        """`_changing`, only for whoever still holds the lease."""
        with self._changing(lease.job_id) as (transaction, row, now):
            if row is None or row.lease_token != lease.token:
                raise JobCanceled if row is not None and row.status == "canceled" else LeaseLost
            yield transaction, row, now

    @contextmanager
    def _changing(self, job_id: str) -> Iterator[tuple[Transaction, VideoAnalysisJob | None, datetime]]:
        """The job's row, locked behind its session, in a transaction; a new state is told to whoever waits for it."""
        job = VideoAnalysisJob
        session_id = select(job.session_id).where(job.id == job_id).scalar_subquery()
        with self._database.transaction() as transaction:
            transaction.execute(lock(select(VideoSession.id).where(VideoSession.id == session_id)))
            row = transaction.scalar(lock(select(job).where(job.id == job_id).options(*WITHOUT_DOCUMENTS)))
            now, before = shared_now(transaction, self._clock), row.status if row else None
            yield transaction, row, now
            if row is None or row.status == before:
                return
            transaction.flush()
            if row.status not in RUNNING:
                settle_session(transaction, row.session_id, now)
            announce(transaction, row)
            if row.status == "queued" and row.available_at <= now:
                wake_workers(transaction)

    def _save(
        self, lease: Lease, stage: Literal["quick", "deep"], document: Mapping[str, Any], s3_key: str, *, last: bool
    ) -> Job:
        if not 0 < len(s3_key) <= 500:
            raise ValueError("the key of the stored results has 1 to 500 characters")
        missing = missing_artifacts(document.get("findings"), document.get("report"))
        with self._held(lease) as (transaction, row, now):
            check_goes_on(row, "quick_running" if stage == "quick" else "deep_running")
            if stage == "quick" and last is row.deep_enabled:
                raise InvalidTransition("A job ends with its deep stage if it has one, and with the quick one if not.")
            if missing:
                self._fail(transaction, row, ArtifactsMissing.code, missing, now, transient=False)
            elif stage == "quick":
                write_quick(row, lease, document, s3_key, now)
            else:
                quick = transaction.scalar(select(VideoAnalysisJob.quick_results).where(VideoAnalysisJob.id == row.id))
                write_deep(row, quick, document, s3_key, now)
            if last and not missing:
                end(row, "done", now)
            job = job_value(row)
        if missing:
            raise ArtifactsMissing(missing, retried=job.status == "queued")
        return job

    def _fail(
        self,
        transaction: Transaction,
        row: VideoAnalysisJob,
        code: str,
        message: str,
        now: datetime,
        *,
        transient: bool,
    ) -> None:
        passed_on = canary_may_be_to_blame(transaction, row, code)
        kept = record_attempt(row, code, message, now, retryable=passed_on or transient)
        if passed_on:
            row.max_attempts, row.resolved_model = row.max_attempts + 1, None
            requeue(row, now, available_at=now)
        elif row.cancel_requested_at is not None:
            end(row, "canceled", now)
        elif transient and row.attempt < row.max_attempts:
            requeue(row, now, available_at=now + self._backoff(row))
        else:
            end(row, "failed", now)
            row.error_code, row.error_message = code, kept

    def _backoff(self, row: VideoAnalysisJob) -> timedelta:
        """Doubles with every attempt that was charged; the later half of it is chance."""
        charged = self.max_attempts - (row.max_attempts - row.attempt)  # handed-back ones raised both
        longest = min(self._max_backoff_s, self._backoff_s * 2 ** max(0, min(charged - 1, 30)))
        return timedelta(seconds=self._uniform(longest / 2, longest))


def _reply(lease: Lease, row: VideoAnalysisJob | None) -> BeatReply:
    held = row is not None and row.lease_token == lease.token
    wanted = row is not None and row.cancel_requested_at is not None and (held or row.status == "canceled")
    return BeatReply(held=held, cancel_requested=wanted)
