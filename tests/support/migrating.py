"""The schema's history as tests walk it: `alembic` as an operator runs it, tables filled in, tables read whole."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    DateTime,
    Engine,
    Float,
    Integer,
    MetaData,
    Table,
    select,
    text,
)

ROOT = Path(__file__).parents[2]
MOMENT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)

# From the seed's runbook, to the letter.
VERIFICATION_QUERY = """
SELECT
    id,
    status,
    stage,
    deep_findings IS NOT NULL as has_findings,
    deep_report IS NOT NULL as has_report,
    deep_results_s3_key,
    completed_at
FROM video_analysis_jobs
WHERE status = 'done'
ORDER BY completed_at DESC
LIMIT 1;
""".lstrip()

Rows = dict[str, list[dict[str, Any]]]


class Alembic:
    """`alembic …` in the repository's root, as an operator runs it; it ends with the block at the latest."""

    def __init__(self, url: str, *words: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "alembic", *words],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def says(self, words: str) -> None:
        """Wait for a line of its log with these words in it."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if words in line:
                return
        raise AssertionError(f"it ended without saying {words!r}")

    def end(self) -> tuple[int, str, str]:
        """Wait for its end: exit code, standard output, what it said on standard error and nobody read yet."""
        output, errors = self._process.communicate(timeout=60)
        return self._process.returncode, output, errors


def alembic(url: str, *words: str) -> str:
    """Run it; it must go well. Returns its standard output."""
    with Alembic(url, *words) as process:
        code, output, errors = process.end()
    assert code == 0, errors
    return output


def reflected(connection: Connection) -> MetaData:
    """The tables as they are, less Alembic's own."""
    metadata = MetaData()
    metadata.reflect(connection)
    metadata.remove(metadata.tables["alembic_version"])
    return metadata


def fill(engine: Engine, tables: set[str] | None = None) -> None:
    """Two rows in each of these tables (all by default): one with every value, one with no more than must be."""
    with engine.begin() as connection:
        for table in reflected(connection).sorted_tables:
            if tables is None or table.name in tables:
                _insert(connection, table, 1, lambda _: True)
                _insert(connection, table, 2, lambda column: not column.nullable)


def fill_columns(engine: Engine, table: str, names: set[str]) -> None:
    """A value in these columns of every row."""
    with engine.begin() as connection:
        found = reflected(connection).tables[table]
        connection.execute(found.update().values({name: _value(found.columns[name], 1) for name in names}))


def contents(engine: Engine) -> Rows:
    """Every row of every table."""
    with engine.connect() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]
            for table in reflected(connection).sorted_tables
        }


def file_nodes(engine: Engine) -> dict[str, int]:
    """PostgreSQL: the file of each table and index; one that is rewritten gets another."""
    statement = (
        "SELECT relname, pg_relation_filenode(oid) FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')"
    )
    with engine.connect() as connection:
        return {row.relname: row.pg_relation_filenode for row in connection.execute(text(statement))}


def _insert(connection: Connection, table: Table, number: int, wanted: Callable[[Column[Any]], bool]) -> None:
    connection.execute(table.insert().values({c.name: _value(c, number) for c in table.columns if wanted(c)}))


def _value(column: Column[Any], number: int) -> Any:
    """Something that fits; foreign keys fit too, for every table's first row is `1`."""
    if isinstance(column.type, JSON):
        return {"number": number}
    if isinstance(column.type, DateTime):
        return MOMENT
    if isinstance(column.type, Boolean):
        return True
    if isinstance(column.type, Float):
        return number / 2
    if isinstance(column.type, Integer):
        return number
    return str(number)
