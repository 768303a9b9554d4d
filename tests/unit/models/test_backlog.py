"""The backlog: what is counted, how old it is, and that looking costs a few index entries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from models import backlog
from models.backlog import Backlog, read_backlog
from models.database import Database
from models.errors import StoreUnavailable

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
_INSERT = """INSERT INTO video_analysis_jobs
  (id, session_id, owner_type, owner_id, created_at, updated_at, include_frames, deep_enabled, priority, options,
   status, stage, progress_pct, attempt, max_attempts, available_at)
  VALUES (:id, 's', 'coach', 'jane', :created_at, :created_at, false, true, :priority, '{}', :status, '', 0, 0, 3,
   :available_at)"""
_SESSION = """INSERT INTO video_sessions
  (id, owner_type, owner_id, title, session_type, player_ids, status, created_at, updated_at)
  VALUES ('s', 'coach', 'jane', 'Nets', 'bowling', '[]', 'uploaded', :now, :now)"""


@pytest.fixture
def database(database_url: str) -> Database:
    return Database(database_url)


def fill(database: Database, *jobs: tuple[str, int, float, float]) -> None:
    """Jobs by status, priority, and how many seconds ago they were made and could be claimed."""
    sqlite = database.url.startswith("sqlite")

    def moment(ago_s: float) -> object:
        at = NOW - timedelta(seconds=ago_s)
        return at.strftime("%Y-%m-%d %H:%M:%S.%f") if sqlite else at

    with database.transaction() as transaction:
        transaction.execute(text(_SESSION), {"now": moment(0)})
        for number, (status, priority, made_s, ready_s) in enumerate(jobs):
            values = {"id": str(number), "status": status, "priority": priority}
            values |= {"created_at": moment(made_s), "available_at": moment(ready_s)}
            transaction.execute(text(_INSERT), values)


def look(database: Database) -> Backlog:
    return read_backlog(database, clock=lambda: NOW)


def test_nothing_waits(database: Database) -> None:
    found = look(database)
    assert set(found.jobs.values()) == {0}
    assert found.oldest_ready_s == 0


def test_unfinished_jobs_by_state_and_the_age_of_the_oldest_that_could_run(database: Database) -> None:
    fill(
        database,
        ("queued", 0, 900, 900),
        ("queued", 5, 100, 100),
        ("queued", -5, 5000, 20),  # made long ago, back from a retry since 20 s
        ("queued", 0, 7000, -30),  # waits for a retry still
        ("awaiting_upload", 0, 9000, 9000),
        ("quick_running", 0, 8000, 8000),
        ("deep_running", 0, 8000, 8000),
        ("done", 0, 9999, 9999),
        ("failed", 0, 9999, 9999),
    )
    found = look(database)
    counts = {"awaiting_upload": 1, "queued": 4, "quick_running": 1, "quick_done": 0, "deep_running": 1}
    assert found == Backlog(jobs=counts, oldest_ready_s=900)  # type: ignore[arg-type]  # the keys are states


def test_counting_ends_somewhere(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MOST", 2)
    fill(database, *[("queued", 0, 10, 10)] * 3)
    assert look(database).jobs["queued"] == 2


def test_a_database_away_says_so() -> None:
    with pytest.raises(StoreUnavailable):
        look(Database("postgresql://jane:secret@127.0.0.1:1/frontfoot"))
