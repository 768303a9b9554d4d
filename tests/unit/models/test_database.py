from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, StatementError

from models import database as database_module
from models.database import Database, normalise_url, schema_state
from models.errors import SchemaBehind, StoreUnavailable
from models.jobs import Owner
from models.queue import JobQueue
from models.requests import AnalysisRequest
from models.tables import SCHEMA_REVISIONS, VideoAnalysisJob, VideoSession


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgres://u:p%40@h:5432/d?sslmode=require", "postgresql+psycopg2://u:p%40@h:5432/d?sslmode=require"),
        ("postgresql://h/d", "postgresql+psycopg2://h/d"),
        ("postgresql+psycopg2://h/d", "postgresql+psycopg2://h/d"),
        ("sqlite:////var/lib/f.sqlite3", "sqlite:////var/lib/f.sqlite3"),
    ],
)
def test_urls(given: str, expected: str) -> None:
    assert normalise_url(given) == expected
    assert normalise_url(expected) == expected


@pytest.mark.parametrize(
    "url", ["", "mysql://u:secret@h/d", "secret", "/secret/f.sqlite3", "postgresql+asyncpg://secret/d"]
)
def test_other_urls_are_refused_without_showing_them(url: str) -> None:
    with pytest.raises(ValueError, match="DATABASE_URL must begin with") as raised:
        normalise_url(url)
    assert "secret" not in str(raised.value)


