"""Canaries: which version measures a share of the athletes, its limits, how it ended; and which workers have loaded it.

A table and two nullable columns, which code of before this revision neither knows nor fills.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations.locks import lock_tables

revision = "z2b6e1a9d4c7"
down_revision = "x4d8a2f6b1e9"
branch_labels = None
depends_on = None

LOSES = "canaries and how they ended; one that is active stops, and what it measured stays"

TABLE, WORKERS = "model_canaries", "worker_models"
ACTIVE = sa.text("ended_at IS NULL")


def _string(name: str, length: int, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _moment(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Create the table, add the columns."""
    lock_tables(WORKERS, mode="ACCESS EXCLUSIVE")
    op.create_table(
        TABLE,
        _string("id", 36),
        _string("alias", 64),
        _string("model", 100),
        _string("base", 100),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("limits", sa.JSON(), nullable=False),
        sa.Column("forced", sa.Boolean(), nullable=False),
        _moment("started_at", nullable=False),
        _string("started_by", 255),
        _moment("ended_at"),
        _string("ended_by", 255, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        _moment("judged_at"),
        sa.Column("figures", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_model_canaries"),
    )
    op.create_index(
        "uq_model_canaries_active", TABLE, ["alias"], unique=True, postgresql_where=ACTIVE, sqlite_where=ACTIVE
    )
    op.create_index("ix_model_canaries_started_at", TABLE, ["started_at"])
    op.add_column(WORKERS, _string("canary", 100, nullable=True))
    op.add_column(WORKERS, _string("canary_state", 16, nullable=True))


def downgrade() -> None:
    """Remove exactly these."""
    lock_tables(TABLE, WORKERS, mode="ACCESS EXCLUSIVE")
    op.drop_column(WORKERS, "canary_state")
    op.drop_column(WORKERS, "canary")
    op.drop_table(TABLE)
