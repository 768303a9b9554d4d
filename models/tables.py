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
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

SCHEMA_REVISIONS = (
    "b1d7c2e9a405",
    "h3i4j5k6l7m8",
    "k5a1d0e3b2c7",
    "m8c4f6a9d1e2",
    "p2e7b3c8f5a4",
    "r6d1f8b3e7c2",
    "t3f9b5d2a8c1",
    "v7c1e4a9d3f2",
    "x4d8a2f6b1e9",
    "z2b6e1a9d4c7",
)
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


ADMITTED = "status = 'queued' AND admitted_attempt = attempt"
NOT_ADMITTED = "status = 'queued' AND (admitted_attempt IS NULL OR admitted_attempt <> attempt)"
ACTIVE = "status IN ('awaiting_upload', 'queued', 'quick_running', 'quick_done', 'deep_running')"
HAS_FILES = "completed_at IS NOT NULL AND (artifacts_removed_at IS NULL OR artifacts_removed_at < completed_at)"
FOREIGN_SOURCE = "substr(s3_key, 1, 9) <> 'sessions/'"
"""Predicates of partial indexes; a statement that uses one says the same words."""


def _where(predicate: str) -> dict[str, Any]:
    return {"postgresql_where": text(predicate), "sqlite_where": text(predicate)}


class VideoSession(Row):
    """One coaching video and who owns it."""

    __tablename__ = "video_sessions"
    __table_args__ = (
        Index("ix_video_sessions_owner", "owner_type", "owner_id", "created_at", "id"),
        # Who else names a source that was not uploaded here.
        Index("ix_video_sessions_source", "s3_key", **_where(FOREIGN_SOURCE)),
    )

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
        Index("ix_video_analysis_jobs_batch_id", "batch_id", "created_at", "id", **_where("batch_id IS NOT NULL")),
        # A lane's jobs in the order of their turn, and the queued ones that nobody put into a lane yet.
        Index(
            "ix_video_analysis_jobs_lane", "owner_type", "owner_id", "priority", "created_at", "id", **_where(ADMITTED)
        ),
        Index("ix_video_analysis_jobs_due", "priority", "available_at", **_where(NOT_ADMITTED)),
        Index("ix_video_analysis_jobs_active", "owner_type", "owner_id", **_where(ACTIVE)),
        Index("ix_video_analysis_jobs_ended", "completed_at", **_where("completed_at IS NOT NULL")),
        Index("ix_video_analysis_jobs_files", "completed_at", **_where(HAS_FILES)),
        Index("ix_video_analysis_jobs_source", "s3_key", **_where(FOREIGN_SOURCE)),
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

    # From `k5a1d0e3b2c7` on; all nullable, for code of before it neither knows nor fills them.
    admitted_attempt: Mapped[int | None]
    """The attempt for which the job was put into its owner's lane: only where it equals `attempt` the job is in it."""
    crashes: Mapped[int | None]
    """How often the actor died with this job and others in it: from the first time on it runs alone."""
    batch_id: Mapped[str | None] = mapped_column(String(36))
    tags: Mapped[list[Any] | None]
    client_metadata: Mapped[dict[str, Any] | None]
    webhook_url: Mapped[str | None] = mapped_column(String(2000))
    webhook_events: Mapped[list[Any] | None]
    progress_updated_at: Mapped[datetime | None]
    artifacts_removed_at: Mapped[datetime | None]
    """When its files were given up; a later end leaves files again."""
    resolved_model: Mapped[str | None] = mapped_column(String(100))
    """From `r6d1f8b3e7c2` on: `name@version` that the request meant when the job was last claimed, or whose results
    replaced those since."""

    session: Mapped[VideoSession] = relationship(back_populates="jobs", lazy="raise")


