"""Which of an owner's jobs are wanted, in an order that an index already has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session as Transaction

from models.jobs import Job, JobStatus, Owner, Page
from models.requests import Mode
from models.rows import WITHOUT_DOCUMENTS, find, job_value, owned, read_page
from models.tables import JobBatch, JobTag, VideoAnalysisJob, VideoSession


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFilter:
    """What a listed job must be; None and () ask for nothing."""

    statuses: tuple[JobStatus, ...] = ()
    """In one of these states."""
    session_id: str | None = None
    batch_id: str | None = None
    mode: Mode | None = None
    created_after: datetime | None = None
    """Made later than this moment."""
    tag: str | None = None


def list_jobs(
    transaction: Transaction, owner: Owner, wanted: JobFilter, *, limit: int, cursor: str | None
) -> Page[Job]:
    """A page of the owner's jobs, the newest first.

    Raises InvalidCursor, and NotFound for a session or batch of somebody else.
    """
    row = VideoAnalysisJob
    order = None
    if wanted.tag is None:
        rows = owned(row, owner)
    else:
        # A tag's row says whose the job is. Asked of the job as well, a planner without statistics would look for each
        # of them among all of the owner's jobs instead of by its id.
        rows = select(row).join(JobTag, JobTag.job_id == row.id)
        rows = rows.where(
            JobTag.owner_type == owner.owner_type, JobTag.owner_id == owner.owner_id, JobTag.tag == wanted.tag
        )
        order = (JobTag.created_at, JobTag.job_id)
    if wanted.session_id is not None:
        rows = rows.where(
            row.session_id == find(transaction, owned(VideoSession, owner), VideoSession, wanted.session_id).id
        )
    if wanted.batch_id is not None:
        rows = rows.where(row.batch_id == find(transaction, owned(JobBatch, owner), JobBatch, wanted.batch_id).id)
    if wanted.statuses:
        rows = rows.where(row.status.in_(wanted.statuses))
    if wanted.mode is not None:
        rows = rows.where(row.analysis_mode == wanted.mode)
    if wanted.created_after is not None:
        rows = rows.where((order[0] if order else row.created_at) > wanted.created_after)
    found, following = read_page(transaction, rows.options(*WITHOUT_DOCUMENTS), row, limit, cursor, order=order)
    return Page(items=tuple(job_value(row) for row in found), next_cursor=following)
