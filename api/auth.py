"""Who is asking: a bearer token stands for an owner."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256

from models.jobs import Owner


class Tokens:
    """Tokens and their owners. Keeps digests only, and compares with every one in constant time."""

    def __init__(self, owners: Mapping[str, Owner]) -> None:
        self._owners = tuple((_digest(token), owner) for token, owner in owners.items())

    def __repr__(self) -> str:
        return f"Tokens({len(self._owners)})"

    def owner_of(self, token: str) -> Owner | None:
        """Return whom `token` stands for, None for nobody. Takes as long for a wrong token as for a right one."""
        given = _digest(token)
        found = None
        for digest, owner in self._owners:
            if hmac.compare_digest(digest, given):
                found = owner
        return found


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
