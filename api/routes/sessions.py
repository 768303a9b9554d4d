"""Sessions: make one, read one, list one's own."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response

from api.context import PREFIX, Caller, Cursor, PageSize, Parts
from api.problems import responses
from api.schemas import SessionCreate, SessionPage, SessionRead

router = APIRouter(
    prefix=f"{PREFIX}/sessions", tags=["sessions"], responses=responses("unauthorized", "internal", "store_unavailable")
)


@router.post("", status_code=201, responses=responses("bad_request", "request_too_large", "validation_failed"))
def create_session(parts: Parts, owner: Caller, body: SessionCreate, response: Response) -> SessionRead:
    """Make a session; its video follows with `PUT …/video`."""
    session = parts.queue.create_session(owner, **body.model_dump())
    response.headers["Location"] = f"{PREFIX}/sessions/{session.id}"
    return SessionRead.of(session)


@router.get("", responses=responses("validation_failed", "invalid_cursor"))
def list_sessions(parts: Parts, owner: Caller, cursor: Cursor = None, limit: PageSize = 50) -> SessionPage:
    """List the caller's sessions, the newest first."""
    page = parts.queue.list_sessions(owner, cursor=cursor, limit=limit)
    return SessionPage(sessions=[SessionRead.of(session) for session in page.items], next_cursor=page.next_cursor)


@router.get("/{session_id:uuid}", responses=responses("not_found"))
def get_session(parts: Parts, owner: Caller, session_id: UUID) -> SessionRead:
    """Read one of the caller's sessions."""
    return SessionRead.of(parts.queue.get_session(owner, str(session_id)))
