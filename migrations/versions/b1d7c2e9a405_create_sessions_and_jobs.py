"""Coaching sessions and their analysis jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.locks import lock_tables

revision = "b1d7c2e9a405"
down_revision = None
branch_labels = None
depends_on = None

LOSES = "every session and every job"


def _moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _identity() -> tuple[sa.Column[str], ...]:
    return (
        sa.Column("owner_type", sa.String(16), nullable=False),
        sa.Column("owner_id", sa.String(255), nullable=False),
    )


def upgrade() -> None:
    """Create both tables and the indexes that claiming and listing walk."""
    op.create_table(
        "video_sessions",
        sa.Column("id", sa.String(36), nullable=False),
        *_identity(),
        sa.Column("title", sa.String(255), nullable=False),
        sa.Column("notes", sa.Text()),
        sa.Column("session_type", sa.String(32), nullable=False),
        sa.Column("camera_view", sa.String(16)),
        sa.Column("player_ids", sa.JSON(), nullable=False),
        sa.Column("s3_bucket", sa.String(255)),
        sa.Column("s3_key", sa.String(1024)),
        sa.Column("file_size_bytes", sa.BigInteger()),
        sa.Column("status", sa.String(16), nullable=False),
        _moment("created_at", nullable=False),
        _moment("updated_at", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_video_sessions"),
    )
    op.create_index("ix_video_sessions_owner", "video_sessions", ["owner_type", "owner_id", "created_at", "id"])
    _create_jobs()


def _create_jobs() -> None:
    op.create_table(
        "video_analysis_jobs",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("session_id", sa.String(36), nullable=False),
        *_identity(),
        _moment("created_at", nullable=False),
        _moment("updated_at", nullable=False),
        sa.Column("analysis_mode", sa.String(32)),
        sa.Column("camera_view", sa.String(16)),
        sa.Column("sample_fps", sa.Double()),
        sa.Column("include_frames", sa.Boolean(), nullable=False),
        sa.Column("deep_enabled", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("model_name", sa.String(100)),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("s3_bucket", sa.String(255)),
        sa.Column("s3_key", sa.String(1024)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("progress_pct", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.String(64)),
        sa.Column("error_message", sa.Text()),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        _moment("available_at", nullable=False),
        sa.Column("lease_token", sa.String(36)),
        _moment("lease_expires_at"),
        sa.Column("worker_id", sa.String(255)),
        _moment("cancel_requested_at"),
        sa.Column("history", sa.JSON()),
        _moment("started_at"),
        _moment("completed_at"),
        _moment("quick_started_at"),
        _moment("quick_completed_at"),
        _moment("deep_started_at"),
        _moment("deep_completed_at"),
        sa.Column("quick_results", sa.JSON()),
        sa.Column("deep_results", sa.JSON()),
        sa.Column("results", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name="pk_video_analysis_jobs"),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["video_sessions.id"],
            name="fk_video_analysis_jobs_session_id_video_sessions",
            ondelete="CASCADE",
        ),
    )
    for name, columns in (
        ("claim", ["status", "priority", "created_at"]),
        ("owner", ["owner_type", "owner_id", "created_at", "id"]),
        ("session_id", ["session_id"]),
        ("lease_expires_at", ["lease_expires_at"]),
    ):
        op.create_index(f"ix_video_analysis_jobs_{name}", "video_analysis_jobs", columns)


def downgrade() -> None:
    """Remove both tables."""
    lock_tables("video_sessions", "video_analysis_jobs", mode="ACCESS EXCLUSIVE")
    op.drop_table("video_analysis_jobs")
    op.drop_table("video_sessions")
