"""The model catalogue: versions, which alias means which, and what each job was run with.

Two new tables, and one nullable column without a default: no row is rewritten, and code of before this revision neither
knows nor fills it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "r6d1f8b3e7c2"
down_revision = "p2e7b3c8f5a4"
branch_labels = None
depends_on = None

LOSES = (
    "the model catalogue: every registered version and every alias; their converted files stay in the store, and "
    "results.json goes on to say which model made it"
)

JOBS = "video_analysis_jobs"


def _string(name: str, length: int, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Create both tables and add the column."""
    op.create_table(
        "model_versions",
        _string("name", 64),
        _string("version", 32),
        sa.Column("source", sa.Text(), nullable=False),
        _string("source_sha256", 64),
        _string("format", 32),
        sa.Column("input_sizes", sa.JSON(), nullable=False),
        sa.Column("skeleton", sa.JSON(), nullable=False),
        _string("licence", 100, nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("report", sa.JSON(), nullable=False),
        _string("artifact_bucket", 255),
        _string("artifact_key", 500),
        _string("artifact_sha256", 64),
        _string("created_by", 255),
        _moment("created_at"),
        _moment("retired_at", nullable=True),
        sa.PrimaryKeyConstraint("name", "version", name="pk_model_versions"),
    )
    op.create_index("ix_model_versions_artifact_sha256", "model_versions", ["artifact_sha256"])
    op.create_table(
        "model_alias_moves",
        _string("alias", 64),
        sa.Column("number", sa.Integer(), nullable=False),
        _string("kind", 16),
        _string("from_name", 64, nullable=True),
        _string("from_version", 32, nullable=True),
        _string("to_name", 64),
        _string("to_version", 32),
        _string("moved_by", 255),
        _moment("moved_at"),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("alias", "number", name="pk_model_alias_moves"),
    )
    op.add_column(JOBS, _string("resolved_model", 100, nullable=True))


def downgrade() -> None:
    """Remove them, with what is in them."""
    op.drop_column(JOBS, "resolved_model")
    op.drop_table("model_alias_moves")
    op.drop_table("model_versions")
