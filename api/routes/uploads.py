"""The video of a session: streamed from the socket to the store, looked at before it is kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from uuid import UUID, uuid4

import anyio.to_thread
from fastapi import APIRouter, Request

from api.context import PREFIX, Caller, Limits, Parts, Services
from api.middleware import body_limit
from api.problems import Problem, responses
from api.schemas import SessionRead
from api.sniff import SNIFF_BYTES, sniff
from api.streaming import body_chunks, peek
from models.errors import NotFound, StoreError
from models.jobs import Owner, Session

router = APIRouter(prefix=f"{PREFIX}/sessions", tags=["sessions"])

log = logging.getLogger(__name__)

_REFUSALS = (
    "unauthorized",
    "not_found",
    "upload_stalled",
    "upload_too_large",
    "unsupported_media",
    "not_a_video",
    "video_empty",
    "internal",
    "store_unavailable",
)
_BODY = {
    "required": True,
    "description": "The bytes of the file: MP4, MOV, Matroska, WebM, AVI or MPEG-TS. Content decides, not the name.",
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


@router.put("/{session_id:uuid}/video", responses=responses(*_REFUSALS), openapi_extra={"requestBody": _BODY})
@body_limit(None)
async def upload_video(parts: Parts, owner: Caller, session_id: UUID, request: Request) -> SessionRead:
    """Send the session's video as the raw body. Jobs that wait for it are queued; jobs made before keep theirs."""
    _check_headers(request, parts.limits)
    chunks = body_chunks(request, stall_timeout_s=parts.limits.upload_stall_s)
    session = await anyio.to_thread.run_sync(
        _store_video, parts, owner, str(session_id), chunks, limiter=parts.upload_slots
    )
    return SessionRead.of(session)


def _check_headers(request: Request, limits: Limits) -> None:
    """Refuse what the headers give away, before a byte is read."""
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise Problem("unsupported_media", "Send the file's bytes as the body, not a form.")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem("unsupported_media", "Send the file as it is, without a content encoding.")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.max_upload_bytes:
        raise Problem("upload_too_large", f"A video has at most {limits.max_upload_bytes} bytes.")


def _store_video(parts: Services, owner: Owner, session_id: str, chunks: Iterator[bytes]) -> Session:
    """Keep the video under a fresh key, so that a job's input never moves, then tell the session. Runs in a thread."""
    parts.queue.get_session(owner, session_id)
    head, chunks = peek(chunks, SNIFF_BYTES)
    if not head:
        raise Problem("video_empty")
    container = sniff(head)
    if container is None:
        raise Problem("not_a_video", "The body is neither MP4, MOV, Matroska, WebM, AVI nor MPEG-TS.")
    bucket, key = parts.store.bucket, f"sessions/{session_id}/source/{uuid4()}{container.extension}"
    upload = parts.store.put_stream(bucket, key, chunks, parts.limits.max_upload_bytes)
    try:
        return parts.queue.attach_upload(owner, session_id, bucket, key, upload.size)
    except StoreError:
        _discard(parts, owner, session_id, bucket, key)
        raise


def _discard(parts: Services, owner: Owner, session_id: str, bucket: str, key: str) -> None:
    """Delete a video that its session did not take.

    The database may have taken it and only its answer be lost, so the session is asked; while nobody answers it stays.
    """
    try:
        if _source_key(parts, owner, session_id) != key:
            parts.store.delete(bucket, key)
    except StoreError as error:
        values = {"bucket": bucket, "key": key, "code": error.code}
        pairs = " ".join(f"{name}={value}" for name, value in values.items())
        log.warning("Upload left without a session: %s", pairs, extra=values)


def _source_key(parts: Services, owner: Owner, session_id: str) -> str | None:
    try:
        return parts.queue.get_session(owner, session_id).s3_key
    except NotFound:
        return None
