"""The words of access: what a key may do, and an owner written as one word."""

from __future__ import annotations

from typing import Literal, get_args

from models.jobs import Owner

Scope = Literal["jobs:read", "jobs:write", "admin", "models"]
"""`jobs:write` does not include `jobs:read`: what only hands in videos need not see what becomes of the children on
them. `admin` includes both, and not `models`: that is what all owners are measured with."""

SCOPES: tuple[Scope, ...] = get_args(Scope)
OWNER_SCOPES: tuple[Scope, ...] = ("jobs:read", "jobs:write", "admin")
"""What concerns one owner alone."""


def parse_owner(text: str) -> Owner:
    """`coach:ID` or `org:ID`. Raises ValueError."""
    kind, _, name = text.partition(":")
    if not name or len(name) > 255 or "\0" in name or kind not in {"coach", "org"}:
        raise ValueError("an owner is `coach:ID` or `org:ID`")
    return Owner(owner_type="coach" if kind == "coach" else "org", owner_id=name)