class JobTag(Row):
    """One tag of one job, for lists by tag; the job's own `tags` are what is shown."""

    __tablename__ = "job_tags"
    __table_args__ = (Index("ix_job_tags_tag", "owner_type", "owner_id", "tag", "created_at", "job_id"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("video_analysis_jobs.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner_type: Mapped[str] = mapped_column(String(16))
    owner_id: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime]


class JobBatch(Row):
    """Many jobs submitted by one call; `rejected` lists the lines that became none."""

    __tablename__ = "job_batches"
    __table_args__ = (Index("ix_job_batches_owner", "owner_type", "owner_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    owner_type: Mapped[str] = mapped_column(String(16))
    owner_id: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime]
    lines: Mapped[int]
    accepted: Mapped[int]
    rejected: Mapped[list[Any]]
    cancel_requested_at: Mapped[datetime | None]


class QueueLane(Row):
    """The queued jobs of one owner at one priority, seen as one: whose turn it is."""

    __tablename__ = "queue_lanes"
    __table_args__ = (Index("ix_queue_lanes_turn", "urgency", "served_at", "waiting_since", **_where("waiting")),)

    owner_type: Mapped[str] = mapped_column(String(16), primary_key=True)
    owner_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    urgency: Mapped[int] = mapped_column(primary_key=True)
    """The priority, negated: so one ascending index has the most urgent first, and there the owner served longest ago.
    """
    waiting: Mapped[bool] = mapped_column(Boolean)
    """Whether it may hold a job. True with none in it costs a look; False with one in it would lose the job."""
    waiting_since: Mapped[datetime]
    """When its oldest job was made, as far as known: between owners that were never served."""
    served_at: Mapped[datetime]
    """When its owner last got a turn, at whatever priority; the epoch where never."""


class IdempotencyKey(Row):
    """What a key was first used for, so that a repeated request gets the same job."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_expires_at", "expires_at"),)

    owner_type: Mapped[str] = mapped_column(String(16), primary_key=True)
    owner_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_sha256: Mapped[str] = mapped_column(String(64))
    resource_id: Mapped[str] = mapped_column(String(36))
    """The job (or batch) that the first request made."""
    expires_at: Mapped[datetime]


class ApiKey(Row):
    """A key of the API: its digest, never itself."""

    __tablename__ = "api_keys"
    __table_args__ = (Index("ix_api_keys_owner", "owner_type", "owner_id"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    prefix: Mapped[str] = mapped_column(String(16))
    """What of the key may be shown."""
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256, in hexadecimal digits."""
    name: Mapped[str] = mapped_column(String(255))
    owner_type: Mapped[str] = mapped_column(String(16))
    owner_id: Mapped[str] = mapped_column(String(255))
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class OwnerSecret(Row):
    """What an owner's webhooks and artifact links are signed with; made when first needed."""

    __tablename__ = "owner_secrets"

    owner_type: Mapped[str] = mapped_column(String(16), primary_key=True)
    owner_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(16), primary_key=True)
    """`webhooks` or `links`: two secrets, so that one can be shown."""
    secret: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime]


class Upload(Row):
    """A video on its way to a session by a link that the caller was given."""

    __tablename__ = "uploads"
    __table_args__ = (Index("ix_uploads_expires_at", "expires_at"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("video_sessions.id", ondelete="CASCADE"), index=True)
    owner_type: Mapped[str] = mapped_column(String(16))
    owner_id: Mapped[str] = mapped_column(String(255))
    s3_bucket: Mapped[str] = mapped_column(String(255))
    s3_key: Mapped[str] = mapped_column(String(1024))
    multipart_id: Mapped[str | None] = mapped_column(String(1024))
    """The store's name for a multipart upload; None where one PUT does it."""
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    """`initiated` or `completed`; an expired one is a deletion."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class Deletion(Row):
    """Objects that must go, written in the transaction that forgot them: a crash half-way loses none of it."""

    __tablename__ = "deletions"
    __table_args__ = (Index("ix_deletions_next_at", "next_at"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    s3_bucket: Mapped[str] = mapped_column(String(255))
    s3_key: Mapped[str] = mapped_column(String(1024))
    is_prefix: Mapped[bool] = mapped_column(Boolean)
    """Everything in that folder, or the one object; unfinished uploads in parts are aborted either way."""
    created_at: Mapped[datetime]
    next_at: Mapped[datetime]
    until: Mapped[datetime]
    """Deleted once more at this moment: by then nobody writes there any more (a worker that lost its lease, a link)."""


class WebhookDelivery(Row):
    """The outbox: one event for one receiver, written in the transaction that made it true."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index("ix_webhook_deliveries_owner", "owner_type", "owner_id", "created_at", "id"),
        Index("ix_webhook_deliveries_job_id", "job_id"),
        Index("ix_webhook_deliveries_due", "next_attempt_at", **_where("status = 'pending'")),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    owner_type: Mapped[str] = mapped_column(String(16))
    owner_id: Mapped[str] = mapped_column(String(255))
    job_id: Mapped[str] = mapped_column(ForeignKey("video_analysis_jobs.id", ondelete="CASCADE"))
    event: Mapped[str] = mapped_column(String(32))
    url: Mapped[str] = mapped_column(String(2000))
    body: Mapped[str] = mapped_column(Text)
    """What is sent, byte for byte the same at every try."""
    status: Mapped[str] = mapped_column(String(16))
    """`pending`, `delivered` or `dead`."""
    attempts: Mapped[list[Any]]
    """Each try: `at`, `status_code` or `error`, `duration_ms`."""
    next_attempt_at: Mapped[datetime]
    gives_up_at: Mapped[datetime]
    created_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None]
