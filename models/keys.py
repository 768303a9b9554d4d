"""API keys: every SQL statement about them. The table holds digests; a key itself is seen once, when it is made."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import or_, select, update

from models.access import SCOPES, Scope
from models.database import Database
from models.errors import NotFound
from models.jobs import Owner, OwnerType
from models.sessions import utc_now
from models.tables import ApiKey

KEY_MARK = "ff_"
_SECRET_BYTES = 32
_TOUCH_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """A key as far as it may be shown."""

    id: str
    prefix: str
    """How the key begins."""
    name: str
    owner: Owner
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""

    def __post_init__(self) -> None:
        if not self.scopes or not set(SCOPES).issuperset(self.scopes):
            raise ValueError(f"a key has one or more of the scopes {', '.join(SCOPES)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class NewKey:
    """A key just made."""

    key: Key
    token: str
    """The key itself; nobody can read it again."""

    def __repr__(self) -> str:
        return f"NewKey(key={self.key!r})"


def digest_of(token: str) -> str:
    """What is stored of a key: SHA-256, in hexadecimal digits. A random key of 256 bits needs no slower hash."""
    return hashlib.sha256(token.encode()).hexdigest()


class KeyRegister:
    """The keys of all owners."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._now = clock

    def create(
        self, owner: Owner, *, name: str, scopes: Collection[Scope], expires_in: timedelta | None = None
    ) -> NewKey:
        """A fresh key `ff_<prefix>_<secret>` with 256 random bits, for as long as `expires_in` says."""
        if not 1 <= len(name) <= 255:
            raise ValueError("a key's name has 1 to 255 characters")
        if expires_in is not None and expires_in <= timedelta(0):
            raise ValueError("a key expires in the future")
        now = self._now()
        prefix = f"{KEY_MARK}{secrets.token_hex(4)}"
        token = f"{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        row = ApiKey(
            id=str(uuid.uuid4()),
            prefix=prefix,
            digest=digest_of(token),
            name=name,
            owner_type=owner.owner_type,
            owner_id=owner.owner_id,
            scopes=[scope for scope in SCOPES if scope in scopes],
            created_at=now,
            expires_at=None if expires_in is None else now + expires_in,
            revoked_at=None,
            last_used_at=None,
        )
        key = _key_value(row)
        with self._database.transaction() as transaction:
            transaction.add(row)
        return NewKey(key=key, token=token)

    def list(self, owner: Owner | None = None) -> tuple[Key, ...]:
        """All keys, or those of one owner, the newest first; expired and revoked ones too."""
        rows = select(ApiKey).order_by(ApiKey.created_at.desc(), ApiKey.id)
        if owner is not None:
            rows = rows.where(ApiKey.owner_type == owner.owner_type, ApiKey.owner_id == owner.owner_id)
        with self._database.transaction(read_only=True) as transaction:
            return tuple(_key_value(row) for row in transaction.scalars(rows))

    def revoke(self, key_id: str) -> Key:
        """The key opens nothing any more. A second time changes nothing. Raises NotFound."""
        with self._database.transaction() as transaction:
            row = transaction.scalar(select(ApiKey).where(ApiKey.id == key_id).with_for_update())
            if row is None:
                raise NotFound(f"There is no key {key_id}.")
            row.revoked_at = row.revoked_at or self._now()
            return _key_value(row)

    def find(self, digest: str) -> Key | None:
        """The key of a digest, expired and revoked ones too; whoever asks looks at the moments."""
        with self._database.transaction(read_only=True) as transaction:
            row = transaction.scalar(select(ApiKey).where(ApiKey.digest == digest))
            return None if row is None else _key_value(row)

    def touch(self, key_id: str) -> None:
        """Write down that the key was used just now, at most once a minute."""
        now = self._now()
        with self._database.transaction() as transaction:
            transaction.execute(
                update(ApiKey)
                .where(
                    ApiKey.id == key_id, or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at <= now - _TOUCH_EVERY)
                )
                .values(last_used_at=now)
            )

    def any_usable(self) -> bool:
        """Whether anybody could come in with a key now."""
        usable = select(ApiKey.id).where(
            ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > self._now())
        )
        with self._database.transaction(read_only=True) as transaction:
            return transaction.scalar(usable.limit(1)) is not None


def _key_value(row: ApiKey) -> Key:
    return Key(
        id=row.id,
        prefix=row.prefix,
        name=row.name,
        owner=Owner(owner_type=cast("OwnerType", row.owner_type), owner_id=row.owner_id),
        scopes=tuple(cast("list[Scope]", row.scopes)),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
