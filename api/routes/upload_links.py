"""A session's video by a link that needs no token: straight into S3, or through us where the store is a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import PurePosixPath
from typing import Annotated
from uuid import UUID

import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response

from api import sniff
from api.context import PREFIX, Parts, Services, Writer
from api.middleware import body_limit
from api.problems import Problem, responses
from api.routes.uploads import BODY, check_headers, discard
from api.schemas import SessionRead, UploadComplete, UploadInitiate, UploadPart, UploadRead
from api.signing import check_link, signed_link
from api.sources import NOT_A_VIDEO, container_of
from api.streaming import body_chunks
from models.artifacts import StoredObject
from models.errors import NotFound, UploadInvalid
from models.jobs import Owner, Session
from models.uploads import Upload

router = APIRouter(
    prefix=f"{PREFIX}/videos/upload", tags=["uploads"], responses=responses("internal", "store_unavailable")
)

PURPOSE = "upload"
"""What a link of ours allows."""

_EXTENSIONS = {
    container.media_type: container.extension
    for container in (sniff.MP4, sniff.MOV, sniff.MATROSKA, sniff.WEBM, sniff.AVI, sniff.MPEGTS)
}


@router.post(
    "/initiate",
    status_code=201,
    responses=responses(
        "unauthorized", "bad_request", "not_found", "request_too_large", "upload_too_large", "validation_failed"
    ),
)
def initiate_upload(parts: Parts, owner: Writer, body: UploadInitiate) -> UploadRead:
    """Ask where to send a session's video. Send it by PUT, all of it or part by part, and then `complete` it."""
    if body.size_bytes > parts.limits.max_upload_bytes:
        raise Problem("upload_too_large", f"A video has at most {parts.limits.max_upload_bytes} bytes.")
    upload = parts.uploads.begin(
        owner,
        str(body.session_id),
        bucket=parts.store.bucket,
        size=body.size_bytes,
        sha256=body.sha256.lower() if body.sha256 else None,
        extension=_extension(body),
    )
    links = parts.store.upload_links(
        upload.bucket, upload.key, size=upload.size_bytes, sha256=upload.sha256, expires_s=parts.uploads.expiry_s
    )
    if links is None:
        return _ticket(upload, url=_own_link(parts, upload))
    if links.multipart_id is None:
        return _ticket(upload, url=links.parts[0].url, headers=dict(links.headers))
    parts.uploads.note_parts(upload, links.multipart_id)
    return _ticket(
        upload,
        parts=[UploadPart(number=part.number, size_bytes=part.size, url=part.url) for part in links.parts],
        headers=dict(links.headers),
    )


@router.post(
    "/complete",
    responses=responses(
        "unauthorized", "bad_request", "not_found", "request_too_large", "upload_invalid", "validation_failed"
    ),
)
async def complete_upload(parts: Parts, owner: Writer, body: UploadComplete) -> SessionRead:
    """Say that everything was sent: size, type and checksum are looked at, then it is the session's video.

    Jobs that wait for it are queued. A repeated call answers the same. An upload that is not what was announced is
    deleted: begin another one. While nothing, or not every part, has arrived it stays.
    """
    etags = {part.number: part.etag for part in body.parts} if body.parts is not None else None
    session = await anyio.to_thread.run_sync(
        _complete, parts, owner, str(body.upload_id), etags, limiter=parts.upload_slots
    )
    return SessionRead.of(session)


@router.put(
    "/{upload_id:uuid}/content",
    status_code=204,
    responses=responses(
        "link_expired",
        "not_found",
        "upload_stalled",
        "invalid_state",
        "upload_invalid",
        "upload_too_large",
        "unsupported_media",
        "validation_failed",
    ),
    openapi_extra={"requestBody": BODY},
)
@body_limit(None)
async def put_upload(
    parts: Parts,
    request: Request,
    upload_id: UUID,
    expires: Annotated[int, Query(ge=0, lt=2**40, description="From the link.")],
    signature: Annotated[str, Query(max_length=64, pattern="^[0-9a-f]*$", description="From the link.")],
) -> Response:
    """Send the video as the raw body to the link that `initiate` gave. It needs no token, and takes one video once."""
    check_headers(request, parts.limits)
    chunks = body_chunks(request, stall_timeout_s=parts.limits.upload_stall_s)

    def receive() -> None:
        upload = parts.uploads.find(str(upload_id))
        secret = parts.secrets.get(upload.owner, "links")
        check_link(secret, PURPOSE, _path(upload), expires=expires, signature=signature)
        _receive(parts, upload, chunks)

    await anyio.to_thread.run_sync(receive, limiter=parts.upload_slots)
    return Response(status_code=204)


