"""How a job's row changes from one state to the next. No SQL here: the queue reads, locks and commits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from models.errors import InvalidTransition, JobCanceled
from models.jobs import STAGES, JobStatus, Lease
from models.tables import VideoAnalysisJob

STAGE_PROGRESS: dict[str, tuple[int, int]] = {"QUICK": (0, 50), "QUICK_DONE": (50, 50), "DEEP": (50, 99)}
"""The span of `progress_pct` in each stage; 100 is for jobs that are done."""
MAX_MESSAGE = 2000
"""Characters of an error's message that are kept."""


def check_goes_on(row: VideoAnalysisJob, expected: JobStatus) -> None:
    """Raises JobCanceled where the owner wants it to stop, and InvalidTransition."""
    if row.cancel_requested_at is not None:
        raise JobCanceled
    if row.status != expected:
        raise InvalidTransition(f"The job is {row.status}, not {expected}.")


def move(row: VideoAnalysisJob, status: JobStatus, now: datetime) -> None:
    """To another state; progress rises to where its stage begins."""
    row.status, row.stage, row.updated_at = status, STAGES[status], now
    show_progress(row, max(row.progress_pct, STAGE_PROGRESS.get(row.stage, (0, 0))[0]), now)


def advance(row: VideoAnalysisJob, progress_pct: float, now: datetime) -> bool:
    """Progress within the stage's span, and never backwards. Returns whether there was any."""
    low, high = STAGE_PROGRESS[row.stage]
    return show_progress(row, max(row.progress_pct, low, min(high, int(progress_pct))), now)


def show_progress(row: VideoAnalysisJob, progress_pct: int, now: datetime) -> bool:
    """Returns whether it is another than was shown before."""
    if row.progress_pct == progress_pct:
        return False
    row.progress_pct = progress_pct
    row.progress_updated_at = row.updated_at = now
    return True


def end(row: VideoAnalysisJob, status: JobStatus, now: datetime) -> None:
    """To a terminal state, and the lease with it; 100 % is for what is done."""
    move(row, status, now)
    if status == "done":
        show_progress(row, 100, now)
    row.completed_at = now
    row.lease_token = row.lease_expires_at = None


def requeue(row: VideoAnalysisJob, now: datetime, *, available_at: datetime) -> None:
    """Back to the queue, to be admitted anew, and the lease with it; a quick result stays."""
    move(row, "queued", now)
    show_progress(row, 0, now)
    row.available_at = available_at
    row.admitted_attempt = row.lease_token = row.lease_expires_at = None


def record_attempt(
    row: VideoAnalysisJob, code: str, message: str, now: datetime, *, retryable: bool | None = None
) -> str:
    """Remember how an attempt ended that left no result. Returns the message as it is kept.

    `retryable` is whether the same may go well another time; None where nothing went wrong.
    """
    kept = message.replace("\0", "")[:MAX_MESSAGE]
    ended = {
        "attempt": row.attempt,
        "worker_id": row.worker_id,
        "model": row.resolved_model,
        "error_code": code,
        "error_message": kept,
        "retryable": retryable,
        "ended_at": now.isoformat(),
    }
    row.history = [*(row.history or ()), ended]
    return kept


def write_quick(row: VideoAnalysisJob, lease: Lease, document: Mapping[str, Any], s3_key: str, now: datetime) -> None:
    """The quick result, and `quick_done`."""
    move(row, "quick_done", now)
    row.quick_results = dict(document)
    row.quick_findings, row.quick_report = dict(document["findings"]), dict(document["report"])
    row.quick_results_s3_key = s3_key
    row.quick_started_at, row.quick_completed_at = lease.claimed_at, now
    if not row.deep_enabled:
        row.results = {"quick": dict(document), "deep": None}


def write_deep(
    row: VideoAnalysisJob, quick: Mapping[str, Any] | None, document: Mapping[str, Any], s3_key: str, now: datetime
) -> None:
    """The deep result, and the legacy pair."""
    row.deep_results = dict(document)
    row.deep_findings, row.deep_report = dict(document["findings"]), dict(document["report"])
    row.deep_results_s3_key = s3_key
    row.deep_completed_at = now
    row.results = {"quick": quick, "deep": dict(document)}
