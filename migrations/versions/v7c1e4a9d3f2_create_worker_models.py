"""What each worker says of the model that it runs.

One new table, which code of before this revision neither knows nor fills.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "v7c1e4a9d3f2"
down_revision = "t3f9b5d2a8c1"
branch_labels = None
depends_on = None

LOSES = "what workers say of the models that they run; they say it again after the next upgrade"


def _string(name: str, length: int, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "worker_models",
        _string("worker_id", 255, nullable=False),
        _string("follows", 64),
        _string("model", 100),
        _string("state", 16, nullable=False),
        _string("wanted", 100),
        _string("error_code", 64),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("worker_id", name="pk_worker_models"),
    )


def downgrade() -> None:
    """Remove it, with what is in it."""
    op.drop_table("worker_models")
