"""What the routes are handed: the application's parts, and who is asking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import anyio
from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.auth import Tokens
from api.problems import Problem
from models.artifacts import ArtifactStore
from models.database import Database
from models.jobs import Owner
from models.queue import JobQueue

PREFIX = "/api/coaches/plus"

_bearer = HTTPBearer(
    auto_error=False, description="A token from the operator; it stands for one coach or organisation."
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one caller may ask of the API."""

    max_upload_bytes: int = 4 * 1024**3
    upload_stall_s: float = 30.0
    """An upload that sends nothing for this long is given up."""
    uploads_at_once: int = 16
    """Each holds one thread; more wait their turn, and other requests are not held up."""

    def __post_init__(self) -> None:
        if self.max_upload_bytes < 1 or self.upload_stall_s <= 0 or self.uploads_at_once < 1:
            raise ValueError(f"limits must be positive: {self}")


@dataclass(frozen=True, kw_only=True)
class Services:
    """The parts of the running application, made once at start."""

    database: Database
    queue: JobQueue
    store: ArtifactStore
    tokens: Tokens
    models: frozenset[str]
    """Catalogue names that a caller may choose."""
    limits: Limits
    version: str
    upload_slots: anyio.CapacityLimiter


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _owner(
    services: Annotated[Services, Depends(_services)],
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Owner:
    owner = services.tokens.owner_of(credentials.credentials) if credentials else None
    if owner is None:
        detail = "The token is not known." if credentials else "Send `Authorization: Bearer <token>`."
        raise Problem("unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="frontfoot"'})
    return owner


Parts = Annotated[Services, Depends(_services)]
Caller = Annotated[Owner, Depends(_owner)]
Reader = Caller
"""Whoever may read (`jobs:read`)."""
Writer = Caller
"""Whoever may submit and change (`jobs:write`)."""
Admin = Caller
"""Whoever may see and change secrets (`admin`)."""
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")]
PageSize = Annotated[int, Query(ge=1, le=200, description="At most this many.")]
