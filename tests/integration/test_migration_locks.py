"""Migrations among others who use the tables, on PostgreSQL: who waits for whom, for how long, what an end leaves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import pytest
from migrating import Alembic, alembic, contents, fill
from servers import PostgresServer

from migrations import upgrade
from models.database import Database
from models.tables import SCHEMA_REVISIONS

SIX, COLUMNS, TABLES, INDEXES = SCHEMA_REVISIONS[1:5]
JOBS, SESSIONS = "video_analysis_jobs", "video_sessions"
READ, WRITE = "SELECT count(*) FROM {}", "UPDATE {} SET updated_at = now() WHERE id = '1'"
WRITE_ANOTHER = "UPDATE {} SET updated_at = now() WHERE id = '2'"
LONGEST_S = 2.0


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    """A database in which no migration ever ran, and whose operators meant well with statements that hang."""
    name = postgres.create_database()
    with closing(psycopg2.connect(postgres.url("postgres"))) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f"ALTER DATABASE {name} SET statement_timeout = '1s'")
    yield postgres.url(name)
    postgres.drop_database(name)


def at(url: str, revision: str) -> str:
    """The database, brought to a revision, with rows inside."""
    upgrade(url, revision)
    database = Database(url)
    fill(database.engine)
    database.close()
    return url


def query(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def revision(url: str) -> str:
    return str(query(url, "SELECT version_num FROM alembic_version")[0][0])


@contextmanager
def holding(url: str, *statements: str, isolation: str = "READ COMMITTED") -> Iterator[Callable[[], None]]:
    """A transaction that has run these statements and goes on for as long as it likes; yields what ends it."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.set_session(isolation_level=isolation)
        for statement in statements:
            cursor.execute(statement)
        yield connection.commit


@dataclass
class Watch:
    """Runs one statement after the other, as the service does, and knows the longest of them."""

    url: str
    statement: str
    longest_s: float = 0.0
    runs: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("SET statement_timeout = 0")
            while not self._stop.is_set():
                begin = time.monotonic()
                cursor.execute(self.statement)
                self.longest_s = max(self.longest_s, time.monotonic() - begin)
                self.runs += 1
                time.sleep(0.01)

    @contextmanager
    def running(self) -> Iterator[Watch]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join(timeout=30)
            assert not thread.is_alive()


@dataclass(frozen=True, kw_only=True)
class Case:
    """A migration, what a transaction does that holds on meanwhile, and what others go on doing."""

    start: str
    words: tuple[str, str]
    end: str
    held: str
    others: str


READ_JOBS, READ_SESSIONS = READ.format(JOBS), READ.format(SESSIONS)
CASES = [
    Case(start=SIX, words=("upgrade", COLUMNS), end=COLUMNS, held=READ_JOBS, others=READ_JOBS),
    Case(start=COLUMNS, words=("downgrade", SIX), end=SIX, held=READ_JOBS, others=READ_JOBS),
    Case(start=TABLES, words=("downgrade", COLUMNS), end=COLUMNS, held=READ_JOBS, others=READ_SESSIONS),
    # Readers would not notice the foreign keys of new tables; writers do.
    Case(
        start=COLUMNS,
        words=("upgrade", TABLES),
        end=TABLES,
        held=WRITE.format(SESSIONS),
        others=WRITE_ANOTHER.format(SESSIONS),
    ),
]


def test_whoever_holds_on_delays_the_migration_and_nobody_else_for_long(postgres: PostgresServer) -> None:
    names = [postgres.create_database() for _ in CASES]
    for name, case in zip(names, CASES, strict=True):
        at(postgres.url(name), case.start)
    with ThreadPoolExecutor(len(CASES)) as pool:  # all at once, each on its own database: they wait most of the time
        longest = list(pool.map(_delayed, map(postgres.url, names), CASES))
    for name in names:
        postgres.drop_database(name)
    assert all(0.1 < seconds <= LONGEST_S for seconds in longest), longest


def _delayed(url: str, case: Case) -> float:
    """See the migration through; how long the others had to wait for it."""
    with (
        holding(url, case.held) as let_go,
        Watch(url, case.others).running() as others,
        Alembic(url, *case.words) as process,
    ):
        process.says("trying again")
        assert revision(url) == case.start
        let_go()
        code, _, errors = process.end()
    assert (code, revision(url)) == (0, case.end), errors
    assert others.runs > 20
    return others.longest_s


