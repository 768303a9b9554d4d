"""The schema's history on both databases, through the commands that the runbook names.

What others notice of it is in `test_migration_locks.py`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import psycopg2
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from migrating import VERIFICATION_QUERY, Alembic, Rows, alembic, contents, file_nodes, fill, fill_columns
from servers import PostgresServer
from sqlalchemy import inspect, text

from migrations import alembic_config, upgrade
from models.database import Database, schema_state
from models.errors import SchemaBehind
from models.jobs import Owner
from models.queue import JobQueue
from models.requests import AnalysisRequest
from models.tables import SCHEMA_REVISIONS, Row

SIX = {
    "quick_findings": "JSON",
    "quick_report": "JSON",
    "deep_findings": "JSON",
    "deep_report": "JSON",
    "quick_results_s3_key": "VARCHAR(500)",
    "deep_results_s3_key": "VARCHAR(500)",
}
ADDS_SIX = "h3i4j5k6l7m8"
BEFORE_SIX = SCHEMA_REVISIONS[SCHEMA_REVISIONS.index(ADDS_SIX) - 1]
HEAD = SCHEMA_REVISIONS[-1]
JANE = Owner(owner_type="coach", owner_id="jane")
DOCUMENT: dict[str, Any] = {
    "findings": {"findings": [{"id": "one"}], "overall_level": "low"},
    "report": {"text": "**Overall Assessment**: …", "sections": [{"id": "summary"}]},
}


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Database]:
    database = Database(empty_database_url)
    yield database
    database.close()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


def columns(database: Database) -> dict[str, dict[str, Any]]:
    return {str(column["name"]): dict(column) for column in inspect(database.engine).get_columns("video_analysis_jobs")}


def a_job_of_every_kind(database: Database, queue: JobQueue) -> None:
    """One done, one quick only, one failed, one waiting."""
    session = queue.create_session(JANE, title="Nets", session_type="bowling")
    queue.attach_upload(JANE, session.id, "local", "clip.mp4", 1)
    for deep in (True, False, True, True):
        queue.submit(JANE, session.id, AnalysisRequest(analysis_mode="bowling", deep_enabled=deep))
    for _ in range(3):
        claimed = queue.claim("w")
        assert claimed is not None
        if not claimed.job.deep_enabled:
            queue.finish(claimed.lease, stage="quick", document=DOCUMENT, s3_key="quick")
        elif queue.counts()["done"] == 0 or queue.counts()["failed"]:
            queue.save_quick(claimed.lease, document=DOCUMENT, s3_key="quick")
            queue.start_deep(claimed.lease)
            queue.finish(claimed.lease, stage="deep", document=DOCUMENT, s3_key="deep")
        else:
            queue.fail(claimed.lease, "no_person", "Nobody was seen.", transient=False)


def everything(database: Database, table: str) -> list[dict[str, Any]]:
    with database.transaction(read_only=True) as transaction:
        return [dict(row) for row in transaction.execute(text(f"SELECT * FROM {table} ORDER BY id")).mappings()]  # noqa: S608


class TestCommands:
    def test_what_an_operator_types(self, empty: Database) -> None:
        alembic(empty.url, "upgrade", "head")
        assert alembic(empty.url, "current") == f"{HEAD} (head)\n"
        alembic(empty.url, "downgrade", f"{ADDS_SIX}-1")
        assert alembic(empty.url, "current") == f"{BEFORE_SIX}\n"
        upgrade(empty.url)
        alembic(empty.url, "downgrade", "-1")
        assert empty.revision() == SCHEMA_REVISIONS[-2]
        command.downgrade(alembic_config(empty.url), "base")
        assert inspect(empty.engine).get_table_names() == ["alembic_version"]

    def test_a_heroku_style_url(self, postgres: PostgresServer) -> None:
        name = postgres.create_database()
        url = postgres.url(name).replace("postgresql://", "postgres://")
        alembic(url, "upgrade", "head")
        assert HEAD in alembic(url, "current")
        postgres.drop_database(name)

    def test_the_plan_as_sql(self) -> None:
        plan = alembic("postgresql://h/d", "upgrade", f"{BEFORE_SIX}:{ADDS_SIX}", "--sql")
        added = re.findall(r"ALTER TABLE video_analysis_jobs ADD COLUMN (\w+) ([A-Z0-9()]+);", plan)
        assert dict(added) == SIX
        assert "UPDATE video_analysis_jobs" not in plan
        assert "DEFAULT" not in plan

    def test_the_whole_plan_as_sql_builds_the_same(self, postgres: PostgresServer, migrated_postgres: str) -> None:
        """What a database administrator may run by hand: with the same transactions, and the same lock timeout."""
        plan = alembic("postgresql://h/d", "upgrade", "head", "--sql")
        assert plan.startswith("SET lock_timeout = 1500;")
        name = postgres.create_database()
        with closing(psycopg2.connect(postgres.url(name))) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            for statement in plan.rstrip().removesuffix(";").split(";\n"):
                cursor.execute(statement)
        assert postgres.schema(name) == postgres.schema(migrated_postgres)
        postgres.drop_database(name)

    def test_migrate_says_what_stands_in_its_way(self, sqlite_url: str) -> None:
        database = Database(sqlite_url)
        with database.transaction() as transaction:
            transaction.execute(text("UPDATE alembic_version SET version_num = 'from_the_future'"))
        database.close()
        done = subprocess.run(
            [sys.executable, "-m", "frontfoot", "migrate"],
            env={**os.environ, "DATABASE_URL": sqlite_url},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 1
        assert "Migration failed: Can't locate revision identified by 'from_the_future'" in done.stdout
        assert "Traceback" not in done.stdout + done.stderr

    def test_two_processes_migrate_at_once(self, empty: Database) -> None:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda _: alembic(empty.url, "upgrade", "head"), range(3)))
        assert schema_state(empty) == "current"


class TestTheOrm:
    def test_zero_to_head_is_what_the_rows_say(self, empty_database_url: str) -> None:
        upgrade(empty_database_url)
        command.check(alembic_config(empty_database_url))

    def test_so_are_predicates_and_constraints(self, postgres: PostgresServer, migrated_postgres: str) -> None:
        """`alembic check` compares no predicate of an index and no rule of a foreign key: PostgreSQL's own words do."""
        name = postgres.create_database()
        made = Database(postgres.url(name))
        Row.metadata.create_all(made.engine)
        made.close()
        migrated = Database(postgres.url(migrated_postgres))
        assert _in_postgres_words(Database(postgres.url(name))) == _in_postgres_words(migrated)
        postgres.drop_database(name)

    def test_the_code_knows_every_revision(self) -> None:
        script = ScriptDirectory.from_config(alembic_config("sqlite://"))
        assert [revision.revision for revision in script.walk_revisions()][::-1] == list(SCHEMA_REVISIONS)
        assert script.get_heads() == [HEAD]


