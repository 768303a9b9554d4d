"""What Alembic runs: connects to DATABASE_URL, or to the `database_url` a caller put into the configuration."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from logging.config import fileConfig
from pathlib import Path
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationStep, RevisionStep
from alembic.util import CommandError
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import OperationalError

from frontfoot.settings import Settings
from migrations.locks import LOCK_WAIT_S, PAUSE_S, lock_timeout, patience_s
from models import catalogue_tables  # noqa: F401 - its rows belong to the schema too
from models.database import make_engine
from models.tables import Row

ADVISORY_LOCK = 0x66726F6E74
"""Any number, as long as it is always the same: one migration at a time."""
IN_THE_WAY = {"55P03", "40P01"}
"""lock_not_available, deadlock_detected: somebody else uses a table that is to be changed."""

log = logging.getLogger("alembic.frontfoot")


class Plan:
    """The steps from here to the target, counted once: `-2`, tried again after its first step, ends in the same place.

    Alembic asks for it again at every try; what was committed is not in it any more.
    """

    def __init__(self, resolve: Any) -> None:
        self._resolve = resolve
        self._steps: deque[MigrationStep] | None = None

    def left(self, heads: tuple[str, ...], migration: MigrationContext) -> Iterator[MigrationStep]:
        """The steps that are still to be done; Alembic's `fn`."""
        if self._steps is None:
            self._steps = deque(self._resolve(heads, migration))
            for step in self._steps:
                if isinstance(step, RevisionStep) and step.is_downgrade:
                    log.warning("Going back before %s loses: %s", step.revision.revision, step.revision.module.LOSES)
        while self._steps:
            yield self._steps[0]
            self._steps.popleft()

    @property
    def next(self) -> str:
        """Which revision is, or was, tried."""
        step = self._steps[0] if self._steps else None
        return str(step.revision.revision) if isinstance(step, RevisionStep) else "the next step"


def _database_url() -> str:
    given = context.config.attributes.get("database_url")
    return str(given) if given else Settings().database_url


def _migrate(connection: Connection) -> None:
    is_postgres = connection.dialect.name == "postgresql"
    # SQLite has no such locks, but a writer is alone: there one transaction, begun before the version is read, does it.
    context.configure(
        connection=connection,
        target_metadata=Row.metadata,
        transactional_ddl=True,
        transaction_per_migration=is_postgres,
        compare_type=True,
    )
    migration = context.get_context()
    if migration.opts.get("dont_mutate"):  # `alembic current` looks on, and waits for nobody
        _run()
        return
    plan = Plan(migration._migrations_fn)  # noqa: SLF001 - what Alembic was asked to do has no other name
    migration._migrations_fn = plan.left  # type: ignore[assignment]  # noqa: SLF001 - as above; a stamp is a step too
    if is_postgres:
        _wait_for_others(connection)
        _run_patiently(connection, plan)
    else:
        _run()


def _run() -> None:
    with context.begin_transaction():
        context.run_migrations()


def _wait_for_others(connection: Connection) -> None:
    """One migration at a time: whoever comes second finds nothing left to do. The lock goes with the connection.

    It is asked for again and again: a statement that waits for it would be an old transaction, for whose end the
    other's `CREATE INDEX CONCURRENTLY` would wait in turn.
    """
    waiting = False
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": ADVISORY_LOCK}):
        connection.commit()
        if not waiting:
            log.warning("Another migration is running: waiting for its end")
        waiting = True
        time.sleep(0.2)
    connection.commit()


def _run_patiently(connection: Connection, plan: Plan) -> None:
    """Every revision in a transaction of its own, tried again while somebody uses what it is to change."""
    trying, until = "", 0.0
    while True:
        # Its own patience, not the one that the role or the database were given: an index takes the time it takes.
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text(lock_timeout(LOCK_WAIT_S)))
        connection.commit()
        try:
            return _run()
        except OperationalError as error:
            if getattr(error.orig, "pgcode", None) not in IN_THE_WAY:
                raise
            connection.rollback()
            if trying != plan.next:
                trying, until = plan.next, time.monotonic() + patience_s()
            if time.monotonic() >= until:
                raise CommandError(
                    f"{trying} was given up after {patience_s():.0f} s: another session uses what it is to change. "
                    "What was to be done before it is done; of itself nothing is, but for indexes that are whole. "
                    "Look into pg_stat_activity for old transactions, and begin again."
                ) from error
        log.warning("Another session uses what %s is to change: trying again", trying)
        time.sleep(PAUSE_S)


def _online(url: str) -> None:
    path = make_url(url).database
    if url.startswith("sqlite") and path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            _migrate(connection)
    finally:
        engine.dispose()


def _offline(url: str) -> None:
    context.configure(
        url=url,
        target_metadata=Row.metadata,
        transaction_per_migration=True,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
    )
    if url.startswith("postgres"):
        context.execute(lock_timeout(LOCK_WAIT_S))
    with context.begin_transaction():
        context.run_migrations()


if context.config.config_file_name:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)
if context.is_offline_mode():
    _offline(_database_url())
else:
    _online(_database_url())