def _extension(body: UploadInitiate) -> str:
    """What the key ends with, for people who look into the bucket: content decides what the file is."""
    named = PurePosixPath(body.filename or "").suffix.lower()
    return named if named in _EXTENSIONS.values() else _EXTENSIONS.get(body.content_type or "", "")


def _path(upload: Upload) -> str:
    return f"{PREFIX}/videos/upload/{upload.id}/content"


def _own_link(parts: Services, upload: Upload) -> str:
    secret = parts.secrets.get(upload.owner, "links")
    return signed_link(secret, PURPOSE, _path(upload), expires=int(upload.expires_at.timestamp()))


def _ticket(
    upload: Upload,
    *,
    url: str | None = None,
    parts: list[UploadPart] | None = None,
    headers: dict[str, str] | None = None,
) -> UploadRead:
    return UploadRead(
        upload_id=UUID(upload.id),
        session_id=UUID(upload.session_id),
        method="PUT",
        url=url,
        parts=parts,
        headers=headers or {},
        expires_at=upload.expires_at,
    )


def _receive(parts: Services, upload: Upload, chunks: Iterator[bytes]) -> None:
    """What S3 does with a link of its own: exactly what was announced, once, or nothing."""
    _check_expected(parts, upload)
    parts.store.put_stream(upload.bucket, upload.key, _announced(parts, upload, chunks), upload.size_bytes)


def _announced(parts: Services, upload: Upload, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks. What is raised behind the last one keeps all of them out of the store."""
    size, digest = 0, hashlib.sha256()
    for chunk in chunks:
        size += len(chunk)
        digest.update(chunk)
        yield chunk
    fault = _fault(upload, size=size, sha256=digest.hexdigest())
    if fault is not None:
        raise UploadInvalid(f"{fault} Nothing was kept.")
    _check_expected(parts, upload)  # another one may have been faster, or the session is gone


def _check_expected(parts: Services, upload: Upload) -> None:
    if parts.uploads.find(upload.id).completed or parts.store.exists(upload.bucket, upload.key):
        raise Problem("invalid_state", "The video has arrived already; complete the upload.")


def _complete(parts: Services, owner: Owner, upload_id: str, etags: dict[int, str] | None) -> Session:
    """Look at what arrived, then hand it to the session. Runs in a thread: a checksum reads the whole object."""
    upload = parts.uploads.get(owner, upload_id)
    if upload.completed:
        return parts.queue.get_session(owner, upload.session_id)
    found = _arrived(parts, upload, etags)
    fault = _fault(upload, size=found.size, sha256=None)
    if fault is None and container_of(parts.store, found) is None:
        fault = NOT_A_VIDEO
    if fault is None and upload.sha256 is not None:
        fault = _fault(upload, size=found.size, sha256=_sha256(parts, found))
    if fault is not None:
        discard(parts, upload)
        raise UploadInvalid(f"{fault} It is not kept; begin another upload.")
    try:
        return parts.uploads.complete(upload, found.size)
    except NotFound:  # session or upload were deleted meanwhile
        discard(parts, upload)
        raise


def _arrived(parts: Services, upload: Upload, etags: dict[int, str] | None) -> StoredObject:
    """The object, made of its parts if need be. Raises UploadInvalid, and the upload stays."""
    where = (upload.bucket, upload.key)
    if upload.multipart_id is not None and not parts.store.exists(*where):
        with suppress(NotFound):  # somebody else has just finished it, or it was aborted: the next look tells
            parts.store.finish_upload(*where, upload.multipart_id, etags)
    try:
        return parts.store.stat(*where)
    except NotFound:
        raise UploadInvalid("Nothing has arrived yet.") from None


def _sha256(parts: Services, found: StoredObject) -> str:
    digest = hashlib.sha256()
    with closing(parts.store.open(found.bucket, found.key).chunks) as chunks:
        for chunk in chunks:
            digest.update(chunk)
    return digest.hexdigest()


def _fault(upload: Upload, *, size: int, sha256: str | None) -> str | None:
    """What is not as announced."""
    if size != upload.size_bytes:
        return f"{size} bytes arrived, {upload.size_bytes} were announced."
    if None not in (sha256, upload.sha256) and sha256 != upload.sha256:
        return f"What arrived has SHA-256 {sha256}, {upload.sha256} was announced."
    return None
