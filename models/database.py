"""Engine and transactions. Nothing above this door sees a driver's error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, Select, create_engine, event, func, make_url, select, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session as Transaction

from models.errors import SchemaBehind, StoreUnavailable
from models.tables import SCHEMA_REVISIONS, UtcDateTime

SchemaState = Literal["current", "behind", "unreachable"]

_LOOKUPS = 5
"""Connections for single SELECTs, each a millisecond."""
BUSY_TIMEOUT_MS = 15_000
"""How long SQLite waits for another writer."""

_POSTGRES_ARGUMENTS = {
    "application_name": "frontfoot",
    "connect_timeout": 5,
    # A server that vanished without a word is noticed in half a minute, not in the two hours of TCP's own patience.
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_SESSION_SETTINGS = " ".join(
    f"-c {name}={value}"
    for name, value in {
        # Whoever is frozen or cut off in a transaction must not hold its locks, and with them everybody else, for ever.
        "idle_in_transaction_session_timeout": 30_000,
        "lock_timeout": 10_000,
        "tcp_keepalives_idle": 15,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 3,
    }.items()
)
"""For every connection but a migration's, which waits as long as it has to."""
_PASSING_IN_POSTGRES = ("08", "25", "40", "53", "57")
"""Classes of SQLSTATE that say something of the server's state and not of the statement: a failover, a stop."""
_UNDEFINED_IN_POSTGRES = {"42P01", "42703"}  # undefined_table, undefined_column
_UNDEFINED_IN_SQLITE = ("no such table", "no such column", "has no column named")


def normalise_url(url: str) -> str:
    """`postgres://` and `postgresql://` name psycopg2, SQLite stays itself; anything else is a ValueError."""
    scheme, separator, rest = url.partition("://")
    if scheme in {"postgres", "postgresql"}:
        scheme = "postgresql+psycopg2"
    if not separator or scheme not in {"postgresql+psycopg2", "sqlite", "sqlite+pysqlite"}:
        raise ValueError("DATABASE_URL must begin with postgresql:// or sqlite://")
    return f"{scheme}://{rest}"