class TestTransaction:
    def test_everything_or_nothing(self, database: Database) -> None:
        def fail_half_way() -> None:
            with database.transaction() as transaction:
                transaction.add(_session("kept"))
                transaction.flush()
                raise RuntimeError("on purpose")

        with pytest.raises(RuntimeError, match="on purpose"):
            fail_half_way()
        with database.transaction(read_only=True) as transaction:
            assert transaction.get(VideoSession, "kept") is None

    def test_an_error_quotes_no_values(self, database: Database) -> None:
        with database.transaction() as transaction:
            transaction.add(_session("twice"))
        with pytest.raises(IntegrityError) as raised, database.transaction() as transaction:
            transaction.add(_session("twice"))
        assert "INSERT INTO video_sessions" in str(raised.value)
        assert "[parameters:" not in str(raised.value)

    def test_moments_come_back_in_utc(self, database: Database) -> None:
        local = datetime(2026, 5, 4, 9, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
        with database.transaction() as transaction:
            transaction.add(_session("s", created_at=local))
        with database.transaction(read_only=True) as transaction:
            read = transaction.get_one(VideoSession, "s").created_at
        assert read == local
        assert read.tzinfo is UTC

    def test_a_naive_moment_is_refused(self, database: Database) -> None:
        with pytest.raises(StatementError, match="needs a time zone"), database.transaction() as transaction:
            transaction.add(_session("s", created_at=datetime(2026, 5, 4)))  # noqa: DTZ001 - that is the point

    def test_none_is_sql_null_in_every_document(self, database: Database, queue: JobQueue, jane: Owner) -> None:
        session = queue.create_session(jane, title="Nets", session_type="bowling")
        queue.submit(jane, session.id, AnalysisRequest(analysis_mode="bowling"))
        names = ("quick_results", "deep_results", "results", "quick_findings", "deep_report", "history")
        for value in ([], None):
            with database.transaction() as transaction:
                row = transaction.scalars(select(VideoAnalysisJob)).one()
                for name in names:
                    setattr(row, name, value)
        counted = " + ".join(f"count({name})" for name in names)
        with database.transaction(read_only=True) as transaction:
            assert transaction.scalar(text(f"SELECT {counted} FROM video_analysis_jobs")) == 0  # noqa: S608 - our names

    def test_a_lazy_load_is_refused(self, database: Database) -> None:
        with database.transaction() as transaction:
            transaction.add(_session("s"))
        with (
            database.transaction(read_only=True) as transaction,
            pytest.raises(Exception, match="lazy='raise'"),
        ):
            _ = transaction.get_one(VideoSession, "s").jobs

    def test_a_missing_table_is_a_schema_behind(self, empty_database_url: str) -> None:
        database = Database(empty_database_url)
        with pytest.raises(SchemaBehind):
            JobQueue(database).claim("w")
        database.close()

    def test_a_missing_column_is_a_schema_behind(self, database: Database, queue: JobQueue, jane: Owner) -> None:
        session = queue.create_session(jane, title="Nets", session_type="bowling")
        job = queue.submit(jane, session.id, AnalysisRequest(analysis_mode="bowling"))
        with database.transaction() as transaction:
            transaction.execute(text("ALTER TABLE video_analysis_jobs DROP COLUMN quick_report"))
        with pytest.raises(SchemaBehind) as raised:
            queue.get(jane, job.id)
        assert (raised.value.code, raised.value.transient) == ("schema_behind", True)


class TestUnavailable:
    def test_nobody_answers(self, tmp_path: Path) -> None:
        for url in ("postgresql://u:secret@127.0.0.1:1/d", f"sqlite:///{tmp_path}/no-folder/f.sqlite3"):
            database = Database(url)
            with pytest.raises(StoreUnavailable) as raised:
                JobQueue(database).claim("w")
            assert "secret" not in str(raised.value)
            assert schema_state(database) == "unreachable"
            database.close()

    def test_a_connection_that_dies_is_replaced(self, postgres_url: str) -> None:
        database = Database(postgres_url)
        kill = text("SELECT pg_terminate_backend(pg_backend_pid())")
        with pytest.raises(StoreUnavailable), database.transaction() as transaction:
            transaction.execute(kill)
        assert JobQueue(database).claim("w") is None
        database.close()

    def test_a_locked_sqlite_is_waited_for_and_then_unavailable(
        self, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(database_module, "BUSY_TIMEOUT_MS", 100)
        holder, waiter = Database(sqlite_url), Database(sqlite_url)
        with holder.transaction() as transaction:
            transaction.execute(text("DELETE FROM video_sessions"))
            with pytest.raises(StoreUnavailable):
                JobQueue(waiter).claim("w")
            assert JobQueue(waiter).counts()["queued"] == 0  # readers never wait
        assert JobQueue(waiter).claim("w") is None
        holder.close()
        waiter.close()

    def test_writers_that_read_first_wait_for_each_other(self, sqlite_url: str) -> None:
        """With a deferred BEGIN the second of them fails at once: SQLITE_BUSY_SNAPSHOT."""
        database = Database(sqlite_url)
        with database.transaction() as transaction:
            transaction.add(_session("s", title="0"))
        errors: list[Exception] = []

        def count_up() -> None:
            try:
                for _ in range(20):
                    with database.transaction() as transaction:
                        row = transaction.get_one(VideoSession, "s")
                        row.title = str(int(row.title) + 1)
            except Exception as error:  # noqa: BLE001 - the test's thread reports it
                errors.append(error)

        threads = [threading.Thread(target=count_up) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        with database.transaction(read_only=True) as transaction:
            assert transaction.get_one(VideoSession, "s").title == "80"
        database.close()


class TestSchemaState:
    def test_migrated(self, database: Database) -> None:
        assert database.revision() == SCHEMA_REVISIONS[-1]
        assert schema_state(database) == "current"

    def test_never_migrated(self, empty_database_url: str) -> None:
        database = Database(empty_database_url)
        assert database.revision() is None
        assert schema_state(database) == "behind"
        database.close()

    @pytest.mark.parametrize(("revision", "state"), [(SCHEMA_REVISIONS[0], "behind"), ("from_the_future", "current")])
    def test_older_is_behind_and_newer_is_not(self, database: Database, revision: str, state: str) -> None:
        with database.transaction() as transaction:
            transaction.execute(text("UPDATE alembic_version SET version_num = :new"), {"new": revision})
        assert schema_state(database) == state


def _session(session_id: str, **changes: Any) -> VideoSession:
    now = datetime(2026, 5, 4, tzinfo=UTC)
    values: dict[str, Any] = {
        "id": session_id,
        "owner_type": "coach",
        "owner_id": "jane",
        "title": "Nets",
        "session_type": "bowling",
        "player_ids": [],
        "status": "pending",
        "created_at": now,
        "updated_at": now,
    }
    return VideoSession(**{**values, **changes})
