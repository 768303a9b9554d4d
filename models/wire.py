"""A job as the world sees it: plain JSON values, the same words in lists, single answers, events and webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from models.jobs import RUNNING, TERMINAL, Job

Json = dict[str, Any]

_SAME = (
    "id session_id owner_type owner_id analysis_mode camera_view sample_fps include_frames deep_enabled priority model "
    "resolved_model s3_bucket s3_key status stage progress_pct attempt max_attempts error_code error_message "
    "webhook_url batch_id"
)
_MOMENTS = (
    "available_at cancel_requested_at created_at updated_at progress_updated_at started_at completed_at "
    "quick_started_at quick_completed_at deep_started_at deep_completed_at"
)

_NO_FAULT = {"canceled", "handed_back"}
"""How an attempt may end without anything having gone wrong: kept beside the errors, by the same column."""


def moment(value: datetime | None) -> str | None:
    """A UTC moment as `2026-05-04T09:31:30Z`."""
    return None if value is None else value.isoformat().replace("+00:00", "Z")


def job_document(job: Job) -> Json:
    """A job without its findings, reports and results. Who works on it, and with which lease, is nobody's business."""
    return {
        **{name: getattr(job, name) for name in _SAME.split()},
        **{name: moment(getattr(job, name)) for name in _MOMENTS.split()},
        "options": _options(job.options),
        "tags": list(job.tags),
        "metadata": dict(job.client_metadata),
        "webhook_events": list(job.webhook_events),
        "is_terminal": job.status in TERMINAL,
        "error": error_document(job),
        "attempts": attempts(job),
    }


def _options(options: Mapping[str, Any]) -> Json:
    """What the caller said of the athlete and the report; own rules by their names and checksums, not their texts."""
    rules = options.get("rules")
    if not isinstance(rules, Mapping):
        return dict(options)
    files = [
        {"name": file["name"], "sha256": sha256(file["text"].encode()).hexdigest()} for file in rules.get("files", ())
    ]
    return {**options, "rules": {"files": files}}


def error_document(job: Job) -> Json | None:
    """Why the job failed; None while it has not. What stopped an attempt that is tried again is in `attempts`."""
    if job.status != "failed":
        return None
    retryable = job.history[-1].get("retryable") if job.history else None
    if retryable is None:
        # v0.1.0 kept no word on it; what it tried more than once it held for passing.
        retryable = 1 < job.max_attempts <= job.attempt
    return {"code": job.error_code or "unknown", "message": job.error_message or "", "retryable": retryable}


def attempts(job: Job) -> list[Json]:
    """How each attempt ended, the oldest first; the one that runs, or that ended the job, comes last."""
    told = [_ended(entry) for entry in job.history]
    if job.attempt > max((entry["attempt"] for entry in told), default=0) and job.status != "queued":
        status = "running" if job.status in RUNNING else job.status
        told.append({"attempt": job.attempt, "status": status, "ended_at": moment(job.completed_at), "error": None})
    return told


def _ended(entry: Mapping[str, Any]) -> Json:
    code, ended_at = entry.get("error_code") or "unknown", entry.get("ended_at")
    error = {"code": code, "message": entry.get("error_message") or "", "retryable": entry.get("retryable")}
    return {
        "attempt": entry.get("attempt", 0),
        "status": code if code in _NO_FAULT else "failed",
        "ended_at": None if ended_at is None else moment(datetime.fromisoformat(ended_at)),
        "error": None if code in _NO_FAULT else error,
    }
