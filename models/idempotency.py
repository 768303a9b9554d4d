"""A request that comes twice makes one thing: what a key was first used for, in the transaction that made it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session as Transaction

from models.errors import IdempotencyConflict
from models.jobs import Owner
from models.tables import IdempotencyKey

KEPT = timedelta(hours=24)
"""How long a key is remembered; then it is free again."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestKey:
    """The caller's name for a request, and what it asks for."""

    key: str
    sha256: str
    """Of the whole request: what is asked, of which session, with which body."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.key) <= 255 or len(self.sha256) != 64:
            raise ValueError("a key has 1 to 255 characters and its request a SHA-256")


@dataclass(frozen=True, kw_only=True, slots=True)
class Made(Generic[T]):
    """What a request made, or what the same request made before."""

    value: T
    replayed: bool


def take_key(
    transaction: Transaction, owner: Owner, request: RequestKey, resource_id: str, now: datetime
) -> str | None:
    """Remember that this request makes `resource_id`. Returns the id that it made before, and None the first time.

    Whoever comes second waits for the first one's transaction: the key is taken with it or not at all. Raises
    IdempotencyConflict where the key stands for another request.
    """
    insert = postgresql.insert if transaction.get_bind().dialect.name == "postgresql" else sqlite.insert
    expires_at = now + KEPT
    taken = (
        insert(IdempotencyKey)
        .values(
            owner_type=owner.owner_type,
            owner_id=owner.owner_id,
            key=request.key,
            request_sha256=request.sha256,
            resource_id=resource_id,
            expires_at=expires_at,
        )
        .on_conflict_do_update(
            index_elements=["owner_type", "owner_id", "key"],
            set_={"request_sha256": request.sha256, "resource_id": resource_id, "expires_at": expires_at},
            where=IdempotencyKey.expires_at <= now,
        )
        .returning(IdempotencyKey.resource_id)
    )
    if transaction.scalar(taken) is not None:
        return None
    # The conflict has locked the row, so it is still there.
    mine = (owner.owner_type, owner.owner_id, request.key)
    first = transaction.execute(
        select(IdempotencyKey.request_sha256, IdempotencyKey.resource_id).where(
            IdempotencyKey.owner_type == mine[0], IdempotencyKey.owner_id == mine[1], IdempotencyKey.key == mine[2]
        )
    ).one()
    if first.request_sha256 != request.sha256:
        raise IdempotencyConflict(
            f"The key {request.key!r} made {first.resource_id} from a request with SHA-256 {first.request_sha256}; "
            f"this request has {request.sha256}."
        )
    return str(first.resource_id)
