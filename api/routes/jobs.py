"""Analysis jobs: ask for one, read it, list one's own, cancel."""

from __future__ import annotations

import logging
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response

from api.context import PREFIX, Caller, Cursor, PageSize, Parts
from api.problems import FieldError, Problem, responses
from api.schemas import JobCreate, JobPage, JobRead, JobSummary, JobWithResults
from models.jobs import JobStatus
from models.requests import AnalysisRequest

router = APIRouter(
    prefix=PREFIX, tags=["analysis jobs"], responses=responses("unauthorized", "internal", "store_unavailable")
)

log = logging.getLogger(__name__)


@router.post(
    "/sessions/{session_id:uuid}/analysis-jobs",
    status_code=201,
    responses=responses(
        "bad_request", "not_found", "request_too_large", "validation_failed", "model_unknown", "source_key_too_long"
    ),
)
def create_job(parts: Parts, owner: Caller, session_id: UUID, body: JobCreate, response: Response) -> JobSummary:
    """Ask for an analysis of the session's video as it is now."""
    if body.model is not None and body.model not in parts.models:
        fault = FieldError(field="model", source="body", code="model_unknown", detail="Not in the catalogue.")
        raise Problem("model_unknown", f"Choose one of: {', '.join(sorted(parts.models))}.", errors=[fault])
    request = AnalysisRequest.model_validate(body.model_dump(exclude={"priority"}))
    job = parts.queue.submit(owner, str(session_id), request, priority=body.priority)
    response.headers["Location"] = f"{PREFIX}/analysis-jobs/{job.id}"
    return JobSummary.of(job)


@router.get("/analysis-jobs", responses=responses("not_found", "validation_failed", "invalid_cursor"))
def list_jobs(
    *,
    parts: Parts,
    owner: Caller,
    status: Annotated[JobStatus | None, Query(description="Only jobs in this state.")] = None,
    session_id: Annotated[UUID | None, Query(description="Only jobs of this session.")] = None,
    cursor: Cursor = None,
    limit: PageSize = 50,
) -> JobPage:
    """List the caller's jobs, the newest first, without their documents."""
    page = parts.queue.list(
        owner, status=status, session_id=str(session_id) if session_id else None, cursor=cursor, limit=limit
    )
    return JobPage(jobs=[JobSummary.of(job) for job in page.items], next_cursor=page.next_cursor)


@router.get("/analysis-jobs/{job_id:uuid}", responses=responses("not_found", "validation_failed"))
def get_job(
    parts: Parts,
    owner: Caller,
    job_id: UUID,
    include: Annotated[Literal["results"] | None, Query(description="`results` adds the whole documents.")] = None,
) -> JobWithResults | JobRead:
    """Read a job; findings and reports are at the top level as soon as they are there."""
    job = parts.queue.get(owner, str(job_id))
    if job.deep_findings is not None and job.deep_report is not None:
        # The runbook's operators look for these words.
        log.info("Response includes deep_findings and deep_report fields", extra={"job_id": job.id})
    if include is None:
        return JobRead.of(job)
    return JobWithResults.with_results(job, parts.queue.results(owner, job.id))


@router.post("/analysis-jobs/{job_id:uuid}/cancel", responses=responses("not_found", "invalid_state"))
def cancel_job(parts: Parts, owner: Caller, job_id: UUID) -> JobSummary:
    """Ask for the job's end. One that waits is canceled at once, one that runs at its worker's next heartbeat."""
    return JobSummary.of(parts.queue.cancel(owner, str(job_id)))
