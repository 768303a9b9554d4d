"""A job's row as it begins, and as it begins again: the same for one job and for ten thousand."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, insert
from sqlalchemy.orm import Session as Transaction

from models.announce import wake_workers
from models.jobs import STAGES, JobStatus, Owner
from models.requests import AnalysisOptions, AnalysisRequest, JobExtras
from models.tables import JobTag, VideoAnalysisJob, VideoSession
from models.transitions import move, record_attempt, requeue

JOBS = cast("Table", VideoAnalysisJob.__table__)
TAGS = cast("Table", JobTag.__table__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """One analysis that an owner asks for."""

    request: AnalysisRequest
    extras: JobExtras
    priority: int = 0


def job_values(
    owner: Owner,
    session: VideoSession,
    order: Order,
    *,
    now: datetime,
    max_attempts: int,
    created_at: datetime | None = None,
    job_id: str | None = None,
    batch_id: str | None = None,
) -> dict[str, Any]:
    """The columns of a job on the session's video as it is now, or on the one that is still to come."""
    request, extras = order.request, order.extras
    status: JobStatus = "awaiting_upload" if session.s3_key is None else "queued"
    return {
        "id": job_id or str(uuid.uuid4()),
        "session_id": session.id,
        "owner_type": owner.owner_type,
        "owner_id": owner.owner_id,
        "created_at": created_at or now,
        "updated_at": now,
        "analysis_mode": request.analysis_mode,
        "camera_view": request.camera_view or session.camera_view,
        "sample_fps": request.sample_fps,
        "include_frames": request.include_frames,
        "deep_enabled": request.deep_enabled,
        "priority": order.priority,
        "model_name": request.model,
        "options": _stored(request.options),
        "s3_bucket": session.s3_bucket,
        "s3_key": session.s3_key,
        "status": status,
        "stage": STAGES[status],
        "progress_pct": 0,
        "attempt": 0,
        "max_attempts": max_attempts,
        "available_at": now,
        "batch_id": batch_id,
        "tags": list(dict.fromkeys(extras.tags)) or None,
        "client_metadata": dict(extras.metadata) or None,
        "webhook_url": extras.webhook_url,
        "webhook_events": list(dict.fromkeys(extras.webhook_events)) if extras.webhook_url else None,
    }


def insert_jobs(transaction: Transaction, jobs: Sequence[dict[str, Any]]) -> None:
    """Store new jobs with their tags, and wake the workers."""
    if not jobs:
        return
    transaction.execute(insert(JOBS), list(jobs))
    tags = [
        {
            "job_id": job["id"],
            "tag": tag,
            "owner_type": job["owner_type"],
            "owner_id": job["owner_id"],
            "created_at": job["created_at"],
        }
        for job in jobs
        for tag in job["tags"] or ()
    ]
    if tags:
        transaction.execute(insert(TAGS), tags)
    if any(job["status"] == "queued" for job in jobs):
        wake_workers(transaction)


def begin_again(row: VideoAnalysisJob, now: datetime, *, more_attempts: int) -> None:
    """Back to where a job begins, for its owner wants it tried again; what happened before stays in its history."""
    if row.attempt and all(ended.get("attempt") != row.attempt for ended in row.history or ()):
        record_attempt(row, "canceled", "The job was canceled.", row.completed_at or now)
    row.max_attempts = row.attempt + more_attempts
    row.error_code = row.error_message = row.completed_at = row.cancel_requested_at = None
    row.admitted_attempt = None  # it may have been in its lane when it was canceled; nobody keeps a place for it
    requeue(row, now, available_at=now)
    if row.s3_key is None:
        move(row, "awaiting_upload", now)


def _stored(options: AnalysisOptions) -> dict[str, Any]:
    """As the job keeps them. What v0.1.0 does not know is left out where nothing is said: its workers refuse it."""
    return options.model_dump(mode="json", exclude={"direction"} if options.direction is None else None)
