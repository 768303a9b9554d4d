"""What an owner's webhooks and links are signed with: one secret a purpose, made when first needed."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.dialects import postgresql, sqlite

from models.database import Database, on_postgres
from models.jobs import Owner
from models.sessions import utc_now
from models.tables import OwnerSecret

Purpose = Literal["webhooks", "links"]


class OwnerSecrets:
    """In the database, so that every API process and every worker signs with the same."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._now = clock

    def get(self, owner: Owner, purpose: Purpose) -> str:
        """The owner's secret. Of two who need it first at once, both get the same."""
        found = select(OwnerSecret.secret).where(*_whose(owner, purpose))
        with self._database.transaction(read_only=True) as transaction:
            secret = transaction.scalar(found)
        if secret is not None:
            return secret
        with self._database.transaction() as transaction:
            insert = postgresql.insert if on_postgres(transaction) else sqlite.insert
            transaction.execute(
                insert(OwnerSecret)
                .values(
                    owner_type=owner.owner_type,
                    owner_id=owner.owner_id,
                    purpose=purpose,
                    secret=_new(),
                    created_at=self._now(),
                )
                .on_conflict_do_nothing()
            )
            return transaction.scalars(found).one()

    def rotate(self, owner: Owner, purpose: Purpose) -> str:
        """Another secret from now on: whatever was signed with the old one no longer verifies."""
        self.get(owner, purpose)
        secret = _new()
        with self._database.transaction() as transaction:
            transaction.execute(
                update(OwnerSecret).where(*_whose(owner, purpose)).values(secret=secret, created_at=self._now())
            )
        return secret


def _whose(owner: Owner, purpose: Purpose) -> tuple[ColumnElement[bool], ...]:
    return (
        OwnerSecret.owner_type == owner.owner_type,
        OwnerSecret.owner_id == owner.owner_id,
        OwnerSecret.purpose == purpose,
    )


def _new() -> str:
    return secrets.token_urlsafe(32)
