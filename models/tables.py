"""The ORM rows, in PostgreSQL and SQLite alike. Only `queue.py`, `sessions.py` and the migrations see them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

SCHEMA_REVISIONS = ("b1d7c2e9a405", "h3i4j5k6l7m8")
"""Every revision of the schema, oldest first; the last is what these rows look like. A test compares migrations/."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware values only, UTC when read back, on SQLite too (which stores no zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive value: nobody could say later what it meant."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored moment needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC, whatever zone the connection speaks."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Row(DeclarativeBase):
    """Base of all rows."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    # None is SQL NULL, never JSON 'null': the runbook asks `deep_findings IS NOT NULL`.
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
    }


class VideoSession(Row):
    """One coaching video and who owns it."""

    __tablename__ = "video_sessions"
    __table_args__ = (Index("ix_video_sessions_owner", "owner_type", "owner_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    owner_type: Mapped[str] = mapped_column(String(16))
    owner_id: Mapped[str] = mapped_column(String(255))
    title: Mapped[str] = mapped_column(String(255))
    notes: Mapped[str | None] = mapped_column(Text)
    session_type: Mapped[str] = mapped_column(String(32))
    camera_view: Mapped[str | None] = mapped_column(String(16))
    player_ids: Mapped[list[Any]]
    s3_bucket: Mapped[str | None] = mapped_column(String(255))
    s3_key: Mapped[str | None] = mapped_column(String(1024))
    file_size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    jobs: Mapped[list[VideoAnalysisJob]] = relationship(back_populates="session", lazy="raise", passive_deletes=True)


class VideoAnalysisJob(Row):
    """One analysis of one session."""

    __tablename__ = "video_analysis_jobs"
    __table_args__ = (
        Index("ix_video_analysis_jobs_claim", "status", "priority", "created_at"),
        Index("ix_video_analysis_jobs_owner", "owner_type", "owner_id", "created_at", "id"),
        Index("ix_video_analysis_jobs_session_id", "session_id"),
        Index("ix_video_analysis_jobs_lease_expires_at", "lease_expires_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("video_sessions.id", ondelete="CASCADE"))
    owner_type: Mapped[str] = mapped_column(String(16))
    owner_id: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    # The request. A NULL mode is not repaired: the job fails in the worker.
    analysis_mode: Mapped[str | None] = mapped_column(String(32))
    camera_view: Mapped[str | None] = mapped_column(String(16))
    sample_fps: Mapped[float | None]
    include_frames: Mapped[bool] = mapped_column(Boolean)
    deep_enabled: Mapped[bool] = mapped_column(Boolean)
    priority: Mapped[int]
    model_name: Mapped[str | None] = mapped_column(String(100))
    options: Mapped[dict[str, Any]]

    # The source as it was when the job was made.
    s3_bucket: Mapped[str | None] = mapped_column(String(255))
    s3_key: Mapped[str | None] = mapped_column(String(1024))

    status: Mapped[str] = mapped_column(String(16))
    stage: Mapped[str] = mapped_column(String(16))
    progress_pct: Mapped[int]
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[int]
    max_attempts: Mapped[int]
    available_at: Mapped[datetime]
    lease_token: Mapped[str | None] = mapped_column(String(36))
    lease_expires_at: Mapped[datetime | None]
    worker_id: Mapped[str | None] = mapped_column(String(255))
    cancel_requested_at: Mapped[datetime | None]
    history: Mapped[list[Any] | None]

    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    quick_started_at: Mapped[datetime | None]
    quick_completed_at: Mapped[datetime | None]
    deep_started_at: Mapped[datetime | None]
    deep_completed_at: Mapped[datetime | None]

    quick_results: Mapped[dict[str, Any] | None]
    deep_results: Mapped[dict[str, Any] | None]
    results: Mapped[dict[str, Any] | None]
    quick_findings: Mapped[dict[str, Any] | None]
    quick_report: Mapped[dict[str, Any] | None]
    deep_findings: Mapped[dict[str, Any] | None]
    deep_report: Mapped[dict[str, Any] | None]
    quick_results_s3_key: Mapped[str | None] = mapped_column(String(500))
    deep_results_s3_key: Mapped[str | None] = mapped_column(String(500))

    session: Mapped[VideoSession] = relationship(back_populates="jobs", lazy="raise")
