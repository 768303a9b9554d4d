"""Every SQL statement about a coaching session."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypedDict

from sqlalchemy import select, update
from sqlalchemy.orm import Session as Transaction

from models.announce import announce, wake_workers
from models.artifacts import StoredObject
from models.database import Database
from models.errors import KeyTooLong
from models.jobs import RUNNING, STAGES, Owner, Page, Session, SessionStatus, SessionType
from models.requests import View
from models.rows import WITHOUT_DOCUMENTS, find, lock, owned, read_page, session_value
from models.tables import VideoAnalysisJob, VideoSession

MAX_SOURCE_KEY = 400
"""Longer source keys would push the artifacts' keys over their column."""


def utc_now() -> datetime:
    """The clock of this machine."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionFilter:
    """What a listed session must be; None asks for nothing."""

    status: SessionStatus | None = None
    session_type: SessionType | None = None
    created_after: datetime | None = None
    """Made later than this moment."""


class SessionChanges(TypedDict, total=False):
    """What an owner may say anew about a session; what is absent stays."""

    title: str
    notes: str | None
    session_type: SessionType
    camera_view: View | None
    player_ids: list[str]


ANY_SESSION = SessionFilter()


class SessionRegister:
    """Coaching sessions and whose they are. Somebody else's session is NotFound."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._now = clock

    def create_session(
        self,
        owner: Owner,
        *,
        title: str,
        session_type: SessionType,
        notes: str | None = None,
        camera_view: View | None = None,
        player_ids: Sequence[str] = (),
        source: StoredObject | None = None,
    ) -> Session:
        """A session that waits for its video, or has it already: `source` is in the store. Raises KeyTooLong."""
        if source is not None:
            check_source_key(source.key)
        now = self._now()
        row = VideoSession(
            id=str(uuid.uuid4()),
            owner_type=owner.owner_type,
            owner_id=owner.owner_id,
            title=title,
            notes=notes,
            session_type=session_type,
            camera_view=camera_view,
            player_ids=list(player_ids),
            s3_bucket=source and source.bucket,
            s3_key=source and source.key,
            file_size_bytes=source and source.size,
            status="uploaded" if source else "pending",
            created_at=now,
            updated_at=now,
        )
        with self._database.transaction() as transaction:
            transaction.add(row)
        return session_value(row)

    def get_session(self, owner: Owner, session_id: str) -> Session:
        """One session. Raises NotFound."""
        with self._database.transaction(read_only=True) as transaction:
            return session_value(find(transaction, owned(VideoSession, owner), VideoSession, session_id))

    def list_sessions(
        self, owner: Owner, wanted: SessionFilter = ANY_SESSION, *, limit: int = 50, cursor: str | None = None
    ) -> Page[Session]:
        """The owner's sessions, the newest first. Raises InvalidCursor."""
        rows = owned(VideoSession, owner)
        if wanted.status is not None:
            rows = rows.where(VideoSession.status == wanted.status)
        if wanted.session_type is not None:
            rows = rows.where(VideoSession.session_type == wanted.session_type)
        if wanted.created_after is not None:
            rows = rows.where(VideoSession.created_at > wanted.created_after)
        with self._database.transaction(read_only=True) as transaction:
            found, following = read_page(transaction, rows, VideoSession, limit, cursor)
            return Page(items=tuple(session_value(row) for row in found), next_cursor=following)

    def update_session(self, owner: Owner, session_id: str, changes: SessionChanges) -> Session:
        """Say something anew. Jobs keep what they were made with. Raises NotFound."""
        with self._database.transaction() as transaction:
            row = find(transaction, lock(owned(VideoSession, owner)), VideoSession, session_id)
            for name, value in changes.items():
                setattr(row, name, value)
            row.updated_at = self._now()
            return session_value(row)

    def attach_upload(self, owner: Owner, session_id: str, bucket: str, key: str, size: int) -> Session:
        """The session's video is in the store. Raises NotFound and KeyTooLong."""
        with self._database.transaction() as transaction:
            row = find(transaction, lock(owned(VideoSession, owner)), VideoSession, session_id)
            attach(transaction, row, self._now(), bucket=bucket, key=key, size=size)
            return session_value(row)


def attach(transaction: Transaction, row: VideoSession, now: datetime, *, bucket: str, key: str, size: int) -> None:
    """The session, locked, has its video: jobs that waited for it are queued with it as their source.

    A later one changes the session and no job. Raises KeyTooLong.
    """
    check_source_key(key)
    row.s3_bucket, row.s3_key, row.file_size_bytes = bucket, key, size
    row.updated_at = now
    waiting = (
        select(VideoAnalysisJob)
        .where(VideoAnalysisJob.session_id == row.id, VideoAnalysisJob.status == "awaiting_upload")
        .order_by(VideoAnalysisJob.id)
        .options(*WITHOUT_DOCUMENTS)
    )
    jobs = transaction.scalars(lock(waiting)).all()
    for job in jobs:
        job.status, job.stage = "queued", STAGES["queued"]
        job.s3_bucket, job.s3_key = bucket, key
        job.available_at = job.updated_at = now
    transaction.flush()
    if jobs:
        announce(transaction, *jobs)
        wake_workers(transaction)
    row.status = _session_status(transaction, row.id)


def check_source_key(key: str) -> None:
    """Raises KeyTooLong."""
    if len(key) > MAX_SOURCE_KEY:
        raise KeyTooLong


def settle_session(transaction: Transaction, session_id: str, now: datetime) -> None:
    """Let the session's status follow its jobs. The caller's change to a job is counted."""
    # The lock comes first: of two jobs that end at once, the second to come counts the first.
    transaction.execute(lock(select(VideoSession.id).where(VideoSession.id == session_id)))
    transaction.execute(
        update(VideoSession)
        .where(VideoSession.id == session_id)
        .values(status=_session_status(transaction, session_id), updated_at=now)
    )


def _session_status(transaction: Transaction, session_id: str) -> SessionStatus:
    statuses = set(
        transaction.scalars(select(VideoAnalysisJob.status).where(VideoAnalysisJob.session_id == session_id).distinct())
    )
    if statuses.intersection(RUNNING):
        return "processing"
    if "done" in statuses:
        return "ready"
    if "failed" in statuses:
        return "failed"
    has_video = transaction.scalar(select(VideoSession.s3_key.is_not(None)).where(VideoSession.id == session_id))
    return "uploaded" if has_video else "pending"