class TestEachRevision:
    def test_up_and_down_with_rows_inside(self, empty: Database) -> None:
        """No value is lost or changed, but for what the revision itself added; and no table is written anew."""
        upgrade(empty.url, SCHEMA_REVISIONS[0])
        fill(empty.engine)
        for before, after in pairwise(SCHEMA_REVISIONS):
            rows, files = contents(empty.engine), _files(empty)
            upgrade(empty.url, after)
            _fill_what_is_new(empty, rows)
            assert _without_the_new(contents(empty.engine), rows) == rows
            assert _files(empty).items() >= files.items()

            full, files = contents(empty.engine), _files(empty)
            command.downgrade(alembic_config(empty.url), before)
            assert contents(empty.engine) == rows
            kept = _files(empty)
            assert kept.items() <= files.items()

            upgrade(empty.url, after)
            assert _without_the_new(contents(empty.engine), rows) == rows
            assert _files(empty).items() >= kept.items()
            _fill_what_is_new(empty, rows)
            assert contents(empty.engine) == full
        assert len(contents(empty.engine)) == len(Row.metadata.tables)

    def test_all_the_way_back_says_what_is_lost(self, database: Database) -> None:
        """v0.1.0's own words for taking the six away, typed today."""
        fill(database.engine)
        rows = contents(database.engine)
        with Alembic(database.url, "downgrade", f"{ADDS_SIX}-1") as process:
            code, _, errors = process.end()
        assert code == 0, errors
        assert [line for line in errors.splitlines() if " loses: " in line] == [
            "WARNING alembic.frontfoot: Going back before z2b6e1a9d4c7 loses: canaries and how they ended; one that is "
            "active stops, and what it measured stays",
            "WARNING alembic.frontfoot: Going back before x4d8a2f6b1e9 loses: what other versions made of finished "
            "jobs; jobs whose results were replaced by it keep the new ones",
            "WARNING alembic.frontfoot: Going back before v7c1e4a9d3f2 loses: what workers say of the models that they "
            "run; they say it again after the next upgrade",
            "WARNING alembic.frontfoot: Going back before t3f9b5d2a8c1 loses: what comparisons of models came to; "
            "promotions that a policy asks for need them made again",
            "WARNING alembic.frontfoot: Going back before r6d1f8b3e7c2 loses: the model catalogue: every registered "
            "version and every alias; their converted files stay in the store, and results.json goes on to say which "
            "model made it",
            "WARNING alembic.frontfoot: Going back before p2e7b3c8f5a4 loses: nothing: they are indexes",
            "WARNING alembic.frontfoot: Going back before m8c4f6a9d1e2 loses: API keys, secrets of webhooks and links, "
            "batches, tags, idempotency keys, uploads under way, webhook deliveries, and what was still to be deleted "
            "from the store",
            "WARNING alembic.frontfoot: Going back before k5a1d0e3b2c7 loses: tags, metadata, webhooks and batches of "
            "jobs; jobs that wait go on waiting, in no lane",
            "WARNING alembic.frontfoot: Going back before h3i4j5k6l7m8 loses: findings, reports and artifact keys of "
            "every job; the store's results.json files keep findings and reports",
        ]
        assert database.revision() == BEFORE_SIX
        left = contents(database.engine)
        assert set(left) == {"video_sessions", "video_analysis_jobs"}
        assert left == _without_the_new(rows, left)


