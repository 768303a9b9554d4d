"""Every SQL statement about a job that its owner causes: submit, read, list, cancel."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import func, select

from models.announce import announce, wake_workers
from models.database import Database
from models.errors import InvalidTransition
from models.jobs import RUNNING, STAGES, Job, JobDetail, JobResults, JobStatus, Owner, Page
from models.requests import AnalysisRequest, JobExtras
from models.rows import WITHOUT_DOCUMENTS, WITHOUT_RESULTS, find, job_fields, job_value, lock, owned, read_page
from models.sessions import SessionRegister, check_source_key, utc_now
from models.tables import JobTag, VideoAnalysisJob, VideoSession
from models.transitions import end

NO_EXTRAS = JobExtras()


class JobRegister(SessionRegister):
    """Jobs as their owners see them. Somebody else's job is NotFound."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now, max_attempts: int = 3) -> None:
        super().__init__(database, clock=clock)
        self._max_attempts = max_attempts

    def submit(
        self,
        owner: Owner,
        session_id: str,
        request: AnalysisRequest,
        priority: int = 0,
        extras: JobExtras = NO_EXTRAS,
    ) -> Job:
        """A job on the session's video as it is now, or on the one that is still to come.

        Raises NotFound and KeyTooLong.
        """
        now = self._now()
        with self._database.transaction() as transaction:
            # Locked, so that the video cannot arrive between this look and our insert and leave the job waiting.
            session = find(transaction, lock(owned(VideoSession, owner)), VideoSession, session_id)
            check_source_key(session.s3_key or "")
            status: JobStatus = "awaiting_upload" if session.s3_key is None else "queued"
            row = VideoAnalysisJob(
                id=str(uuid.uuid4()),
                session_id=session.id,
                owner_type=session.owner_type,
                owner_id=session.owner_id,
                created_at=now,
                updated_at=now,
                analysis_mode=request.analysis_mode,
                camera_view=request.camera_view or session.camera_view,
                sample_fps=request.sample_fps,
                include_frames=request.include_frames,
                deep_enabled=request.deep_enabled,
                priority=priority,
                model_name=request.model,
                options=request.options.model_dump(mode="json"),
                s3_bucket=session.s3_bucket,
                s3_key=session.s3_key,
                status=status,
                stage=STAGES[status],
                progress_pct=0,
                attempt=0,
                max_attempts=self._max_attempts,
                available_at=now,
                tags=list(extras.tags) or None,
                client_metadata=extras.metadata or None,
                webhook_url=extras.webhook_url,
                webhook_events=list(extras.webhook_events) if extras.webhook_url else None,
            )
            row_tags = [
                JobTag(job_id=row.id, tag=tag, owner_type=row.owner_type, owner_id=row.owner_id, created_at=now)
                for tag in dict.fromkeys(extras.tags)
            ]
            transaction.add(row)
            transaction.flush()
            transaction.add_all(row_tags)
            if row.status == "queued":
                wake_workers(transaction)
            return job_value(row)

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
        self,
        owner: Owner,
        *,
        status: JobStatus | None = None,
        session_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Job]:
        """The owner's jobs, the newest first. Raises InvalidCursor, and NotFound for a session of somebody else."""
        with self._database.transaction(read_only=True) as transaction:
            rows = owned(VideoAnalysisJob, owner).options(*WITHOUT_DOCUMENTS)
            if status is not None:
                rows = rows.where(VideoAnalysisJob.status == status)
            if session_id is not None:
                session = find(transaction, owned(VideoSession, owner), VideoSession, session_id)
                rows = rows.where(VideoAnalysisJob.session_id == session.id)
            found, following = read_page(transaction, rows, VideoAnalysisJob, limit, cursor)
            return Page(items=tuple(job_value(row) for row in found), next_cursor=following)

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

    def counts(self) -> dict[JobStatus, int]:
        """How many jobs there are in each state, whoever owns them."""
        with self._database.transaction(read_only=True) as transaction:
            statement = select(VideoAnalysisJob.status, func.count()).group_by(VideoAnalysisJob.status)
            found = dict(transaction.execute(statement).all())
        return {status: found.get(status, 0) for status in STAGES}
