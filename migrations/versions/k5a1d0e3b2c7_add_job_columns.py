"""What a job carries besides its request: its place in the queue, its batch, tags, metadata and webhook.

Nullable columns without a default: no row is rewritten, and code of before this revision neither knows nor fills them.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "k5a1d0e3b2c7"
down_revision = "h3i4j5k6l7m8"
branch_labels = None
depends_on = None

LOSES = "tags, metadata, webhooks and batches of jobs; jobs that wait go on waiting, in no lane"

TABLE = "video_analysis_jobs"
COLUMNS: tuple[tuple[str, sa.types.TypeEngine[Any]], ...] = (
    ("admitted_attempt", sa.Integer()),
    ("crashes", sa.Integer()),
    ("batch_id", sa.String(36)),
    ("tags", sa.JSON()),
    ("client_metadata", sa.JSON()),
    ("webhook_url", sa.String(2000)),
    ("webhook_events", sa.JSON()),
    ("progress_updated_at", sa.DateTime(timezone=True)),
    ("artifacts_removed_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    """Add them."""
    for name, kind in COLUMNS:
        op.add_column(TABLE, sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    """Remove exactly these."""
    for name, _ in reversed(COLUMNS):
        op.drop_column(TABLE, name)