class TestTheSix:
    def test_exactly_they_are_added(self, empty: Database) -> None:
        upgrade(empty.url, BEFORE_SIX)
        before = columns(empty)
        upgrade(empty.url, ADDS_SIX)
        after = columns(empty)
        added = {name: column for name, column in after.items() if name not in before}
        assert {name: str(column["type"]) for name, column in added.items()} == SIX
        assert all(column["nullable"] and column["default"] is None for column in added.values())
        assert before.keys() < after.keys()

    def test_down_and_up_keeps_every_other_value(self, database: Database) -> None:
        a_job_of_every_kind(database, JobQueue(database))
        known = set(columns(database))
        command.downgrade(alembic_config(database.url), ADDS_SIX)
        jobs, sessions = everything(database, "video_analysis_jobs"), everything(database, "video_sessions")
        assert sum(job["deep_findings"] is not None for job in jobs) == 1
        without = [{name: value for name, value in job.items() if name not in SIX} for job in jobs]

        command.downgrade(alembic_config(database.url), f"{ADDS_SIX}-1")
        assert everything(database, "video_analysis_jobs") == without
        assert schema_state(database) == "behind"
        with pytest.raises(SchemaBehind):
            JobQueue(database).list(JANE)

        upgrade(database.url)
        lost = dict.fromkeys(known - set(without[0]))
        assert lost.keys() > SIX.keys()
        assert everything(database, "video_analysis_jobs") == [{**job, **lost} for job in without]
        assert everything(database, "video_sessions") == sessions
        indexes = {index["name"] for index in inspect(database.engine).get_indexes("video_analysis_jobs")}
        assert "ix_video_analysis_jobs_claim" in indexes

    def test_old_code_goes_on_on_the_new_schema(self, database: Database) -> None:
        """What a worker from before the six writes: it names none of them."""
        queue = JobQueue(database)
        session = queue.create_session(JANE, title="Nets", session_type="bowling")
        values = {
            "id": "old",
            "session_id": session.id,
            "owner_type": "coach",
            "owner_id": "jane",
            "moment": datetime(2026, 5, 4, tzinfo=UTC).isoformat(sep=" "),
            "no": False,
            "results": json.dumps({"findings": []}),
        }
        with database.transaction() as transaction:
            transaction.execute(
                text(
                    "INSERT INTO video_analysis_jobs (id, session_id, owner_type, owner_id, created_at, updated_at, "
                    "include_frames, deep_enabled, priority, options, status, stage, progress_pct, attempt, "
                    "max_attempts, available_at, deep_results) VALUES (:id, :session_id, :owner_type, :owner_id, "
                    ":moment, :moment, :no, :no, 0, '{}', 'done', 'DONE', 100, 1, 3, :moment, :results)"
                ),
                values,
            )
        job = queue.get(JANE, "old")
        assert (job.status, job.deep_findings, job.deep_results_s3_key) == ("done", None, None)
        assert queue.results(JANE, "old").deep_results == {"findings": []}


