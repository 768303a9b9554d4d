"""Finished jobs measured by other versions: one new table, which code of before this revision does not know.

No existing table is touched, but for the lock that a foreign key to it takes for a moment (readers go on).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations.locks import lock_tables

revision = "x4d8a2f6b1e9"
down_revision = "v7c1e4a9d3f2"
branch_labels = None
depends_on = None

LOSES = "what other versions made of finished jobs; jobs whose results were replaced by it keep the new ones"

TABLE, JOBS = "model_trials", "video_analysis_jobs"


def _string(name: str, length: int, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _moment(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Create the table."""
    lock_tables(JOBS, mode="SHARE ROW EXCLUSIVE")  # what a foreign key takes: writers wait, readers do not
    op.create_table(
        TABLE,
        _string("job_id", 36),
        _string("model", 100),
        _string("why", 16),
        _string("state", 16),
        _moment("created_at", nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _string("lease_token", 36, nullable=True),
        _moment("lease_expires_at"),
        _string("base", 100, nullable=True),
        _string("base_key", 500, nullable=True),
        _string("results_key", 500, nullable=True),
        _string("error_code", 64, nullable=True),
        sa.Column("comparison", sa.JSON(), nullable=True),
        _moment("started_at"),
        _moment("finished_at"),
        _moment("replaced_at"),
        sa.PrimaryKeyConstraint("job_id", "model", name="pk_model_trials"),
        sa.ForeignKeyConstraint(
            ["job_id"], [f"{JOBS}.id"], name="fk_model_trials_job_id_video_analysis_jobs", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_model_trials_turn", TABLE, ["model", "why", "state", "created_at", "job_id"])


def downgrade() -> None:
    """Remove it, with what is in it."""
    lock_tables(JOBS, TABLE, mode="ACCESS EXCLUSIVE")
    op.drop_table(TABLE)
