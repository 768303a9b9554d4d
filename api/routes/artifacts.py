"""The files that an analysis leaves: listed with links, and streamed with byte ranges so that a browser can seek."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response, Security
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, SecurityScopes
from starlette.concurrency import run_in_threadpool

from api.context import PREFIX, Parts, Reader, Services, admit, bearer
from api.problems import Problem, responses
from api.ranges import parse_range
from api.representation import tag_matches
from api.schemas import Artifact, ArtifactList
from api.signing import check_link, signed_link
from models.artifacts import content_type, sibling_key
from models.errors import NotFound
from models.jobs import Job, Owner

PURPOSE = "artifact"
"""What links of ours to artifacts are signed for."""

router = APIRouter(
    prefix=f"{PREFIX}/analysis-jobs/{{job_id:uuid}}/artifacts",
    tags=["artifacts"],
    responses=responses("unauthorized", "forbidden", "not_found", "rate_limited", "internal", "store_unavailable"),
)

_RESULTS = ("quick_results.json", "deep_results.json")
_COMPANIONS = ("report.html", "report.pdf", "overlay.mp4", "poses.parquet")
"""With the results every name there is; nothing else is ever looked up in the store."""

_SHOWN_IN_PLACE = {"report.html", "report.pdf", "overlay.mp4"}

# The report is one self-contained file: whatever a note or a title smuggled into it can load and send nothing, and
# read nothing of ours (`sandbox` without `allow-same-origin`). Its own policy names the one script that may run, by
# checksum; this one lets that policy decide, since reports of several versions are served side by side.
_REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; media-src data: blob:; "
    "font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox allow-scripts"
)


@router.get("")
def list_artifacts(parts: Parts, owner: Reader, job_id: UUID) -> ArtifactList:
    """List what the job's winning attempt left, as far as the job has come, each with a link that needs no token."""
    job = parts.queue.summary(owner, str(job_id))
    expires = int(time.time()) + parts.limits.link_expiry_s
    listed = []
    for name, key in _keys(job).items():
        try:
            size = parts.store.stat(_bucket(job), key).size
        except NotFound:
            continue  # not every analysis leaves every file: an overlay of a long clip is not rendered
        listed.append(
            Artifact(
                name=name,
                size_bytes=size,
                media_type=content_type(name),
                url=_link(parts, job, name, key, expires),
                expires_at=datetime.fromtimestamp(expires, UTC),
            )
        )
    return ArtifactList(artifacts=listed)


async def _reader_or_link(
    *,
    request: Request,
    parts: Parts,
    wanted: SecurityScopes,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    job_id: UUID,
    name: str,
    expires: Annotated[int | None, Query(ge=0, le=2**53, description="Part of a link.")] = None,
    signature: Annotated[str | None, Query(max_length=100, description="Part of a link.")] = None,
) -> Owner:
    """Whose artifacts may be read: those of whoever asks, or of whoever signed the link."""
    if expires is None or signature is None:
        return await admit(request, wanted, parts, credentials)
    return await run_in_threadpool(_signer, parts, str(job_id), name, expires, signature)


@router.get(
    "/{name}",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The whole file", "content": {content_type(name): {} for name in _RESULTS + _COMPANIONS}},
        206: {"description": "The range asked for"},
        304: {"description": "Still what `If-None-Match` names"},
        **responses("forbidden", "link_expired", "range_not_satisfiable", "validation_failed"),
    },
    openapi_extra={"security": [{}]},  # a link needs none
)
def get_artifact(
    *,
    parts: Parts,
    owner: Annotated[Owner, Security(_reader_or_link, scopes=["jobs:read"])],
    job_id: UUID,
    name: str,
    range_: Annotated[str | None, Header(alias="Range")] = None,
    if_range: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Fetch one file, or a range of it: with a token, or by a link of the list."""
    job = parts.queue.summary(owner, str(job_id))
    key = _keys(job).get(name)
    if key is None:
        raise Problem("not_found", "The job has no such artifact.")
    size = parts.store.stat(_bucket(job), key).size
    headers = _headers(name, etag=_etag(key, size))
    if if_none_match is not None and tag_matches(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    wanted = parse_range(range_ if if_range in {None, headers["ETag"]} else None, size)
    if wanted is None:
        opened = parts.store.open(_bucket(job), key)
    else:
        opened = parts.store.open(_bucket(job), key, start=wanted.first, end=wanted.last)
        headers["Content-Range"] = wanted.content_range
    headers["Content-Length"] = str(wanted.length if wanted else size)
    return StreamingResponse(
        opened.chunks, status_code=206 if wanted else 200, headers=headers, media_type=content_type(name)
    )


def _link(parts: Services, job: Job, name: str, key: str, expires: int) -> str:
    """The store's own link, or one of ours where it makes none."""
    presigned = parts.store.presigned_url(_bucket(job), key, parts.limits.link_expiry_s, disposition=_disposition(name))
    if presigned is not None:
        return presigned
    return signed_link(parts.secrets.get(job.owner, "links"), PURPOSE, _path(job.id, name), expires=expires)


def _signer(parts: Services, job_id: str, name: str, expires: int, signature: str) -> Owner:
    """Who signed the link. Raises NotFound and Problem."""
    owner = parts.views.owner_of(job_id)
    secret = parts.secrets.get(owner, "links")
    check_link(secret, PURPOSE, _path(job_id, name), expires=expires, signature=signature)
    return owner


def _path(job_id: str, name: str) -> str:
    return f"{PREFIX}/analysis-jobs/{job_id}/artifacts/{name}"


def _bucket(job: Job) -> str:
    if job.s3_bucket is None:
        raise NotFound
    return job.s3_bucket


def _keys(job: Job) -> dict[str, str]:
    """Name → key of what may be shown: results as soon as the row names them, their companions once the job is done.

    The companions lie beside the result of the job's last stage, in the winning attempt's folder.
    """
    keys = dict(zip(_RESULTS, (job.quick_results_s3_key, job.deep_results_s3_key), strict=True))
    last = job.deep_results_s3_key or job.quick_results_s3_key
    if job.status == "done" and last is not None:
        keys |= {name: sibling_key(last, name) for name in _COMPANIONS}
    return {name: key for name, key in keys.items() if key is not None}


def _etag(key: str, size: int) -> str:
    """Nothing is written twice under the key of a winning attempt, so the key says it all."""
    return f'"{sha256(f"{key} {size}".encode()).hexdigest()[:32]}"'


def _headers(name: str, *, etag: str) -> dict[str, str]:
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",  # a link is a secret
        "Content-Disposition": _disposition(name),
    }
    if name == "report.html":
        headers["Content-Security-Policy"] = _REPORT_POLICY
    return headers


def _disposition(name: str) -> str:
    """Shown in the browser, or saved; `name` is one of ours."""
    return f'{"inline" if name in _SHOWN_IN_PLACE else "attachment"}; filename="{name}"'
