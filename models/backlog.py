"""How much work waits and for how long, in a few looks at indexes whose cost does not grow with the backlog."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, literal, select, text, union_all
from sqlalchemy.orm import Session as Transaction

from models.database import Database
from models.jobs import RUNNING, JobStatus
from models.sessions import utc_now
from models.tables import VideoAnalysisJob

UNFINISHED: tuple[JobStatus, ...] = ("awaiting_upload", "queued", *RUNNING)
MOST = 100_000
"""Counting ends here: more is shown as so many."""
_HEADS = 100
"""Jobs looked at in each priority: among the oldest may be some that wait for a retry."""
_TIMEOUT_MS = 3000


@dataclass(frozen=True, kw_only=True, slots=True)
class Backlog:
    """The unfinished jobs of all owners at one moment."""

    jobs: Mapping[JobStatus, int]
    """By state, each at most `MOST`."""
    oldest_ready_s: float
    """For how long the longest waiting job could have been claimed, in seconds; 0 where none waits."""


def jobs_wait(database: Database, *, clock: Callable[[], datetime] = utc_now) -> bool:
    """Whether any job could be claimed this moment. Raises StoreUnavailable."""
    with database.transaction(read_only=True) as transaction:
        return _oldest_ready_s(transaction, clock()) > 0


def read_backlog(database: Database, *, clock: Callable[[], datetime] = utc_now) -> Backlog:
    """Look at the database. Raises StoreUnavailable, also where it takes more than seconds."""
    with database.transaction(read_only=True) as transaction:
        if transaction.get_bind().dialect.name == "postgresql":
            transaction.execute(text(f"SET LOCAL statement_timeout = {_TIMEOUT_MS}"))
        return Backlog(jobs=_count(transaction), oldest_ready_s=_oldest_ready_s(transaction, clock()))


def _count(transaction: Transaction) -> dict[JobStatus, int]:
    job = VideoAnalysisJob
    # In the order of the index, so that it is read and never the table, whatever the statistics say.
    some = [
        select(job.status).where(job.status == status).order_by(job.priority, job.created_at).limit(MOST).subquery()
        for status in UNFINISHED
    ]
    counts = union_all(
        *(
            select(literal(status).label("status"), func.count().label("jobs")).select_from(found)
            for status, found in zip(UNFINISHED, some, strict=True)
        )
    )
    found_jobs: dict[str, int] = {row.status: row.jobs for row in transaction.execute(counts)}
    return {status: found_jobs[status] for status in UNFINISHED}


def _oldest_ready_s(transaction: Transaction, now: datetime) -> float:
    """Each priority's oldest jobs, by the index on (status, priority, created_at)."""
    job = VideoAnalysisJob
    oldest = now
    priority = transaction.scalar(select(func.max(job.priority)).where(job.status == "queued"))
    while priority is not None:
        heads = (
            select(job.available_at)
            .where(job.status == "queued", job.priority == priority)
            .order_by(job.created_at)
            .limit(_HEADS)
            .subquery()
        )
        ready_at = transaction.scalar(select(func.min(heads.c.available_at)).where(heads.c.available_at <= now))
        oldest = min(oldest, ready_at or now)
        priority = transaction.scalar(
            select(func.max(job.priority)).where(job.status == "queued", job.priority < priority)
        )
    return (now - oldest).total_seconds()
