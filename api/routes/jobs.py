"""Analysis jobs: ask for one, list one's own, cancel, try again, delete."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Query, Response
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime

from api import representation
from api.context import PREFIX, Cursor, PageSize, Parts, Reader, Writer
from api.problems import responses
from api.schemas import JobCreate, JobPage, JobSummary
from api.submissions import REPLAYED, REPLAYED_HEADER, IdempotencyKey, check_model, check_rules, request_key
from models.jobs import Job, JobStatus
from models.listing import JobFilter
from models.requests import Mode, Tag
from models.submission import Order
from models.webhook_urls import check_webhook_url

router = APIRouter(
    prefix=PREFIX, tags=["analysis jobs"], responses=responses("unauthorized", "internal", "store_unavailable")
)


@router.post(
    "/sessions/{session_id:uuid}/analysis-jobs",
    status_code=201,
    response_model=JobSummary,
    responses={
        201: REPLAYED_HEADER,
        **responses(
            "bad_request",
            "not_found",
            "idempotency_conflict",
            "request_too_large",
            "validation_failed",
            "model_unknown",
            "rules_invalid",
            "webhook_url_refused",
            "source_key_too_long",
            "too_many_active_jobs",
        ),
    },
)
def create_job(
    parts: Parts, owner: Writer, session_id: UUID, body: JobCreate, idempotency_key: IdempotencyKey = None
) -> Response:
    """Ask for an analysis of the session's video as it is now."""
    check_model(body, parts.models)
    check_rules(body, parts.rule_faults)
    if body.webhook_url is not None:
        check_webhook_url(body.webhook_url, parts.webhook_policy)
    order = Order(request=body, extras=body, priority=body.priority)
    once = request_key(idempotency_key, str(session_id), body) if idempotency_key else None
    made = parts.queue.submit_order(owner, str(session_id), order, once)
    headers = {"Location": f"{PREFIX}/analysis-jobs/{made.value.id}"} | (REPLAYED if made.replayed else {})
    return JSONResponse(representation.summary(made.value), status_code=201, headers=headers)


@router.get(
    "/analysis-jobs",
    response_model=JobPage,
    responses=responses("not_found", "validation_failed", "invalid_cursor"),
)
def list_jobs(
    *,
    parts: Parts,
    owner: Reader,
    status: Annotated[
        tuple[JobStatus, ...], Query(description="Only jobs in this state; may be given several times.")
    ] = (),
    session_id: Annotated[UUID | None, Query(description="Only jobs of this session.")] = None,
    batch_id: Annotated[UUID | None, Query(description="Only jobs of this batch.")] = None,
    mode: Annotated[Mode | None, Query(description="Only analyses of this discipline.")] = None,
    created_after: Annotated[
        AwareDatetime | None, Query(description="Only jobs made later than this moment (with its UTC offset).")
    ] = None,
    tag: Annotated[Tag | None, Query(description="Only jobs with this tag.")] = None,
    cursor: Cursor = None,
    limit: PageSize = 50,
) -> Response:
    """List the caller's jobs, the newest first, without their documents."""
    wanted = JobFilter(
        statuses=status,
        session_id=str(session_id) if session_id else None,
        batch_id=str(batch_id) if batch_id else None,
        mode=mode,
        created_after=created_after,
        tag=tag,
    )
    page = parts.queue.list(owner, wanted, cursor=cursor, limit=limit)
    return JSONResponse({"jobs": [representation.summary(job) for job in page.items], "next_cursor": page.next_cursor})


@router.post(
    "/analysis-jobs/{job_id:uuid}/cancel",
    response_model=JobSummary,
    responses=responses("not_found", "invalid_state"),
)
def cancel_job(parts: Parts, owner: Writer, job_id: UUID) -> Response:
    """Ask for the job's end. One that waits is canceled at once, one that runs at its worker's next heartbeat."""
    return _answer(parts.queue.cancel(owner, str(job_id)))


@router.post(
    "/analysis-jobs/{job_id:uuid}/retry",
    response_model=JobSummary,
    responses=responses("not_found", "invalid_state", "source_key_too_long", "too_many_active_jobs"),
)
def retry_job(parts: Parts, owner: Writer, job_id: UUID) -> Response:
    """Begin a job again that failed or was canceled: a new attempt, its history kept."""
    return _answer(parts.queue.retry(owner, str(job_id)))


@router.delete("/analysis-jobs/{job_id:uuid}", status_code=204, responses=responses("not_found"))
def delete_job(parts: Parts, owner: Writer, job_id: UUID, background: BackgroundTasks) -> None:
    """Forget a job, with every file that it left. One that runs is stopped; the session and its video stay."""
    # What is written down to be deleted is deleted by a worker too, should this process not live to do it.
    background.add_task(parts.cleaner.deletions.carry_out, parts.cleaner.forget_job(owner, str(job_id)))


def _answer(job: Job) -> Response:
    return JSONResponse(representation.summary(job))
