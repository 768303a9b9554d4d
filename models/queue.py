"""Every SQL statement about a job's life that a worker causes: claim, beat, finish.

Rows stay here; what leaves is frozen (`models.jobs`). A claim carries a fresh lease token and every later write shows
it, so a worker that lost its lease changes nothing. Only the token decides: a lease that ran out and was not yet given
to anybody else still finishes its job.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session as Transaction

from models import lanes
from models.announce import announce, wake_workers
from models.canary import Canary, canary_may_be_to_blame, model_beside
from models.database import Database, on_postgres, shared_now
from models.errors import ArtifactsMissing, InvalidTransition, JobCanceled, LeaseLost, StoreUnavailable
from models.jobs import (
    RUNNING,
    STAGES,
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
from models.model_catalogue import meant
from models.register import JobRegister
from models.rows import NO_SYNC, WITHOUT_DOCUMENTS, job_value, lock
from models.sessions import settle_session, utc_now
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

ROUNDS = 10
"""Batches that one claim admits at most: together as many jobs as one bulk call submits."""
SWEPT = 1000
"""Silent jobs that one sweep takes back at most; the next one goes on."""
CANCELED = "The owner wanted the job to stop."
HANDED_BACK = "The worker handed the job back; this is not the job's fault and costs it nothing."
CRASHED = (
    "The actor died with this clip and others in it; nobody knows whose fault it was, so it costs this one nothing."
)
SILENT = "The worker stopped answering."


class JobQueue(JobRegister):
    """Jobs and the sessions they belong to: the database is the only queue.

    Leases are measured with the database's clock, so that no worker's own can cost another one its job. `clock`
    replaces it, for tests.
    """

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
        super().__init__(database, clock=clock or utc_now, max_attempts=max_attempts, max_active_jobs=max_active_jobs)
        self._clock = clock
        self._lease = timedelta(seconds=lease_s)
        self._backoff_s = backoff_s
        self._max_backoff_s = max_backoff_s
        self._uniform = uniform

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
        `canary`, which the worker has loaded, is active, its athletes' jobs get that instead of `runs`.
        """
        self._admit(above)
        claimed = self._take(worker_id, above, runs=runs, follows=follows, holds=holds, canary=canary)
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
                admitted = lanes.admit(transaction, self._moment(transaction), above)
                if admitted > 1:
                    wake_workers(transaction)  # those that looked meanwhile found these locked
            if admitted < lanes.BATCH:
                return

    def _take(
        self,
        worker_id: str,
        above: int | None,
        *,
        runs: str | None,
        follows: str | None,
        holds: Collection[str],
        canary: Canary | None,
    ) -> ClaimedJob | None:
        row, token = VideoAnalysisJob, str(uuid.uuid4())
        kept = (row.resolved_model.in_(holds), row.resolved_model)
        at_once = None if canary else runs
        with self._database.transaction() as transaction:
            lanes.walk_indexes(transaction)
            now = self._moment(transaction)
            claim = (
                update(row)
                .where(row.id == lanes.next_job(transaction, above))
                .values(
                    status="quick_running",
                    stage=STAGES["quick_running"],
                    progress_pct=0,
                    progress_updated_at=now,
                    attempt=row.attempt + 1,
                    lease_token=token,
                    lease_expires_at=now + self._lease,
                    worker_id=worker_id,
                    resolved_model=case(kept, (row.model_name.is_(None), at_once), else_=None),
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
            if canary is not None and found.model_name in {None, follows}:
                found.resolved_model = model_beside(transaction, found, canary, runs)
            elif found.resolved_model is None and found.model_name is not None:
                found.resolved_model = meant(transaction, found.model_name, runs, follows)
            announce(transaction, found)
            job = job_value(found)
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
            processing = begun.values(status="processing", updated_at=self._moment(transaction))
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

    def beat(self, beats: Sequence[Beat]) -> dict[str, BeatReply]:
        """Renew all leases of a worker and write progress. Returns what there is to say to each, by lease token.

        Progress stays within its stage's span and never goes back.
        """
        row, by_token = VideoAnalysisJob, {beat.lease.token: beat for beat in beats}
        jobs = select(row).where(row.id.in_({beat.lease.job_id for beat in beats})).options(*WITHOUT_DOCUMENTS)
        with self._database.transaction() as transaction:
            now = self._moment(transaction)
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
        job is failed, and what it showed before is what it still shows.
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
            if row.cancel_requested_at is None and canary_may_be_to_blame(transaction, row, code):
                record_attempt(row, code, message, now, retryable=True)
                row.max_attempts, row.resolved_model = row.max_attempts + 1, None
                requeue(row, now, available_at=now)
            else:
                self._fail(row, code, message, now, transient=transient)
            return job_value(row)

    def release(self, lease: Lease, *, crashed: bool = False) -> Job:
        """Hand the job back, to be claimed at once by anybody. Raises LeaseLost.

        It costs no attempt, and yet the next one has its own number, so that artifacts of both stay apart: the
        allowance grows by one instead. `crashed` where the actor died with this job and others in it: that is counted,
        for the job must run alone from now on; and if it was a canary's actor, by what serves.
        """
        with self._held(lease) as (transaction, row, now):
            if crashed:
                row.crashes = (row.crashes or 0) + 1
                canarys = canary_may_be_to_blame(transaction, row, "actor_died")
                record_attempt(row, "actor_died", CRASHED, now, retryable=True)
                row.resolved_model = None if canarys else row.resolved_model
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
        now = self._moment(transaction)
        if self._clock is None and on_postgres(transaction):
            started = transaction.scalars(select(func.pg_postmaster_start_time(type_=UtcDateTime()))).one()
            if now < started + self._lease / 2:
                return lanes.NEVER  # nobody could beat while it was away: the living come first
        return now - self._lease / 6

    def _take_back(self, job_id: str) -> bool:
        with self._changing(job_id) as (transaction, row, now):
            if row is None or row.lease_expires_at is None or row.lease_expires_at >= self._silent_since(transaction):
                return False  # it beat, or ended, or another sweep was faster
            self._fail(row, "lease_expired", SILENT, now, transient=True)
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
            now, before = self._moment(transaction), row.status if row else None
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
                self._fail(row, ArtifactsMissing.code, missing, now, transient=False)
            elif stage == "quick":
                write_quick(row, lease, document, s3_key, now)
            else:
                quick = transaction.scalar(select(VideoAnalysisJob.quick_results).where(VideoAnalysisJob.id == row.id))
                write_deep(row, quick, document, s3_key, now)
            if last and not missing:
                end(row, "done", now)
            job = job_value(row)
        if missing:
            raise ArtifactsMissing(missing)
        return job

    def _fail(self, row: VideoAnalysisJob, code: str, message: str, now: datetime, *, transient: bool) -> None:
        kept = record_attempt(row, code, message, now, retryable=transient)
        if row.cancel_requested_at is not None:
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

    def _moment(self, transaction: Transaction) -> datetime:
        return self._clock() if self._clock else shared_now(transaction)


def _reply(lease: Lease, row: VideoAnalysisJob | None) -> BeatReply:
    held = row is not None and row.lease_token == lease.token
    wanted = row is not None and row.cancel_requested_at is not None and (held or row.status == "canceled")
    return BeatReply(held=held, cancel_requested=wanted)
