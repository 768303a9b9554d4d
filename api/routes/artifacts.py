"""The files that an analysis leaves: named, listed and streamed, with byte ranges so that a browser can seek."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse

from api.context import PREFIX, Caller, Parts
from api.problems import Problem, responses
from api.ranges import parse_range
from api.schemas import Artifact, ArtifactList
from models.artifacts import content_type, sibling_key
from models.errors import NotFound
from models.jobs import Job

router = APIRouter(
    prefix=f"{PREFIX}/analysis-jobs/{{job_id:uuid}}/artifacts",
    tags=["artifacts"],
    responses=responses("unauthorized", "not_found", "internal", "store_unavailable"),
)

_RESULTS = ("quick_results.json", "deep_results.json")
_COMPANIONS = ("report.html", "overlay.mp4", "poses.parquet")
"""With the results every name there is; nothing else is ever looked up in the store."""

_SHOWN_IN_PLACE = {"report.html", "overlay.mp4"}

# The report is one self-contained file: whatever a note or a title smuggled into it can load, send and run nothing.
_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
)


@router.get("")
def list_artifacts(parts: Parts, owner: Caller, job_id: UUID) -> ArtifactList:
    """List what the job's winning attempt left, as far as the job has come."""
    job = parts.queue.summary(owner, str(job_id))
    listed = []
    for name, key in _keys(job).items():
        try:
            size = parts.store.stat(_bucket(job), key).size
        except NotFound:
            continue  # not every analysis leaves every file: an overlay of a long clip is not rendered
        url = f"{PREFIX}/analysis-jobs/{job.id}/artifacts/{name}"
        listed.append(Artifact(name=name, size_bytes=size, media_type=content_type(name), url=url))
    return ArtifactList(artifacts=listed)


@router.get(
    "/{name}",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The whole file", "content": {content_type(name): {} for name in _RESULTS + _COMPANIONS}},
        206: {"description": "The range asked for"},
        304: {"description": "Still what `If-None-Match` names"},
        **responses("range_not_satisfiable"),
    },
)
def get_artifact(
    *,
    parts: Parts,
    owner: Caller,
    job_id: UUID,
    name: str,
    range_: Annotated[str | None, Header(alias="Range")] = None,
    if_range: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Fetch one file, or a range of it."""
    job = parts.queue.summary(owner, str(job_id))
    key = _keys(job).get(name)
    if key is None:
        raise Problem("not_found", "The job has no such artifact.")
    size = parts.store.stat(_bucket(job), key).size
    headers = _headers(name, etag=_etag(key, size))
    if if_none_match is not None and headers["ETag"] in if_none_match:
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
        "Content-Disposition": f'{"inline" if name in _SHOWN_IN_PLACE else "attachment"}; filename="{name}"',
    }
    if name == "report.html":
        headers["Content-Security-Policy"] = _REPORT_POLICY
    return headers
