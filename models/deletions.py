"""Objects that must go: written down in the transaction that forgot them, deleted by whoever gets to it.

A crash half-way loses none, and what fails is tried again for as long as it takes: children are filmed. Each is deleted
once more at `until`: a worker that has just lost its lease, or somebody with a link, may have written there meanwhile.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, literal, select, text, update
from sqlalchemy.orm import Session as Transaction

from models.artifacts import ArtifactStore
from models.database import Database
from models.errors import StoreError
from models.sessions import utc_now
from models.tables import FOREIGN_SOURCE, Deletion, VideoAnalysisJob, VideoSession
from models.uploads import UPLOADS

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=1)
"""Between two tries; it doubles."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doomed:
    """What must go: one object, or everything in a folder."""

    bucket: str
    key: str
    is_prefix: bool
    until: datetime
    """When nobody can write there any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tombstone(Doomed):
    """What must go, written down."""

    id: str


def bury(transaction: Transaction, doomed: Iterable[Doomed], now: datetime) -> tuple[Tombstone, ...]:
    """Write down what must go."""
    rows = [
        Deletion(
            id=str(uuid.uuid4()),
            s3_bucket=one.bucket,
            s3_key=one.key,
            is_prefix=one.is_prefix,
            created_at=now,
            next_at=now,
            until=one.until,
        )
        for one in doomed
    ]
    transaction.add_all(rows)
    return tuple(_value(row) for row in rows)


class Deletions:
    """Deletes what was written down. Two that delete the same do no harm. Safe to share between threads."""

    def __init__(self, database: Database, store: ArtifactStore, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._store = store
        self._now = clock

    def carry_out(self, tombstones: Iterable[Tombstone]) -> int:
        """Delete these now. What fails is logged and comes due again. Returns how many went well."""
        count = 0
        for tombstone in tombstones:
            values = {"bucket": tombstone.bucket, "key": tombstone.key}
            try:
                self._carry_out(tombstone)
            except StoreError as error:
                values["code"] = error.code
                logger.warning("Deletion failed, trying again later: %s", _pairs(values), extra=values)
                if error.transient:
                    break  # the others would fare no better
            else:
                count += 1
                logger.info("Objects deleted: %s", _pairs(values), extra=values)
        return count

    def carry_out_due(self, limit: int = 20) -> int:
        """Delete what is due, at most `limit` entries. Returns how many were tried. Raises StoreUnavailable."""
        now = self._now()
        due = (
            select(Deletion)
            .where(Deletion.next_at <= now)
            .order_by(Deletion.next_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._database.transaction() as transaction:
            rows = transaction.scalars(due).all()
            for row in rows:
                row.next_at = now + min(max(now - row.created_at, FIRST_PAUSE), LONGEST_PAUSE)
            claimed = [_value(row) for row in rows]
        self.carry_out(claimed)
        return len(claimed)

    def _carry_out(self, tombstone: Tombstone) -> None:
        began = self._now()  # what is written while we look may be missed, so it is the beginning that counts
        if tombstone.is_prefix or not self._is_named(tombstone):
            # Unfinished uploads first: one that is finished between the two is deleted as an object.
            self._store.abort_uploads(tombstone.bucket, tombstone.key)
            delete_objects = self._store.delete_prefix if tombstone.is_prefix else self._store.delete
            delete_objects(tombstone.bucket, tombstone.key)
        self._tick_off(tombstone, began)

    def _is_named(self, tombstone: Tombstone) -> bool:
        """Whether a session or a job, of anybody, has this source that was not uploaded here."""
        if tombstone.key.startswith(f"{UPLOADS}/"):
            return False
        with self._database.transaction(read_only=True) as transaction:
            return any(
                transaction.scalar(
                    select(literal(1))
                    .where(row.s3_key == tombstone.key, row.s3_bucket == tombstone.bucket, text(FOREIGN_SOURCE))
                    .limit(1)
                )
                for row in (VideoSession, VideoAnalysisJob)
            )

    def _tick_off(self, tombstone: Tombstone, began: datetime) -> None:
        """Done, where nobody can have written there since; otherwise once more when nobody can any more."""
        this = Deletion.id == tombstone.id
        with self._database.transaction() as transaction:
            if began >= tombstone.until:
                transaction.execute(delete(Deletion).where(this))
            else:
                transaction.execute(update(Deletion).where(this).values(next_at=tombstone.until))


def _value(row: Deletion) -> Tombstone:
    return Tombstone(id=row.id, bucket=row.s3_bucket, key=row.s3_key, is_prefix=row.is_prefix, until=row.until)


def _pairs(values: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())
