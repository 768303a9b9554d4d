"""Read one job: as it is, when it changes, or as a stream of events."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Coroutine
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.requests import ClientDisconnect

from api import examples
from api.context import PREFIX, Parts, Reader, Services
from api.events import PROGRESS, EventId, due, progress_data
from api.problems import responses
from api.representation import Shown, tag_matches
from api.schemas import JobRead
from api.watch import Watch
from models.errors import StoreError
from models.jobs import Owner
from models.reading import BLOBS, Blob

router = APIRouter(
    prefix=f"{PREFIX}/analysis-jobs/{{job_id:uuid}}",
    tags=["analysis jobs"],
    responses=responses("unauthorized", "forbidden", "not_found", "rate_limited", "internal", "store_unavailable"),
)

KEEP_ALIVE_S = 15.0
_RECONNECT_MS = 3_000
_STREAM_S = 300.0
"""After this long a stream ends, and its client connects again: so a key that was revoked follows no job for ever."""
_BLOB = "(quick_results|deep_results|results)"

log = logging.getLogger(__name__)

T = TypeVar("T")

Include = Annotated[
    str | None,
    Query(
        pattern=f"^{_BLOB}(,{_BLOB})*$",
        description="Whole result documents to add, separated by commas: `quick_results`, `deep_results`. `results` "
        "adds the legacy pair and both of them.",
        examples=["quick_results,deep_results"],
    ),
]
Wait = Annotated[
    int,
    Query(
        ge=0,
        le=60,
        description="Answer when the job has changed, at the latest after this many seconds. With `If-None-Match`: "
        "changed since that tag, and a 304 if it has not.",
    ),
]
IfNoneMatch = Annotated[str | None, Header(description="Tags of what you have: 304 if one of them still holds.")]


@router.get(
    "",
    response_model=JobRead,
    responses={
        200: {
            "headers": {
                "ETag": {"schema": {"type": "string"}, "description": "Changes with all but place, eta and patience."},
                "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds; absent once the job ended."},
            }
        },
        304: {"description": "Still what `If-None-Match` names"},
        **responses("validation_failed", "too_many_waiting"),
    },
)
async def get_job(
    *,
    request: Request,
    parts: Parts,
    owner: Reader,
    job_id: UUID,
    include: Include = None,
    wait: Wait = 0,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Read a job; findings and reports are at the top level as soon as they are there, also while it goes on.

    A running job is no error. States may be added: go by `is_terminal`.
    """
    blobs = _blobs(include)
    if wait:
        waiting = _waited(parts, owner, str(job_id), blobs=blobs, if_none_match=if_none_match, wait_s=wait)
        shown = await _unless_gone(request, waiting)
    else:
        shown = await parts.views.read(owner, str(job_id), blobs)
    headers = {"ETag": shown.etag, "Cache-Control": "private, no-cache"}
    if shown.retry_after_ms is not None:
        headers["Retry-After"] = str(math.ceil(shown.retry_after_ms / 1000))
    if if_none_match is not None and tag_matches(if_none_match, shown.etag):
        return Response(status_code=304, headers=headers)
    if shown.has_deep_result:
        # The runbook's operators look for these words.
        log.info("Response includes deep_findings and deep_report fields", extra={"job_id": shown.job_id})
    return Response(shown.body, headers=headers, media_type="application/json")


async def _watch(parts: Parts, owner: Reader, job_id: UUID) -> AsyncIterator[Watch]:
    """A watch that lasts as long as the answer is being sent."""
    with parts.watcher.watching(owner, str(job_id)) as watch:
        yield watch


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: `progress`, `quick_result` (its data is the job, as `GET` shows it), "
            "and `done`, `failed` or `canceled` (likewise), after which the stream ends.",
            "content": {EventSourceResponse.media_type: {"schema": {"type": "string"}, "example": examples.EVENTS}},
        },
        204: {"description": "`Last-Event-ID` names the last event there will be: do not connect again"},
        **responses("validation_failed", "too_many_waiting"),
    },
)
async def stream_job_events(
    parts: Parts,
    owner: Reader,
    job_id: UUID,
    watch: Annotated[Watch, Depends(_watch)],
    last_event_id: Annotated[
        str | None, Header(description="The last event you had: what came after it is sent.")
    ] = None,
) -> Response:
    """Follow a job until it ends. Connect again with `Last-Event-ID`, as browsers do, and nothing is told twice."""
    told = EventId.parse(last_event_id)
    shown = await parts.views.read(owner, str(job_id))
    if shown.state.is_terminal and not due(told, shown.state):
        return Response(status_code=204)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventSourceResponse(_stream(parts, owner, watch, shown, told), headers=headers)


async def _stream(
    parts: Services, owner: Owner, watch: Watch, shown: Shown, told: EventId | None
) -> AsyncIterator[bytes]:
    yield format_sse_event(retry=_RECONNECT_MS)
    state, clock = shown.state, asyncio.get_running_loop().time
    end = clock() + _STREAM_S
    try:
        while clock() < end:
            events = due(told, state)
            if state != shown.state and any(event.name != PROGRESS for event in events):
                shown = await parts.views.read_changed(owner, shown.job_id, state)
                state = shown.state
                events = due(told, state)  # it may have gone on meanwhile: what is said fits what is shown
            for event in events:
                data = progress_data(shown.job_id, state) if event.name == PROGRESS else shown.body.decode()
                yield format_sse_event(event=event.name, data_str=data, id=str(event.id))
                told = event.id
            if state.is_terminal:
                return
            while (news := await watch.changed(state, KEEP_ALIVE_S)) is None:
                if parts.watcher.closing or clock() > end:
                    return
                yield KEEPALIVE_COMMENT
            state = news
    except StoreError as error:
        # The job is gone, or the database is: whoever connects again hears which.
        log.info("Event stream ended early: %s", error.code, extra={"job_id": shown.job_id})


def _blobs(include: str | None) -> tuple[Blob, ...]:
    """What `include` asks for. `results` has meant all three since v0.1.0."""
    named = include.split(",") if include else []
    return BLOBS if "results" in named else tuple(blob for blob in BLOBS if blob in named)


async def _waited(
    parts: Services, owner: Owner, job_id: str, *, blobs: tuple[Blob, ...], if_none_match: str | None, wait_s: float
) -> Shown:
    """The job once it has changed, or as it is when the time is up."""
    clock = asyncio.get_running_loop().time
    end = clock() + wait_s
    with parts.watcher.watching(owner, job_id) as watch:
        shown = await parts.views.read(owner, job_id, blobs)
        is_known = if_none_match is None or tag_matches(if_none_match, shown.etag)
        if shown.state.is_terminal or not is_known:
            return shown
        news = await watch.changed(shown.state, end - clock())
        if news is None:
            return await parts.views.read(owner, job_id, blobs)
        return await parts.views.read_changed(owner, job_id, news, blobs)


async def _unless_gone(request: Request, waiting: Coroutine[Any, Any, T]) -> T:
    """The result, unless the client goes away before; then nobody waits any more. Raises ClientDisconnect."""
    answer, gone = asyncio.ensure_future(waiting), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise ClientDisconnect
    finally:
        answer.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
