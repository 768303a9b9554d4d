"""Who is asking: a bearer token stands for an owner and for what may be done in the owner's name.

Three kinds of token behind one door: the operator's own (settings), API keys (database) and JSON Web Tokens.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

import anyio
import anyio.to_thread

from api.jwts import JwtReader, Refused
from models.access import OWNER_SCOPES, Scope
from models.errors import StoreError
from models.jobs import Owner
from models.keys import KEY_MARK, Key, KeyRegister, digest_of

CACHE_S = 5.0
"""How long what was found out about a key or a JWT is believed: a revocation takes effect within this time."""
CACHED = 10_000
"""Tokens remembered at most."""
LOOK_UPS = 4
"""Unknown keys looked up at once: a flood of wrong ones takes so many of the pool's connections and no more."""
TOUCH_S = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who asks, and what for."""

    owner: Owner
    scopes: frozenset[Scope]
    key_id: str
    """Names the key and gives nothing away: what its requests are counted under."""

    def may(self, scope: str) -> bool:
        """`admin` may do everything that concerns its owner alone; otherwise a scope allows itself and no other."""
        return scope in self.scopes or ("admin" in self.scopes and scope in OWNER_SCOPES)


class Tokens:
    """The operator's tokens and their owners. Keeps digests only, and compares with every one in constant time."""

    def __init__(self, owners: Mapping[str, Owner]) -> None:
        self._identities = tuple(
            (_digest(token), Identity(owner=owner, scopes=frozenset(OWNER_SCOPES), key_id=f"token:{number}"))
            for number, (token, owner) in enumerate(owners.items(), start=1)
        )

    def __repr__(self) -> str:
        return f"Tokens({len(self._identities)})"

    def identity_of(self, token: str) -> Identity | None:
        """Return whom `token` stands for, None for nobody. Takes as long for a wrong token as for a right one."""
        given = _digest(token)
        found = None
        for digest, identity in self._identities:
            if hmac.compare_digest(digest, given):
                found = identity
        return found


class Authenticator:
    """Tells who a token stands for. Belongs to one event loop; the database is asked on other threads."""

    def __init__(
        self,
        *,
        tokens: Tokens,
        keys: KeyRegister,
        jwts: JwtReader | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tokens = tokens
        self._keys = keys
        self._jwts = jwts
        self._now = clock
        self._look_ups = anyio.CapacityLimiter(LOOK_UPS)
        self._known: OrderedDict[str, tuple[float, Identity | str]] = OrderedDict()
        """Digest of a token → until when, and what it is or why it is nothing; the oldest finding first."""

    async def identify(self, token: str) -> Identity:
        """Whom `token` stands for. Raises Refused, with words that its sender may read, and StoreUnavailable."""
        identity = self._tokens.identity_of(token)
        if identity is not None:
            return identity
        digest = digest_of(token)
        until, found = self._known.get(digest, (0.0, None))
        if found is None or until <= self._now():
            until, found = await self._find(token, digest)
            self._known.pop(digest, None)
            self._known[digest] = (until, found)
            if len(self._known) > CACHED:
                self._known.popitem(last=False)
        if isinstance(found, str):
            raise Refused(found)
        return found

    async def _find(self, token: str, digest: str) -> tuple[float, Identity | str]:
        until = self._now() + CACHE_S
        try:
            if token.startswith(KEY_MARK):
                key = await anyio.to_thread.run_sync(self._keys.find, digest, limiter=self._look_ups)
                identity, ends_at = self._of_key(key)
            elif self._jwts is not None and token.count(".") == 2:
                claims = self._jwts.read(token)
                identity, ends_at = _of_claims(claims.owner, claims.scopes), claims.expires_at
            else:
                raise Refused("The token is not known.")
        except Refused as refused:
            return until, str(refused)
        return min(until, ends_at), identity

    def _of_key(self, key: Key | None) -> tuple[Identity, float]:
        if key is None:
            raise Refused("The token is not known.")
        if key.revoked_at is not None:
            raise Refused("The key was revoked.")
        ends_at = key.expires_at.timestamp() if key.expires_at else float("inf")
        if ends_at <= self._now():
            raise Refused("The key has expired.")
        if key.last_used_at is None or self._now() - key.last_used_at.timestamp() >= TOUCH_S:
            # Nobody waits for it, and nobody is refused where it cannot be written.
            asyncio.get_running_loop().run_in_executor(None, self._touch, key.id)
        return Identity(owner=key.owner, scopes=frozenset(key.scopes), key_id=f"key:{key.id}"), ends_at

    def _touch(self, key_id: str) -> None:
        try:
            self._keys.touch(key_id)
        except StoreError as error:
            log.warning("Use of a key not written down: key_id=%s %s", key_id, error.code, extra={"key_id": key_id})


def _of_claims(owner: Owner, scopes: frozenset[Scope]) -> Identity:
    return Identity(owner=owner, scopes=scopes, key_id=f"jwt:{owner.owner_type}:{owner.owner_id}")


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
