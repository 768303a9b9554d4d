"""Rows as they are read: whose they are, locked or not, page by page, and the frozen values made of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, defer
from sqlalchemy.orm import Session as Transaction

from models.errors import NotFound
from models.jobs import Job, Owner, OwnerType, Session, SessionStatus, SessionType, decode_cursor, encode_cursor
from models.tables import JobBatch, VideoAnalysisJob, VideoSession, WebhookDelivery

MAX_PAGE = 500
NO_SYNC = {"synchronize_session": False}
"""For an UPDATE of rows that the transaction has not read or will not look at again."""

R = TypeVar("R", VideoSession, VideoAnalysisJob, JobBatch, WebhookDelivery)
S = TypeVar("S")

_RESULTS = (VideoAnalysisJob.quick_results, VideoAnalysisJob.deep_results, VideoAnalysisJob.results)
_DOCUMENTS = (
    VideoAnalysisJob.quick_findings,
    VideoAnalysisJob.quick_report,
    VideoAnalysisJob.deep_findings,
    VideoAnalysisJob.deep_report,
)
# Whoever asks for a job's state does not wait for megabytes of keypoints.
WITHOUT_RESULTS = tuple(defer(column, raiseload=True) for column in _RESULTS)
WITHOUT_DOCUMENTS = (*WITHOUT_RESULTS, *(defer(column, raiseload=True) for column in _DOCUMENTS))


def owned(entity: type[R], owner: Owner) -> Select[R]:
    """The rows of an owner."""
    return select(entity).where(entity.owner_type == owner.owner_type, entity.owner_id == owner.owner_id)


def lock(statement: Select[S]) -> Select[S]:
    """Lock the rows against other writers (SQLite: the transaction already is the only one)."""
    return statement.with_for_update(key_share=True)


def find(transaction: Transaction, rows: Select[R], entity: type[R], row_id: str) -> R:
    """One of `rows` by its id. Raises NotFound."""
    # PostgreSQL takes no NUL; no id is longer than its column.
    found = None if "\0" in row_id or len(row_id) > 36 else transaction.scalar(rows.where(entity.id == row_id))
    if found is None:
        raise NotFound
    return found


def read_page(
    transaction: Transaction,
    rows: Select[R],
    entity: type[R],
    limit: int,
    cursor: str | None,
    *,
    order: tuple[InstrumentedAttribute[datetime], InstrumentedAttribute[str]] | None = None,
) -> tuple[Sequence[R], str | None]:
    """At most `limit` of `rows`, the newest first, from behind `cursor`; and the next cursor.

    `order` names another table's copies of the rows' moment and id, where it is that table's index which has the order.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise ValueError(f"a page has 1 to {MAX_PAGE} rows")
    moment, row_id = order or (entity.created_at, entity.id)
    if cursor is not None:
        rows = rows.where(tuple_(moment, row_id) < tuple_(*decode_cursor(cursor)))
    found = transaction.scalars(rows.order_by(moment.desc(), row_id.desc()).limit(limit + 1)).all()
    shown = found[:limit]
    return shown, encode_cursor(shown[-1].created_at, shown[-1].id) if len(found) > limit else None


def session_value(row: VideoSession) -> Session:
    """What leaves of a session's row."""
    return Session(
        id=row.id,
        owner=Owner(owner_type=cast("OwnerType", row.owner_type), owner_id=row.owner_id),
        title=row.title,
        notes=row.notes,
        session_type=cast("SessionType", row.session_type),
        camera_view=row.camera_view,
        player_ids=tuple(row.player_ids),
        s3_bucket=row.s3_bucket,
        s3_key=row.s3_key,
        file_size_bytes=row.file_size_bytes,
        status=cast("SessionStatus", row.status),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def job_value(row: VideoAnalysisJob) -> Job:
    """What leaves of a job's row."""
    return Job(**job_fields(row))


def job_fields(row: VideoAnalysisJob) -> dict[str, Any]:
    """The fields of a `Job`, by name."""
    same = (
        "id session_id created_at updated_at analysis_mode camera_view sample_fps include_frames deep_enabled priority "
        "options s3_bucket s3_key status stage progress_pct error_code error_message attempt max_attempts available_at "
        "worker_id lease_expires_at cancel_requested_at started_at completed_at quick_started_at quick_completed_at "
        "deep_started_at deep_completed_at quick_results_s3_key deep_results_s3_key batch_id webhook_url "
        "progress_updated_at resolved_model"
    )
    return {
        **{name: getattr(row, name) for name in same.split()},
        "owner": Owner(owner_type=cast("OwnerType", row.owner_type), owner_id=row.owner_id),
        "model": row.model_name,
        "history": tuple(row.history or ()),
        "crashes": row.crashes or 0,
        "tags": tuple(row.tags or ()),
        "client_metadata": row.client_metadata or {},
        "webhook_events": tuple(row.webhook_events or ()),
    }
