"""Every SQL statement about a job that its owner causes: submit, read, list, cancel, retry."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session as Transaction

from models.announce import announce, wake_workers
from models.ceiling import ActiveCeiling
from models.database import Database
from models.errors import InvalidTransition, NotFound
from models.idempotency import Made, RequestKey, take_key
from models.jobs import RUNNING, STAGES, Job, JobDetail, JobResults, JobStatus, Owner, Page
from models.listing import JobFilter, list_jobs
from models.requests import AnalysisRequest, JobExtras
from models.rows import WITHOUT_DOCUMENTS, WITHOUT_RESULTS, find, job_fields, job_value, lock, owned
from models.sessions import SessionRegister, check_source_key, settle_session, utc_now
from models.submission import Order, begin_again, insert_jobs, job_values
from models.tables import VideoAnalysisJob, VideoSession
from models.transitions import end

NO_EXTRAS = JobExtras()
EVERY_JOB = JobFilter()
RETRIED: tuple[JobStatus, ...] = ("failed", "canceled")
"""What its owner may have begun again."""


class JobRegister(SessionRegister):
    """Jobs as their owners see them. Somebody else's job is NotFound."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime] = utc_now,
        max_attempts: int = 3,
        max_active_jobs: int = 0,
    ) -> None:
        super().__init__(database, clock=clock)
        self.max_attempts = max_attempts
        """Of a new job."""
        self.ceiling = ActiveCeiling(max_active_jobs)
        """How many unfinished jobs an owner may have; 0 is no limit."""

    def submit(
        self,
        owner: Owner,
        session_id: str,
        request: AnalysisRequest,
        priority: int = 0,
        extras: JobExtras = NO_EXTRAS,
    ) -> Job:
        """A job on the session's video as it is now, or on the one that is still to come.

        Raises NotFound, KeyTooLong and TooManyActiveJobs.
        """
        order = Order(request=request, extras=extras, priority=priority)
        return self.submit_order(owner, session_id, order).value

    def submit_order(self, owner: Owner, session_id: str, order: Order, once: RequestKey | None = None) -> Made[Job]:
        """`submit`; with `once`, a request that was made before gives the job that it made then, as it is now.

        Raises IdempotencyConflict too, and NotFound where that job was deleted meanwhile.
        """
        job_id = str(uuid.uuid4())
        with self._database.transaction() as transaction:
            first = take_key(transaction, owner, once, job_id, self._now()) if once else None
            if first is not None:
                rows = owned(VideoAnalysisJob, owner).options(*WITHOUT_DOCUMENTS)
                return Made(value=job_value(find(transaction, rows, VideoAnalysisJob, first)), replayed=True)
            return Made(value=self._submit(transaction, owner, session_id, order, job_id), replayed=False)

    def _submit(self, transaction: Transaction, owner: Owner, session_id: str, order: Order, job_id: str) -> Job:
        # Shared with other submissions, but the video cannot arrive between this look and our insert and leave the job
        # waiting.
        rows = owned(VideoSession, owner).with_for_update(read=True)
        session = find(transaction, rows, VideoSession, session_id)
        check_source_key(session.s3_key or "")
        self.ceiling.admit(transaction, owner)
        values = job_values(owner, session, order, job_id=job_id, now=self._now(), max_attempts=self.max_attempts)
        insert_jobs(transaction, [values])
        return job_value(VideoAnalysisJob(**values))

    def get(self, owner: Owner, job_id: str) -> JobDetail:
        """A job with its findings and reports. Raises NotFound."""
        with self._database.transaction(read_only=True) as transaction:
            rows = owned(VideoAnalysisJob, owner).options(*WITHOUT_RESULTS)
            row = find(transaction, rows, VideoAnalysisJob, job_id)
            return JobDetail(
                **job_fields(row),
                quick_findings=row.quick_findings,
                quick_report=row.quick_report,
                deep_findings=row.deep_findings,
                deep_report=row.deep_report,
            )

    def summary(self, owner: Owner, job_id: str) -> Job:
        """A job without its documents: for whoever asks every second. Raises NotFound."""
        with self._database.transaction(read_only=True) as transaction:
            rows = owned(VideoAnalysisJob, owner).options(*WITHOUT_DOCUMENTS)
            return job_value(find(transaction, rows, VideoAnalysisJob, job_id))

    def results(self, owner: Owner, job_id: str) -> JobResults:
        """A job's whole result documents. Raises NotFound."""
        with self._database.transaction(read_only=True) as transaction:
            row = find(transaction, owned(VideoAnalysisJob, owner), VideoAnalysisJob, job_id)
            return JobResults(quick_results=row.quick_results, deep_results=row.deep_results, results=row.results)

    def list(
        self, owner: Owner, wanted: JobFilter = EVERY_JOB, *, limit: int = 50, cursor: str | None = None
    ) -> Page[Job]:
        """The owner's jobs, the newest first.

        Raises InvalidCursor, and NotFound for a session or batch of somebody else.
        """
        with self._database.transaction(read_only=True) as transaction:
            return list_jobs(transaction, owner, wanted, limit=limit, cursor=cursor)

    def cancel(self, owner: Owner, job_id: str) -> Job:
        """Cancel a waiting job at once and ask a running one's worker to stop. Canceling twice is no error.

        Raises NotFound, and InvalidTransition for a job that is done or failed.
        """
        now = self._now()
        with self._database.transaction() as transaction:
            rows = lock(owned(VideoAnalysisJob, owner).options(*WITHOUT_DOCUMENTS))
            row = find(transaction, rows, VideoAnalysisJob, job_id)
            if row.status in {"done", "failed"}:
                raise InvalidTransition(f"A job that is {row.status} cannot be canceled.")
            if row.status != "canceled":
                row.cancel_requested_at = row.cancel_requested_at or now
                row.updated_at = now
                if row.status not in RUNNING:
                    end(row, "canceled", now)
                announce(transaction, row)
            return job_value(row)

    def retry(self, owner: Owner, job_id: str) -> Job:
        """Begin a job again that failed or was canceled: with as many new attempts as a fresh one, its history kept.

        One that never had a video takes the session's, or waits for it again. Raises NotFound, InvalidTransition and
        TooManyActiveJobs.
        """
        now = self._now()
        rows = owned(VideoAnalysisJob, owner).options(*WITHOUT_DOCUMENTS)
        with self._database.transaction() as transaction:
            row = find(transaction, rows, VideoAnalysisJob, job_id)
            _check_retried(row)  # before anything is locked: a worker that ends the job waits for nobody
            # The session first, as everywhere; then the job as it is once nobody else has it.
            session = transaction.scalar(lock(select(VideoSession).where(VideoSession.id == row.session_id)))
            if session is None:
                raise NotFound
            row = find(transaction, lock(rows).execution_options(populate_existing=True), VideoAnalysisJob, job_id)
            _check_retried(row)
            self.ceiling.admit(transaction, owner)
            if row.s3_key is None:
                check_source_key(session.s3_key or "")
                row.s3_bucket, row.s3_key = session.s3_bucket, session.s3_key
            begin_again(row, now, more_attempts=self.max_attempts)
            transaction.flush()
            settle_session(transaction, row.session_id, now)
            announce(transaction, row)
            if row.status == "queued":
                wake_workers(transaction)
            return job_value(row)

    def counts(self) -> dict[JobStatus, int]:
        """How many jobs there are in each state, whoever owns them."""
        with self._database.transaction(read_only=True) as transaction:
            statement = select(VideoAnalysisJob.status, func.count()).group_by(VideoAnalysisJob.status)
            found = dict(transaction.execute(statement).all())
        return {status: found.get(status, 0) for status in STAGES}


def _check_retried(row: VideoAnalysisJob) -> None:
    if row.status not in RETRIED:
        raise InvalidTransition(f"Only a job that failed or was canceled is tried again; this one is {row.status}.")
