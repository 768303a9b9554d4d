"""Every SQL statement about a video that is on its way to a session."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import select, update
from sqlalchemy.orm import Session as Transaction

from models.database import Database
from models.errors import NotFound
from models.jobs import Owner, OwnerType, Session
from models.rows import find, lock, owned, session_value
from models.sessions import attach, utc_now
from models.tables import Upload as UploadRow
from models.tables import VideoSession

UPLOADS = "sessions"
"""The folder of what was uploaded here: `sessions/<session id>/source/<upload id>` and its artifacts."""


def session_folder(session_id: str) -> str:
    """Everything that was ever uploaded to a session, with its artifacts, and nothing else, is in it."""
    return f"{UPLOADS}/{session_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """One video on its way."""

    id: str
    session_id: str
    owner: Owner
    bucket: str
    key: str
    """Of this upload alone: nobody else ever writes there."""
    multipart_id: str | None
    size_bytes: int
    """As announced."""
    sha256: str | None
    """As announced, in hexadecimal digits."""
    completed: bool
    """Whether its session has taken it."""
    expires_at: datetime


class UploadRegister:
    """Uploads and whose they are. Somebody else's upload is NotFound.

    The row comes before the first byte: whatever happens to its writer, what is in the store has a row that names it,
    and a row that nobody completes expires (`models.cleaning`).
    """

    def __init__(self, database: Database, *, expiry_s: int = 86_400, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self.expiry_s = expiry_s
        """How long an upload may take."""
        self._now = clock

    def begin(
        self, owner: Owner, session_id: str, *, bucket: str, size: int, sha256: str | None = None, extension: str = ""
    ) -> Upload:
        """A place for a video, of at most `size` bytes, that is still to come. Raises NotFound."""
        now, upload_id = self._now(), str(uuid.uuid4())
        with self._database.transaction() as transaction:
            # Shared with others that begin, but a session that is being deleted takes no more.
            rows = owned(VideoSession, owner).with_for_update(read=True)
            session = find(transaction, rows, VideoSession, session_id)
            row = UploadRow(
                id=upload_id,
                session_id=session.id,
                owner_type=owner.owner_type,
                owner_id=owner.owner_id,
                s3_bucket=bucket,
                s3_key=f"{session_folder(session.id)}/source/{upload_id}{extension}",
                multipart_id=None,
                size_bytes=size,
                sha256=sha256,
                status="initiated",
                created_at=now,
                expires_at=now + timedelta(seconds=self.expiry_s),
            )
            transaction.add(row)
        return _value(row)

    def note_parts(self, upload: Upload, multipart_id: str) -> None:
        """The store's name for the upload in parts. Raises NotFound where the upload is gone meanwhile."""
        noted = update(UploadRow).where(UploadRow.id == upload.id).values(multipart_id=multipart_id)
        with self._database.transaction() as transaction:
            if transaction.execute(noted.returning(UploadRow.id)).first() is None:
                raise NotFound

    def get(self, owner: Owner, upload_id: str) -> Upload:
        """One upload of the owner's. Raises NotFound."""
        upload = self.find(upload_id)
        if upload.owner != owner:
            raise NotFound
        return upload

    def find(self, upload_id: str) -> Upload:
        """One upload, whoever it is of: for somebody who shows a signed link to it. Raises NotFound."""
        with self._database.transaction(read_only=True) as transaction:
            return _value(_row(transaction, upload_id, locked=False))

    def complete(self, upload: Upload, size: int) -> Session:
        """What arrived is the session's video now. A second time it changes nothing.

        Raises NotFound where session or upload are gone meanwhile.
        """
        with self._database.transaction() as transaction:
            rows = lock(owned(VideoSession, upload.owner))
            session = find(transaction, rows, VideoSession, upload.session_id)
            row = _row(transaction, upload.id, locked=True)
            if row.status != "completed":
                row.status = "completed"
                attach(transaction, session, self._now(), bucket=row.s3_bucket, key=row.s3_key, size=size)
            return session_value(session)


def _row(transaction: Transaction, upload_id: str, *, locked: bool) -> UploadRow:
    wanted = select(UploadRow).where(UploadRow.id == upload_id)
    row = transaction.scalar(lock(wanted) if locked else wanted)
    if row is None:
        raise NotFound
    return row


def _value(row: UploadRow) -> Upload:
    return Upload(
        id=row.id,
        session_id=row.session_id,
        owner=Owner(owner_type=cast("OwnerType", row.owner_type), owner_id=row.owner_id),
        bucket=row.s3_bucket,
        key=row.s3_key,
        multipart_id=row.multipart_id,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        completed=row.status == "completed",
        expires_at=row.expires_at,
    )