def test_steps_are_counted_once_however_often_one_is_tried(url: str) -> None:
    at(url, SIX)
    # The first step does not mind, the second one does.
    with holding(url, WRITE.format(SESSIONS)) as let_go, Alembic(url, "upgrade", "+2") as process:
        process.says(f"uses what {TABLES} is to change: trying again")
        assert revision(url) == COLUMNS
        let_go()
        assert process.end()[0] == 0
    assert revision(url) == TABLES


def test_it_gives_up_in_the_end_and_nothing_is_half_done(url: str) -> None:
    at(url, TABLES)
    database = Database(url)
    rows = contents(database.engine)
    with holding(url, READ.format(JOBS)), Alembic(url, "-x", "patience_s=0", "downgrade", SIX) as process:
        code, _, errors = process.end()
    assert code != 0
    assert (
        f"ERROR alembic.util.messaging: {TABLES} was given up after 0 s: another session uses what it is to change"
        in errors
    )
    assert "Traceback" not in errors
    assert (revision(url), contents(database.engine)) == (TABLES, rows)
    database.close()


class TestIndexes:
    def test_nobody_waits_while_they_are_built(self, url: str) -> None:
        """An older transaction lets PostgreSQL wait with the index half-built, longer than any lock is waited for."""
        at(url, TABLES)
        with (
            holding(url, READ.format(JOBS), isolation="REPEATABLE READ") as let_go,
            Watch(url, READ.format(JOBS)).running() as reader,
            Watch(url, WRITE.format(JOBS)).running() as writer,
            Alembic(url, "upgrade", INDEXES) as process,
        ):
            _wait_for_a_build(url)
            begin = (reader.runs, writer.runs)
            time.sleep(2.5)
            assert process.running
            assert alembic(url, "current") == f"{TABLES}\n", "whoever looks on waits neither"
            assert min(reader.runs - begin[0], writer.runs - begin[1]) > 50
            let_go()
            code, _, errors = process.end()
        assert (code, revision(url)) == (0, INDEXES), errors
        assert max(reader.longest_s, writer.longest_s) < 1
        assert _indexes(url, whole=False) == {}

    def test_dropping_them_is_in_nobodys_way_either(self, url: str) -> None:
        at(url, INDEXES)
        with (
            holding(url, READ.format(JOBS)) as let_go,
            Watch(url, READ.format(JOBS)).running() as reader,
            Alembic(url, "downgrade", "-1") as process,
        ):
            process.says("Going back")
            time.sleep(2.5)
            assert process.running
            let_go()
            assert process.end()[0] == 0
        assert reader.longest_s < 1
        assert revision(url) == TABLES

    def test_one_that_was_interrupted_is_built_again_and_the_others_stay(self, url: str) -> None:
        at(url, TABLES)
        with (
            holding(url, READ.format(JOBS), isolation="REPEATABLE READ") as let_go,
            Alembic(url, "upgrade", INDEXES) as process,
        ):
            pid = _wait_for_a_build(url)
            query(url, "SELECT pg_terminate_backend(%s)", pid)
            assert process.end()[0] != 0
            let_go()
        assert (revision(url), len(_indexes(url, whole=False))) == (TABLES, 1)

        alembic(url, "upgrade", INDEXES)
        whole = _indexes(url)
        assert _indexes(url, whole=False) == {}
        broken = "ix_video_analysis_jobs_lane"
        query(url, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", broken)
        query(url, "UPDATE alembic_version SET version_num = %s", TABLES)

        alembic(url, "upgrade", INDEXES)
        assert whole.keys() == _indexes(url).keys()
        assert {name for name, oid in _indexes(url).items() if whole[name] != oid} == {broken}

    def test_half_of_them_are_no_hindrance_on_the_way_back(self, url: str) -> None:
        at(url, INDEXES)
        query(url, "UPDATE alembic_version SET version_num = %s", TABLES)  # as if the last one were missing
        alembic(url, "downgrade", f"{SIX}-1")
        alembic(url, "upgrade", "head")
        alembic(url, "check")
        assert _indexes(url, whole=False) == {}


def _wait_for_a_build(url: str) -> int:
    """Wait until an index is being built, and that for an old transaction; returns who builds it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = query(url, "SELECT pid FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots'")
        if found:
            return int(found[0][0])
        time.sleep(0.05)
    raise AssertionError("no index is being built")


def _indexes(url: str, *, whole: bool = True) -> dict[str, int]:
    """The jobs' and sessions' indexes: name and oid."""
    statement = (
        "SELECT indexrelid::regclass::text, indexrelid::bigint FROM pg_index "
        "WHERE indrelid::regclass::text IN (%s, %s) AND indisvalid = %s"
    )
    return dict(query(url, statement, JOBS, SESSIONS, whole))  # type: ignore[arg-type]  # pairs, as the statement says
