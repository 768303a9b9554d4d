"""A queue as long as wanted, made by the database itself."""

from __future__ import annotations

from sqlalchemy import text

from models.database import Database

JOBS_A_SESSION = 10
PRIORITIES = 3

_SESSIONS = """
INSERT INTO video_sessions
    (id, owner_type, owner_id, title, session_type, player_ids, s3_bucket, s3_key, status, created_at, updated_at)
SELECT 'session-' || i, 'coach', 'owner-' || mod(i, :owners), 'Nets', 'bowling', '[]', 'local', 'clip.mp4', 'uploaded',
       now(), now()
FROM generate_series(0, :sessions - 1) AS i
"""
_JOBS = """
INSERT INTO video_analysis_jobs
    (id, session_id, owner_type, owner_id, created_at, updated_at, analysis_mode, include_frames, deep_enabled,
     priority, options, s3_bucket, s3_key, status, stage, progress_pct, attempt, max_attempts, available_at,
     completed_at)
SELECT gen_random_uuid()::text, 'session-' || mod(i, :sessions), 'coach', 'owner-' || mod(i, :owners),
       now() - (:rows - i) * interval '1 second', now(), 'bowling', false, true,
       mod(i / :owners, :priorities), '{}', 'local', 'clip.mp4', :status, upper(:status), 0, 0, 3, now(),
       CASE WHEN :status = 'done' THEN now() END
FROM generate_series(0, :rows - 1) AS i
"""


def fill(database: Database, *, rows: int, owners: int, status: str = "queued") -> None:
    """Jobs of as many owners, at three priorities, submitted a second apart; on PostgreSQL only."""
    sessions = max(owners, rows // JOBS_A_SESSION)
    with database.transaction() as transaction:
        transaction.execute(text(_SESSIONS + "ON CONFLICT DO NOTHING"), {"owners": owners, "sessions": sessions})
        values = {"rows": rows, "owners": owners, "sessions": sessions, "priorities": PRIORITIES, "status": status}
        transaction.execute(text(_JOBS), values)
