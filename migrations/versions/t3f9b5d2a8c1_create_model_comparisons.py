"""Recorded comparisons of models: one new table, which code of before this revision does not know."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "t3f9b5d2a8c1"
down_revision = "r6d1f8b3e7c2"
branch_labels = None
depends_on = None

LOSES = "what comparisons of models came to; promotions that a policy asks for need them made again"

TABLE = "model_comparisons"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        TABLE,
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("a", sa.String(100), nullable=False),
        sa.Column("b", sa.String(100), nullable=False),
        sa.Column("totals", sa.JSON(), nullable=False),
        sa.Column("compared_by", sa.String(255), nullable=False),
        sa.Column("compared_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model_comparisons"),
    )
    op.create_index("ix_model_comparisons_pair", TABLE, ["a", "b", "compared_at"])


def downgrade() -> None:
    """Remove it, with what is in it."""
    op.drop_table(TABLE)