class TestNulls:
    def test_the_verification_query_runs_unchanged(self, database: Database) -> None:
        a_job_of_every_kind(database, JobQueue(database))
        with database.transaction() as transaction:
            transaction.execute(text("DELETE FROM video_analysis_jobs WHERE deep_enabled = false"))
        with database.engine.connect() as connection:
            found = connection.exec_driver_sql(VERIFICATION_QUERY).mappings().one()
        assert (found["status"], found["stage"], found["deep_results_s3_key"]) == ("done", "DONE", "deep")
        assert bool(found["has_findings"]) is bool(found["has_report"]) is True
        assert found["completed_at"] is not None

    def test_what_is_not_there_is_sql_null(self, database: Database) -> None:
        a_job_of_every_kind(database, JobQueue(database))
        names = [*SIX, "results", "quick_results", "deep_results", "history"]
        counted = ", ".join(f"count({name}) AS {name}" for name in names)  # count() skips NULL and counts JSON null
        with database.transaction(read_only=True) as transaction:
            counts = dict(transaction.execute(text(f"SELECT {counted} FROM video_analysis_jobs")).mappings().one())  # noqa: S608
        assert counts == {
            "quick_findings": 2,
            "quick_report": 2,
            "quick_results_s3_key": 2,
            "quick_results": 2,
            "deep_findings": 1,
            "deep_report": 1,
            "deep_results_s3_key": 1,
            "deep_results": 1,
            "results": 2,
            "history": 1,
        }


def _files(database: Database) -> dict[str, int]:
    return file_nodes(database.engine) if database.engine.dialect.name == "postgresql" else {}


def _fill_what_is_new(database: Database, known: Rows) -> None:
    """Values in every column, and rows in every table, that `known` does not have."""
    rows = contents(database.engine)
    fill(database.engine, set(rows) - set(known))
    for table, found in known.items():
        if new := set(rows[table][0]) - set(found[0]):
            fill_columns(database.engine, table, new)


def _without_the_new(rows: Rows, known: Rows) -> Rows:
    """`rows`, less the tables and columns that `known` does not have."""
    return {table: [{name: row[name] for name in found[0]} for row in rows[table]] for table, found in known.items()}


def _in_postgres_words(database: Database) -> set[tuple[str, ...]]:
    """Columns, indexes and constraints, in whatever order; the database is let go."""
    statement = (
        "SELECT table_name, column_name, data_type || coalesce(character_maximum_length::text, '') || is_nullable "
        "FROM information_schema.columns WHERE table_schema = 'public' "
        "UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' "
        "UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace"
    )
    with database.engine.connect() as connection:
        found = {tuple(row) for row in connection.execute(text(statement)) if row[0] != "alembic_version"}
    database.close()
    return found
