"""What is asked of a database while a test looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from models.database import Database


@contextmanager
def selects(database: Database) -> Iterator[list[str]]:
    """The SELECTs of this block, as text, on whichever of its connections."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append(statement)

    # On SQLite both are one: a second pair of ears would hear everything twice.
    engines = [database.engine] if database.engine.dialect.name == "sqlite" else [database.engine, database._lookups]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)
