"""Tables beside the jobs: lanes of the queue, tags, batches, keys, uploads, deletions, webhooks.

No existing table is touched, but for the lock that a foreign key to it takes for a moment (readers go on).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations.locks import lock_tables

revision = "m8c4f6a9d1e2"
down_revision = "k5a1d0e3b2c7"
branch_labels = None
depends_on = None

LOSES = (
    "API keys, secrets of webhooks and links, batches, tags, idempotency keys, uploads under way, webhook deliveries, "
    "and what was still to be deleted from the store"
)

REFERRED_TO = ("video_sessions", "video_analysis_jobs")
TABLES = (
    "webhook_deliveries",
    "deletions",
    "uploads",
    "owner_secrets",
    "api_keys",
    "idempotency_keys",
    "queue_lanes",
    "job_batches",
    "job_tags",
)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _string(name: str, length: int, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _owner() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return _string("owner_type", 16), _string("owner_id", 255)


def upgrade() -> None:
    """Create them."""
    lock_tables(*REFERRED_TO, mode="SHARE ROW EXCLUSIVE")  # what a foreign key takes: writers wait, readers do not
    _create_queue_tables()
    _create_access_tables()
    _create_file_tables()
    _create_outbox()


def downgrade() -> None:
    """Drop them, with what is in them."""
    lock_tables(*REFERRED_TO, *reversed(TABLES), mode="ACCESS EXCLUSIVE")
    for name in TABLES:
        op.drop_table(name)


def _create_queue_tables() -> None:
    op.create_table(
        "job_tags",
        sa.Column(
            "job_id",
            sa.String(36),
            sa.ForeignKey("video_analysis_jobs.id", ondelete="CASCADE", name="fk_job_tags_job_id_video_analysis_jobs"),
            nullable=False,
        ),
        _string("tag", 64),
        *_owner(),
        _moment("created_at"),
        sa.PrimaryKeyConstraint("job_id", "tag", name="pk_job_tags"),
    )
    op.create_index("ix_job_tags_tag", "job_tags", ["owner_type", "owner_id", "tag", "created_at", "job_id"])
    op.create_table(
        "job_batches",
        _string("id", 36),
        *_owner(),
        _moment("created_at"),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.JSON(), nullable=False),
        _moment("cancel_requested_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_job_batches"),
    )
    op.create_index("ix_job_batches_owner", "job_batches", ["owner_type", "owner_id", "created_at", "id"])
    op.create_table(
        "queue_lanes",
        *_owner(),
        sa.Column("urgency", sa.Integer(), nullable=False),
        sa.Column("waiting", sa.Boolean(), nullable=False),
        _moment("waiting_since"),
        _moment("served_at"),
        sa.PrimaryKeyConstraint("owner_type", "owner_id", "urgency", name="pk_queue_lanes"),
    )
    op.create_index(
        "ix_queue_lanes_turn",
        "queue_lanes",
        ["urgency", "served_at", "waiting_since"],
        postgresql_where=sa.text("waiting"),
        sqlite_where=sa.text("waiting"),
    )


def _create_access_tables() -> None:
    op.create_table(
        "idempotency_keys",
        *_owner(),
        _string("key", 255),
        _string("request_sha256", 64),
        _string("resource_id", 36),
        _moment("expires_at"),
        sa.PrimaryKeyConstraint("owner_type", "owner_id", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"])
    op.create_table(
        "api_keys",
        _string("id", 36),
        _string("prefix", 16),
        _string("digest", 64),
        _string("name", 255),
        *_owner(),
        sa.Column("scopes", sa.JSON(), nullable=False),
        _moment("created_at"),
        _moment("expires_at", nullable=True),
        _moment("revoked_at", nullable=True),
        _moment("last_used_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("digest", name="uq_api_keys_digest"),
    )
    op.create_index("ix_api_keys_owner", "api_keys", ["owner_type", "owner_id"])
    op.create_table(
        "owner_secrets",
        *_owner(),
        _string("purpose", 16),
        _string("secret", 255),
        _moment("created_at"),
        sa.PrimaryKeyConstraint("owner_type", "owner_id", "purpose", name="pk_owner_secrets"),
    )


def _create_file_tables() -> None:
    op.create_table(
        "uploads",
        _string("id", 36),
        _string("session_id", 36),
        *_owner(),
        _string("s3_bucket", 255),
        _string("s3_key", 1024),
        _string("multipart_id", 1024, nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        _string("sha256", 64, nullable=True),
        _string("status", 16),
        _moment("created_at"),
        _moment("expires_at"),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
        sa.ForeignKeyConstraint(
            ["session_id"], ["video_sessions.id"], ondelete="CASCADE", name="fk_uploads_session_id_video_sessions"
        ),
    )
    op.create_index("ix_uploads_expires_at", "uploads", ["expires_at"])
    op.create_index("ix_uploads_session_id", "uploads", ["session_id"])
    op.create_table(
        "deletions",
        _string("id", 36),
        _string("s3_bucket", 255),
        _string("s3_key", 1024),
        sa.Column("is_prefix", sa.Boolean(), nullable=False),
        _moment("created_at"),
        _moment("next_at"),
        _moment("until"),
        sa.PrimaryKeyConstraint("id", name="pk_deletions"),
    )
    op.create_index("ix_deletions_next_at", "deletions", ["next_at"])


def _create_outbox() -> None:
    op.create_table(
        "webhook_deliveries",
        _string("id", 36),
        *_owner(),
        _string("job_id", 36),
        _string("event", 32),
        _string("url", 2000),
        sa.Column("body", sa.Text(), nullable=False),
        _string("status", 16),
        sa.Column("attempts", sa.JSON(), nullable=False),
        _moment("next_attempt_at"),
        _moment("gives_up_at"),
        _moment("created_at"),
        _moment("delivered_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["video_analysis_jobs.id"],
            ondelete="CASCADE",
            name="fk_webhook_deliveries_job_id_video_analysis_jobs",
        ),
    )
    op.create_index("ix_webhook_deliveries_owner", "webhook_deliveries", ["owner_type", "owner_id", "created_at", "id"])
    op.create_index("ix_webhook_deliveries_job_id", "webhook_deliveries", ["job_id"])
    pending = sa.text("status = 'pending'")
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["next_attempt_at"],
        postgresql_where=pending,
        sqlite_where=pending,
    )
