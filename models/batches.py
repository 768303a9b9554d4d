"""Many jobs by one call: every SQL statement about a batch."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from sqlalchemy import Table, func, insert, select
from sqlalchemy.orm import Session as Transaction
from sqlalchemy.orm import defer

from models.announce import announce
from models.ceiling import ActiveCeiling
from models.database import Database
from models.errors import NotFound, StoreError
from models.idempotency import Made, RequestKey, take_key
from models.jobs import RUNNING, STAGES, TERMINAL, JobStatus, Owner, OwnerType, Page
from models.rows import WITHOUT_DOCUMENTS, find, lock, owned, read_page
from models.sessions import check_source_key, utc_now
from models.submission import Order, insert_jobs, job_values
from models.tables import JobBatch, VideoAnalysisJob, VideoSession
from models.transitions import end

CHUNK = 500
"""Rows of one statement; of one transaction, where a batch is canceled."""

SESSIONS = cast("Table", VideoSession.__table__)

_UNASKED = (VideoAnalysisJob.status.not_in(TERMINAL), VideoAnalysisJob.cancel_requested_at.is_(None))
"""Jobs whose end nobody asked for yet."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class NewSession:
    """A session that a line makes for itself: its video is already in the store."""

    title: str
    session_type: str
    notes: str | None
    camera_view: str | None
    player_ids: tuple[str, ...]
    bucket: str
    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchItem:
    """One line of a batch that says what it must: a job, on a session that is there or that it makes."""

    line: int
    """Counted from 1, as the caller's editor does."""
    order: Order
    session: str | NewSession
    """An id, or what to make."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """A line that became no job, and why."""

    line: int
    code: str
    detail: str
    errors: tuple[Mapping[str, str], ...] = ()
    """`field`, `code` and `detail` of each field that is wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchSummary:
    """A batch as lists show it."""

    id: str
    owner: Owner
    created_at: datetime
    lines: int
    accepted: int
    cancel_requested_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch(BatchSummary):
    """A batch, the lines that became no job, and how far the others are."""

    rejected: tuple[Rejection, ...]
    counts: Mapping[JobStatus, int]
    """Jobs in each state; those that were deleted are in none."""

    @property
    def is_terminal(self) -> bool:
        """Whether none of its jobs will change any more."""
        return all(status in TERMINAL for status, count in self.counts.items() if count)


@dataclass(kw_only=True, slots=True)
class _Draft:
    """What a batch is going to be: rows of jobs and sessions, and lines that become none."""

    sessions: list[dict[str, Any]] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)


class BatchRegister:
    """Batches as their owners see them. Somebody else's batch is NotFound."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime] = utc_now,
        max_attempts: int = 3,
        ceiling: ActiveCeiling | None = None,
    ) -> None:
        self._database = database
        self._now = clock
        self._max_attempts = max_attempts
        self._ceiling = ceiling or ActiveCeiling()

    def submit(
        self,
        owner: Owner,
        items: Sequence[BatchItem],
        rejected: Sequence[Rejection] = (),
        request: RequestKey | None = None,
    ) -> Made[Batch]:
        """Make a job of each item; `rejected` are the lines that already failed before.

        One transaction: a crash leaves nothing, and whoever repeats the call gets the whole batch. A line whose session
        is not there joins the rejected. Raises TooManyActiveJobs (nothing is made) and IdempotencyConflict.
        """
        batch_id, now = str(uuid.uuid4()), self._now()
        with self._database.transaction() as transaction:
            first = take_key(transaction, owner, request, batch_id, now) if request else None
            if first is not None:
                return Made(value=_read(transaction, owner, first), replayed=True)
            draft = self._draft(transaction, owner, items, batch_id, now)
            draft.rejected = sorted((*rejected, *draft.rejected), key=lambda rejection: rejection.line)
            self._ceiling.admit(transaction, owner, len(draft.jobs))
            transaction.execute(
                insert(JobBatch).values(
                    id=batch_id,
                    owner_type=owner.owner_type,
                    owner_id=owner.owner_id,
                    created_at=now,
                    lines=len(draft.jobs) + len(draft.rejected),
                    accepted=len(draft.jobs),
                    rejected=[asdict(rejection) for rejection in draft.rejected],
                )
            )
            for sessions in _chunks(draft.sessions):
                transaction.execute(insert(SESSIONS), sessions)
            for jobs in _chunks(draft.jobs):
                insert_jobs(transaction, jobs)
            return Made(value=_read(transaction, owner, batch_id), replayed=False)

    def get(self, owner: Owner, batch_id: str) -> Batch:
        """A batch, counted now. Raises NotFound."""
        with self._database.transaction(read_only=True) as transaction:
            return _read(transaction, owner, batch_id)

    def list(self, owner: Owner, *, limit: int = 50, cursor: str | None = None) -> Page[BatchSummary]:
        """The owner's batches, the newest first. Raises InvalidCursor."""
        with self._database.transaction(read_only=True) as transaction:
            rows = owned(JobBatch, owner).options(defer(JobBatch.rejected, raiseload=True))
            found, following = read_page(transaction, rows, JobBatch, limit, cursor)
            items = tuple(BatchSummary(**_summary_fields(row)) for row in found)
            return Page(items=items, next_cursor=following)

    def cancel(self, owner: Owner, batch_id: str) -> Batch:
        """Cancel the jobs that wait, and ask for the end of those that run. Canceling twice is no error.

        A few hundred jobs a transaction, so that no worker waits long; repeated after a crash it does the rest. Raises
        NotFound.
        """
        now, job = self._now(), VideoAnalysisJob
        with self._database.transaction() as transaction:
            row = find(transaction, lock(owned(JobBatch, owner)), JobBatch, batch_id)
            row.cancel_requested_at = row.cancel_requested_at or now
            unended = select(job.id).where(job.batch_id == row.id, *_UNASKED)
            ids = sorted(transaction.scalars(unended))
        for some in _chunks(ids):
            self._cancel_some(some, now)
        return self.get(owner, batch_id)

    def _cancel_some(self, ids: Sequence[str], now: datetime) -> None:
        job = VideoAnalysisJob
        # A job that is being claimed is waited for, and then it is one that runs. Locked by their ids, as everywhere.
        rows = select(job).where(job.id.in_(ids), *_UNASKED).order_by(job.id).options(*WITHOUT_DOCUMENTS)
        with self._database.transaction() as transaction:
            found = transaction.scalars(lock(rows)).all()
            for row in found:
                row.cancel_requested_at = row.updated_at = now
                if row.status not in RUNNING:
                    end(row, "canceled", now)
            announce(transaction, *found)

    def _draft(
        self, transaction: Transaction, owner: Owner, items: Sequence[BatchItem], batch_id: str, now: datetime
    ) -> _Draft:
        draft = _Draft()
        known = _lock_sessions(transaction, owner, {item.session for item in items if isinstance(item.session, str)})
        for item in items:
            try:
                session = _session_of(item, known, owner, now)
            except StoreError as error:
                draft.rejected.append(Rejection(line=item.line, code=error.code, detail=error.message))
                continue
            if isinstance(item.session, NewSession):
                draft.sessions.append(_columns(session))
            draft.jobs.append(
                job_values(
                    owner,
                    session,
                    item.order,
                    now=now,
                    # In the order of the lines, for the queue and for lists.
                    created_at=now + timedelta(microseconds=item.line),
                    max_attempts=self._max_attempts,
                    batch_id=batch_id,
                )
            )
        return draft


