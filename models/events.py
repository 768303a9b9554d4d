"""What a job's change is to its owner's webhooks: an event, once, in the transaction that makes it true."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session as Transaction

from models.database import on_postgres
from models.rows import job_value
from models.tables import VideoAnalysisJob, WebhookDelivery
from models.wire import error_document, moment

GIVES_UP = timedelta(hours=24)
"""After this time an event that nobody took is dead."""
EVENTS = {"quick_done": "job.quick_done", "done": "job.done", "failed": "job.failed", "canceled": "job.canceled"}
"""The event that a job's state is."""

_JOBS_PATH = "/api/coaches/plus/analysis-jobs"
"""The contract's: whose host comes before it only the receiver knows."""
_NAMESPACE = uuid.UUID("5d2c1f7e-3b0a-4c55-9a86-0f6f1c7b7a51")


def record(transaction: Transaction, row: VideoAnalysisJob, at: datetime | None = None) -> bool:
    """Write the job's event into the outbox if its owner asked for it and it is not there. True where it was written.

    `row` is locked by the transaction. `at` is when sending begins; None is when it happened.
    """
    event = chosen(row.status, row.webhook_url, row.webhook_events)
    if event is None or row.webhook_url is None:
        return False
    happened = (row.quick_completed_at if row.status == "quick_done" else row.completed_at) or row.updated_at
    delivery_id = event_id(row.id, event, row.attempt, happened)
    begins = at or happened
    values = {
        "id": delivery_id,
        "owner_type": row.owner_type,
        "owner_id": row.owner_id,
        "job_id": row.id,
        "event": event,
        "url": row.webhook_url,
        "body": _body(transaction, row, delivery_id, event, happened),
        "status": "pending",
        "attempts": [],
        "next_attempt_at": begins,
        "gives_up_at": begins + GIVES_UP,
        "created_at": begins,
    }
    # The table, not the class: a statement about classes would flush each row of a batch on its own.
    insert = postgresql.insert if on_postgres(transaction) else sqlite.insert
    written = insert(cast("Table", WebhookDelivery.__table__)).values(values).on_conflict_do_nothing()
    return transaction.scalar(written.returning(WebhookDelivery.__table__.c.id)) is not None


def chosen(status: str, webhook_url: str | None, webhook_events: Sequence[str] | None) -> str | None:
    """The event that a job's state is, where its owner asked for it."""
    event = EVENTS.get(status)
    return event if webhook_url is not None and event in (webhook_events or ()) else None


def event_id(job_id: str, event: str, attempt: int, happened: datetime) -> str:
    """The same for whoever asks: by it an event is recorded once, and its receiver knows it again.

    The moment is in it because a job that was canceled before its first attempt, and revived, may be canceled again.
    """
    return str(uuid.uuid5(_NAMESPACE, f"{job_id} {event} {attempt} {moment(happened)}"))


def _body(transaction: Transaction, row: VideoAnalysisJob, delivery_id: str, event: str, happened: datetime) -> str:
    """Small, and nothing about the athlete: who wants to know more reads the job with a token."""
    job = job_value(row)
    document: dict[str, Any] = {
        "id": delivery_id,
        "event": event,
        "created_at": moment(happened),
        "job": {
            "id": job.id,
            "path": f"{_JOBS_PATH}/{job.id}",
            "session_id": job.session_id,
            "batch_id": job.batch_id,
            "status": job.status,
            "stage": job.stage,
            "attempt": job.attempt,
            "error": error_document(job),
            "tags": list(job.tags),
            "metadata": dict(job.client_metadata),
            **_findings(transaction, row),
        },
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def _findings(transaction: Transaction, row: VideoAnalysisJob) -> dict[str, Any]:
    """How bad, and how much: of the deep look where there is one."""
    if row.status not in {"quick_done", "done"}:
        return {"overall_level": None, "findings_count": None}
    best = func.coalesce(VideoAnalysisJob.deep_findings, VideoAnalysisJob.quick_findings)
    found = transaction.scalar(select(best).where(VideoAnalysisJob.id == row.id)) or {}
    return {"overall_level": found.get("overall_level"), "findings_count": len(found.get("findings") or ())}
