"""How a revision changes tables that others are using. On SQLite a migration is alone, and nothing here does anything.

A lock that has to wait makes everybody wait who comes after it, readers too. So the wait for one ends after
`LOCK_WAIT_S`: the revision is undone, those who came after go on, and after a pause it is tried again (`env.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from alembic import context, op
from sqlalchemy import text

LOCK_WAIT_S = 1.5
"""How long a revision may stand in anybody's way."""
PAUSE_S = 1.5
"""Between two tries of a revision: time for all who had to wait behind it."""
PATIENCE_S = 300.0
"""How long a revision is tried; another number by `alembic -x patience_s=60 …`."""


def patience_s() -> float:
    """Seconds that a revision is tried for before the migration gives up."""
    return float(context.get_x_argument(as_dictionary=True).get("patience_s", PATIENCE_S))


def lock_timeout(seconds: float, *, local: bool = False) -> str:
    """The statement that ends a wait for a lock after so long (0 would be never: at least a millisecond)."""
    return f"SET {'LOCAL ' if local else ''}lock_timeout = {max(1, round(seconds * 1000))}"


def lock_tables(*tables: str, mode: str) -> None:
    """Lock existing tables for the rest of the transaction: sessions, then jobs, then others, as the service does.

    For a revision that changes several: all of them together are waited for as long as one would be.
    """
    if op.get_context().dialect.name != "postgresql":
        return
    end = time.monotonic() + LOCK_WAIT_S
    for table in tables:
        op.execute(lock_timeout(end - time.monotonic(), local=True))
        op.execute(f"LOCK TABLE {table} IN {mode} MODE")


@contextmanager
def in_nobodys_way() -> Iterator[None]:
    """For what is built or dropped `CONCURRENTLY`, in no transaction.

    Such a statement waits for older transactions to end, and neither reader nor writer waits for it. Cut short it
    would begin its work anew, so it may wait as long as there is patience.
    """
    migration = op.get_context()
    if migration.dialect.name != "postgresql":
        yield
        return
    with migration.autocommit_block():
        op.execute(lock_timeout(patience_s()))
        try:
            yield
        finally:
            op.execute(lock_timeout(LOCK_WAIT_S))


def build_index(name: str, table: str, columns: Sequence[str], where: str) -> None:
    """Create a partial index. One that is whole stays; one whose building was interrupted is invalid and built anew."""
    postgres = op.get_context().dialect.name == "postgresql"
    if postgres and _is_whole(name):
        return
    if postgres:
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
    op.create_index(
        name,
        table,
        list(columns),
        postgresql_concurrently=postgres,
        postgresql_where=text(where),
        sqlite_where=text(where),
    )


def drop_index(name: str, table: str) -> None:
    """Drop an index, whole or not; one that is not there is as good as dropped."""
    postgres = op.get_context().dialect.name == "postgresql"
    op.drop_index(name, table, if_exists=True, postgresql_concurrently=postgres)


def _is_whole(index: str) -> bool:
    if context.is_offline_mode():
        return False
    statement = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:index)")
    return bool(op.get_bind().scalar(statement, {"index": index}))
