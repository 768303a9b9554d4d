"""Indexes on the jobs: lanes and admission, batches, active jobs by owner, ended jobs by age; and who names a source.

On PostgreSQL they are built concurrently, so that nobody waits for them. One that was interrupted is left invalid
under its name: the next run drops it and builds it again.
"""

from __future__ import annotations

from migrations.locks import build_index, drop_index, in_nobodys_way

revision = "p2e7b3c8f5a4"
down_revision = "m8c4f6a9d1e2"
branch_labels = None
depends_on = None

LOSES = "nothing: they are indexes"

TABLE = "video_analysis_jobs"
SOURCE_INDEXES = {"ix_video_sessions_source": "video_sessions", "ix_video_analysis_jobs_source": TABLE}
FOREIGN_SOURCE = "substr(s3_key, 1, 9) <> 'sessions/'"
INDEXES = {
    "ix_video_analysis_jobs_batch_id": (["batch_id", "created_at", "id"], "batch_id IS NOT NULL"),
    "ix_video_analysis_jobs_lane": (
        ["owner_type", "owner_id", "priority", "created_at", "id"],
        "status = 'queued' AND admitted_attempt = attempt",
    ),
    "ix_video_analysis_jobs_due": (
        ["priority", "available_at"],
        "status = 'queued' AND (admitted_attempt IS NULL OR admitted_attempt <> attempt)",
    ),
    "ix_video_analysis_jobs_active": (
        ["owner_type", "owner_id"],
        "status IN ('awaiting_upload', 'queued', 'quick_running', 'quick_done', 'deep_running')",
    ),
    "ix_video_analysis_jobs_ended": (["completed_at"], "completed_at IS NOT NULL"),
    "ix_video_analysis_jobs_files": (
        ["completed_at"],
        "completed_at IS NOT NULL AND (artifacts_removed_at IS NULL OR artifacts_removed_at < completed_at)",
    ),
    **dict.fromkeys(SOURCE_INDEXES, (["s3_key"], FOREIGN_SOURCE)),
}


def upgrade() -> None:
    """Build them."""
    with in_nobodys_way():
        for name, (columns, predicate) in INDEXES.items():
            build_index(name, _table(name), columns, predicate)


def downgrade() -> None:
    """Drop them."""
    with in_nobodys_way():
        for name in reversed(INDEXES):
            drop_index(name, _table(name))


def _table(index: str) -> str:
    return SOURCE_INDEXES.get(index, TABLE)
