"""Batches: many jobs by one call, how far they are, their end."""

from __future__ import annotations

import json
from functools import partial
from typing import IO, Any
from uuid import UUID

import anyio.to_thread
from fastapi import APIRouter, Request, Response

from api import examples
from api.bulk import MAX_BYTES, MAX_LINES, MEDIA_TYPES, LineRules, read_lines, receive, spooled
from api.context import PREFIX, Cursor, PageSize, Parts, Reader, Services, Writer
from api.middleware import body_limit
from api.problems import Problem, responses
from api.schemas import BatchPage, BatchRead, BatchSummary
from api.sources import locate
from api.submissions import REPLAYED, REPLAYED_HEADER, IdempotencyKey
from models.batches import Batch
from models.idempotency import Made, RequestKey
from models.jobs import Owner
from models.webhook_urls import check_webhook_url

router = APIRouter(
    prefix=PREFIX, tags=["batches"], responses=responses("unauthorized", "internal", "store_unavailable")
)

_BODY = {
    "required": True,
    "description": f"JSON Lines: one object a line, at most {MAX_LINES} lines and {MAX_BYTES // 1024**2} MiB.",
    "content": {
        MEDIA_TYPES[0]: {
            "schema": {"type": "string"},
            "examples": {
                "lines": {"value": "".join(f"{json.dumps(line)}\n" for line in examples.BATCH_LINES)},
            },
        }
    },
}


@router.post(
    "/analysis-jobs/bulk",
    status_code=202,
    response_model=BatchRead,
    openapi_extra={"requestBody": _BODY},
    responses={
        202: REPLAYED_HEADER,
        **responses(
            "upload_stalled",
            "idempotency_conflict",
            "request_too_large",
            "batch_too_large",
            "unsupported_media",
            "validation_failed",
            "too_many_active_jobs",
        ),
    },
)
@body_limit(MAX_BYTES)
async def create_batch(
    parts: Parts, owner: Writer, request: Request, idempotency_key: IdempotencyKey = None
) -> Response:
    """Ask for many analyses at once. A line that is wrong is listed in the batch as rejected and stops no other."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise Problem("unsupported_media", f"Send JSON Lines as `{MEDIA_TYPES[0]}`.")
    with spooled() as file:
        digest = await receive(request, file, stall_timeout_s=parts.limits.upload_stall_s)
        once = RequestKey(key=idempotency_key, sha256=digest) if idempotency_key else None
        made = await anyio.to_thread.run_sync(_submit, parts, owner, file, once, limiter=parts.batch_slots)
    headers = {"Location": f"{PREFIX}/batches/{made.value.id}"} | (REPLAYED if made.replayed else {})
    return _answer(made.value, status_code=202, headers=headers)


@router.get("/batches", responses=responses("validation_failed", "invalid_cursor"))
def list_batches(parts: Parts, owner: Reader, cursor: Cursor = None, limit: PageSize = 50) -> BatchPage:
    """List the caller's batches, the newest first, without their counts."""
    page = parts.batches.list(owner, cursor=cursor, limit=limit)
    batches = [BatchSummary.model_validate(batch, from_attributes=True) for batch in page.items]
    return BatchPage(batches=batches, next_cursor=page.next_cursor)


@router.get("/batches/{batch_id:uuid}", response_model=BatchRead, responses=responses("not_found"))
def get_batch(parts: Parts, owner: Reader, batch_id: UUID) -> Response:
    """Read a batch: how many of its jobs are in each state, and which lines were rejected."""
    return _answer(parts.batches.get(owner, str(batch_id)))


@router.post("/batches/{batch_id:uuid}/cancel", response_model=BatchRead, responses=responses("not_found"))
def cancel_batch(parts: Parts, owner: Writer, batch_id: UUID) -> Response:
    """Cancel every job of the batch: those that wait at once, those that run at their workers' next heartbeat."""
    return _answer(parts.batches.cancel(owner, str(batch_id)))


def _submit(parts: Services, owner: Owner, file: IO[bytes], once: RequestKey | None) -> Made[Batch]:
    rules = LineRules(
        models=parts.models,
        rule_faults=parts.rule_faults,
        check_webhook_url=partial(check_webhook_url, policy=parts.webhook_policy),
        locate=partial(locate, parts.store),
    )
    lines = read_lines(file, rules)
    return parts.batches.submit(owner, lines.items, lines.rejected, once)


def _answer(batch: Batch, **options: Any) -> Response:
    # Its ten thousand rejected lines need no second look.
    return Response(BatchRead.of(batch).model_dump_json(), media_type="application/json", **options)
