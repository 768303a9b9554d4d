"""Every SQL statement about a coaching session."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session as Transaction

from models.database import Database
from models.errors import KeyTooLong
from models.jobs import RUNNING, STAGES, Owner, Page, Session, SessionStatus, SessionType
from models.requests import View
from models.rows import find, lock, owned, read_page, session_value
from models.tables import VideoAnalysisJob, VideoSession

MAX_SOURCE_KEY = 400
"""Longer source keys would push the artifacts' keys over their column."""


def utc_now() -> datetime:
    """The clock of this machine."""
    return datetime.now(UTC)


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
    ) -> Session:
        """A session that waits for its video."""
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
            s3_bucket=None,
            s3_key=None,
            file_size_bytes=None,
            status="pending",
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

    def list_sessions(self, owner: Owner, *, limit: int = 50, cursor: str | None = None) -> Page[Session]:
        """The owner's sessions, the newest first. Raises InvalidCursor."""
        with self._database.transaction(read_only=True) as transaction:
            rows, following = read_page(transaction, owned(VideoSession, owner), VideoSession, limit, cursor)
            return Page(items=tuple(session_value(row) for row in rows), next_cursor=following)

    def attach_upload(self, owner: Owner, session_id: str, bucket: str, key: str, size: int) -> Session:
        """The session's video is in the store: jobs that waited for it are queued with it as their source.

        A later upload changes the session and no job. Raises NotFound and KeyTooLong.
        """
        check_source_key(key)
        now = self._now()
        with self._database.transaction() as transaction:
            row = find(transaction, lock(owned(VideoSession, owner)), VideoSession, session_id)
            row.s3_bucket, row.s3_key, row.file_size_bytes = bucket, key, size
            row.updated_at = now
            transaction.execute(
                update(VideoAnalysisJob)
                .where(VideoAnalysisJob.session_id == row.id, VideoAnalysisJob.status == "awaiting_upload")
                .values(
                    status="queued",
                    stage=STAGES["queued"],
                    s3_bucket=bucket,
                    s3_key=key,
                    available_at=now,
                    updated_at=now,
                )
            )
            row.status = _session_status(transaction, row.id)
            return session_value(row)


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
    return "failed" if "failed" in statuses else "uploaded"