def _lock_sessions(transaction: Transaction, owner: Owner, ids: Iterable[str]) -> dict[str, VideoSession]:
    """The owner's sessions among these; no video arrives in them while our jobs are being made."""
    found: dict[str, VideoSession] = {}
    for some in _chunks(sorted(ids)):
        rows = owned(VideoSession, owner).where(VideoSession.id.in_(some)).order_by(VideoSession.id)
        found |= {row.id: row for row in transaction.scalars(rows.with_for_update(read=True))}
    return found


def _session_of(item: BatchItem, known: Mapping[str, VideoSession], owner: Owner, now: datetime) -> VideoSession:
    """The session that a line names or makes. Raises NotFound and KeyTooLong."""
    if isinstance(item.session, NewSession):
        session = _new_session(item.session, owner, now)
    elif (found := known.get(item.session)) is not None:
        session = found
    else:
        raise NotFound
    check_source_key(session.s3_key or "")
    return session


def _new_session(wanted: NewSession, owner: Owner, now: datetime) -> VideoSession:
    return VideoSession(
        id=str(uuid.uuid4()),
        owner_type=owner.owner_type,
        owner_id=owner.owner_id,
        title=wanted.title,
        notes=wanted.notes,
        session_type=wanted.session_type,
        camera_view=wanted.camera_view,
        player_ids=list(wanted.player_ids),
        s3_bucket=wanted.bucket,
        s3_key=wanted.key,
        status="uploaded",
        created_at=now,
        updated_at=now,
    )


def _columns(row: VideoSession) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in SESSIONS.columns}


def _read(transaction: Transaction, owner: Owner, batch_id: str) -> Batch:
    row = find(transaction, owned(JobBatch, owner), JobBatch, batch_id)
    counted = dict(
        transaction.execute(
            select(VideoAnalysisJob.status, func.count())
            .where(VideoAnalysisJob.batch_id == row.id)
            .group_by(VideoAnalysisJob.status)
        ).all()
    )
    return Batch(
        **_summary_fields(row),
        rejected=tuple(Rejection(**{**document, "errors": tuple(document["errors"])}) for document in row.rejected),
        counts={status: counted.get(status, 0) for status in STAGES},
    )


def _summary_fields(row: JobBatch) -> dict[str, Any]:
    return {
        "id": row.id,
        "owner": Owner(owner_type=cast("OwnerType", row.owner_type), owner_id=row.owner_id),
        "created_at": row.created_at,
        "lines": row.lines,
        "accepted": row.accepted,
        "cancel_requested_at": row.cancel_requested_at,
    }


def _chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]
