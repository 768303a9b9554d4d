"""Findings, report and artifact key of both stages as columns of their own.

Six nullable columns without a default: no row is rewritten, nothing is filled in, and the table is locked only for
the moment that its catalogue entry changes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "h3i4j5k6l7m8"
down_revision = "b1d7c2e9a405"
branch_labels = None
depends_on = None

LOSES = "findings, reports and artifact keys of every job; the store's results.json files keep findings and reports"

TABLE = "video_analysis_jobs"
DOCUMENTS = ("quick_findings", "quick_report", "deep_findings", "deep_report")
KEYS = ("quick_results_s3_key", "deep_results_s3_key")


def upgrade() -> None:
    """Add the six."""
    for name in DOCUMENTS:
        op.add_column(TABLE, sa.Column(name, sa.JSON(), nullable=True))
    for name in KEYS:
        op.add_column(TABLE, sa.Column(name, sa.String(500), nullable=True))


def downgrade() -> None:
    """Remove exactly the six; SQLite drops a column natively, so the table is not rebuilt there either."""
    for name in (*KEYS, *DOCUMENTS):
        op.drop_column(TABLE, name)