def make_engine(url: str, session_settings: str = "", **pool: Any) -> Engine:
    """An engine that connects on first use; SQLite is told to behave as a server would.

    `session_settings` are PostgreSQL's, as `-c name=value`; `pool` is how its connections are kept, where it is not as
    usual.

    Its errors quote no values (lease tokens, documents): their text ends up in logs and job rows.
    """
    normalised = make_url(normalise_url(url))
    # NaN is not JSON: SQLite would swallow it and PostgreSQL refuse it, so it stops here for both.
    serializer = partial(json.dumps, allow_nan=False)
    if normalised.get_backend_name() == "postgresql":
        return create_engine(
            normalised,
            # As many as by default, but kept: those above its five would be made anew for every other request.
            **{"pool_pre_ping": True, "pool_size": 15, "max_overflow": 0} | pool,
            json_serializer=serializer,
            hide_parameters=True,
            executemany_mode="values_plus_batch",  # many rows that change at once are one round trip
            connect_args=_POSTGRES_ARGUMENTS | ({"options": session_settings} if session_settings else {}),
        )
    engine = create_engine(normalised, json_serializer=serializer, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Python 3.11's driver begins transactions by its own rules (and none before DDL); we begin them ourselves.
    connection.isolation_level = None
    for pragma in (f"busy_timeout = {BUSY_TIMEOUT_MS}", "journal_mode = WAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later cannot wait for another writer, it can only fail: so those that
    # may write take the write lock at once.
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


class Database:
    """One database, connected on first use. Safe to share between threads, not between processes."""

    def __init__(self, url: str) -> None:
        self.url = normalise_url(url)

    @cached_property
    def engine(self) -> Engine:
        """The pool of connections."""
        return make_engine(self.url, _SESSION_SETTINGS)

    @contextmanager
    def transaction(self, *, read_only: bool = False) -> Iterator[Transaction]:
        """One transaction: committed once at the end, rolled back when anything is raised.

        Raises StoreUnavailable where the database did not answer (or, on SQLite, was locked for too long), and
        SchemaBehind where it lacks what this code needs.
        """
        engine = self.engine.execution_options(read_only=True) if read_only else self.engine
        with _answers(), Transaction(engine, expire_on_commit=False) as transaction, transaction.begin():
            yield transaction

    def look_up(self, statement: Select[Any], parameters: Mapping[str, Any]) -> Row[Any] | None:
        """The only row of a SELECT that is asked for all the time, or None where there is none.

        One round trip on PostgreSQL instead of four: on connections of its own, without a transaction, and without
        asking first whether the connection still lives. If it does not, another one is asked. Raises StoreUnavailable
        and SchemaBehind.
        """
        with _answers():
            try:
                return self._look_up(statement, parameters)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                return self._look_up(statement, parameters)

    def _look_up(self, statement: Select[Any], parameters: Mapping[str, Any]) -> Row[Any] | None:
        with self._lookups.connect() as connection:
            return connection.execute(statement, parameters).one_or_none()

    @cached_property
    def _lookups(self) -> Engine:
        if self.engine.dialect.name != "postgresql":
            return self.engine.execution_options(read_only=True)
        return make_engine(
            self.url, _SESSION_SETTINGS, isolation_level="AUTOCOMMIT", pool_pre_ping=False, pool_size=_LOOKUPS
        )

    def revision(self) -> str | None:
        """The schema's Alembic revision; None where no migration ever ran."""
        try:
            with self.transaction(read_only=True) as transaction:
                revision: str | None = transaction.scalar(text("SELECT version_num FROM alembic_version"))
                return revision
        except SchemaBehind:
            return None

    def close(self) -> None:
        """Close the pool's connections. The object can be used again."""
        self.engine.dispose()
        self._lookups.dispose()


def on_postgres(transaction: Transaction) -> bool:
    """Whether this is PostgreSQL, and not SQLite."""
    return transaction.get_bind().dialect.name == "postgresql"


def shared_now(transaction: Transaction, clock: Callable[[], datetime] | None = None) -> datetime:
    """Now, by a clock that all users of the database share: PostgreSQL's own. Those of SQLite share a machine.

    `clock` replaces it, for tests.
    """
    if clock is not None:
        return clock()
    if on_postgres(transaction):
        return transaction.scalars(select(func.clock_timestamp(type_=UtcDateTime()))).one()
    return datetime.now(UTC)


def schema_state(database: Database) -> SchemaState:
    """Whether this code can work on that schema.

    A revision that this code does not know is newer than the code: while a rolling deployment is under way old code
    goes on working, so that is `current` too.
    """
    try:
        revision = database.revision()
    except StoreUnavailable:
        return "unreachable"
    return "behind" if revision is None or revision in SCHEMA_REVISIONS[:-1] else "current"


@contextmanager
def _answers() -> Iterator[None]:
    """Vendor errors stop here."""
    try:
        yield
    except PoolTimeout as error:
        raise StoreUnavailable("Every database connection was busy.") from error
    except DBAPIError as error:
        if _lacks_schema(error):
            raise SchemaBehind from error
        if _passes(error):
            raise StoreUnavailable("The database did not answer.") from error
        raise


def _passes(error: DBAPIError) -> bool:
    """Whether the same may go well in a moment."""
    state = getattr(error.orig, "pgcode", None) or ""
    return isinstance(error, OperationalError) or error.connection_invalidated or state[:2] in _PASSING_IN_POSTGRES


def _lacks_schema(error: DBAPIError) -> bool:
    if getattr(error.orig, "pgcode", None) in _UNDEFINED_IN_POSTGRES:
        return True
    return isinstance(error, OperationalError) and any(words in str(error.orig) for words in _UNDEFINED_IN_SQLITE)
