"""The video of a session: streamed from the socket to the store, looked at before it is kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from uuid import UUID

import anyio.to_thread
from fastapi import APIRouter, Request

from api.context import PREFIX, Limits, Parts, Services, Writer
from api.middleware import body_limit
from api.problems import Problem, responses
from api.schemas import SessionRead
from api.sniff import SNIFF_BYTES, sniff
from api.sources import NOT_A_VIDEO
from api.streaming import body_chunks, peek
from models.errors import StoreError
from models.jobs import Owner, Session
from models.uploads import Upload

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
BODY = {
    "required": True,
    "description": "The bytes of the file: MP4, MOV, Matroska, WebM, AVI or MPEG-TS. Content decides, not the name.",
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


@router.put("/{session_id:uuid}/video", responses=responses(*_REFUSALS), openapi_extra={"requestBody": BODY})
@body_limit(None)
async def upload_video(parts: Parts, owner: Writer, session_id: UUID, request: Request) -> SessionRead:
    """Send the session's video as the raw body. Jobs that wait for it are queued; jobs made before keep theirs."""
    check_headers(request, parts.limits)
    chunks = body_chunks(request, stall_timeout_s=parts.limits.upload_stall_s)
    session = await anyio.to_thread.run_sync(
        _store_video, parts, owner, str(session_id), chunks, limiter=parts.upload_slots
    )
    return SessionRead.of(session)


def check_headers(request: Request, limits: Limits) -> None:
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
        raise Problem("not_a_video", NOT_A_VIDEO)
    upload = parts.uploads.begin(
        owner,
        session_id,
        bucket=parts.store.bucket,
        size=parts.limits.max_upload_bytes,
        extension=container.extension,
    )
    try:
        stored = parts.store.put_stream(upload.bucket, upload.key, chunks, upload.size_bytes)
        return parts.uploads.complete(upload, stored.size)
    except BaseException:
        discard(parts, upload)
        raise


def discard(parts: Services, upload: Upload) -> None:
    """Have deleted what arrived of an upload, unless its session took it (of which only the answer may be lost).

    Where the database does not answer it expires.
    """
    try:
        parts.cleaner.forget_upload(upload)
    except StoreError as error:
        values = {"upload_id": upload.id, "code": error.code}
        pairs = " ".join(f"{name}={value}" for name, value in values.items())
        log.warning("Upload left to expire: %s", pairs, extra=values)
