"""Sessions: make one, read one, list one's own, say something anew, delete."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Query, Request, Response
from pydantic import AwareDatetime

from api.context import PREFIX, Cursor, PageSize, Parts, Reader, Writer
from api.problems import Problem, responses
from api.schemas import SessionCreate, SessionPage, SessionRead, SessionUpdate
from api.sources import stored_source
from models.jobs import Session, SessionStatus
from models.requests import Mode
from models.sessions import SessionFilter
from models.uploads import UPLOADS

router = APIRouter(
    prefix=f"{PREFIX}/sessions", tags=["sessions"], responses=responses("unauthorized", "internal", "store_unavailable")
)

AT_ONCE = 20
"""Deletions that need not wait for a worker."""


@router.post(
    "",
    status_code=201,
    responses=responses(
        "bad_request",
        "request_too_large",
        "validation_failed",
        "bucket_not_allowed",
        "source_missing",
        "source_key_too_long",
        "upload_too_large",
        "video_empty",
        "not_a_video",
    ),
)
def create_session(parts: Parts, owner: Writer, body: SessionCreate, response: Response) -> SessionRead:
    """Make a session. Its video is where `source_uri` says, or follows by an upload."""
    source = None
    if body.source_uri is not None:
        source = stored_source(parts.store, body.source_uri, parts.limits.max_upload_bytes)
    session = parts.queue.create_session(owner, **body.model_dump(exclude={"source_uri"}), source=source)
    response.headers["Location"] = f"{PREFIX}/sessions/{session.id}"
    return SessionRead.of(session)


@router.get("", responses=responses("validation_failed", "invalid_cursor"))
def list_sessions(
    *,
    parts: Parts,
    owner: Reader,
    status: Annotated[SessionStatus | None, Query(description="Only sessions in this state.")] = None,
    session_type: Annotated[Mode | None, Query(description="Only sessions of this discipline.")] = None,
    created_after: Annotated[
        AwareDatetime | None, Query(description="Only sessions made later than this moment (with its UTC offset).")
    ] = None,
    cursor: Cursor = None,
    limit: PageSize = 50,
) -> SessionPage:
    """List the caller's sessions, the newest first."""
    wanted = SessionFilter(status=status, session_type=session_type, created_after=created_after)
    page = parts.queue.list_sessions(owner, wanted, cursor=cursor, limit=limit)
    return SessionPage(sessions=[SessionRead.of(session) for session in page.items], next_cursor=page.next_cursor)


@router.get("/{session_id:uuid}", responses=responses("not_found"))
def get_session(parts: Parts, owner: Reader, session_id: UUID) -> SessionRead:
    """Read one of the caller's sessions."""
    return SessionRead.of(parts.queue.get_session(owner, str(session_id)))


@router.patch(
    "/{session_id:uuid}", responses=responses("bad_request", "not_found", "request_too_large", "validation_failed")
)
def update_session(parts: Parts, owner: Writer, session_id: UUID, body: SessionUpdate) -> SessionRead:
    """Say something anew: what is absent stays, null clears. Jobs keep what they were made with."""
    return SessionRead.of(parts.queue.update_session(owner, str(session_id), body.changes()))


@router.delete("/{session_id:uuid}", status_code=204, responses=responses("not_found", "validation_failed"))
def delete_session(
    *,
    parts: Parts,
    owner: Writer,
    session_id: UUID,
    request: Request,
    later: BackgroundTasks,
    keep_source: Annotated[
        bool, Query(description="Leave a video alone that came by `source_uri`; what was uploaded here goes anyway.")
    ] = False,
) -> None:
    """Delete a session with its videos, its jobs and every file of them; running jobs stop.

    It is gone at once, its files within seconds. A video that came by `source_uri` goes as well, unless another session
    or job names it; as owners share the buckets that may be read, that takes the scope `admin`.
    """
    may_delete = request.state.identity.may("admin")
    if not (keep_source or may_delete) and _came_by_uri(parts.queue.get_session(owner, str(session_id))):
        raise Problem(
            "forbidden", "Deleting a video that came by `source_uri` takes `admin`; or send keep_source=true."
        )
    doomed = parts.cleaner.forget_session(owner, str(session_id), keep_source=keep_source or not may_delete)
    later.add_task(parts.cleaner.deletions.carry_out, doomed[:AT_ONCE])


def _came_by_uri(session: Session) -> bool:
    return session.s3_key is not None and not session.s3_key.startswith(f"{UPLOADS}/")
