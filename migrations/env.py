"""What Alembic runs: connects to DATABASE_URL, or to the `database_url` a caller put into the configuration."""

from __future__ import annotations

from logging.config import fileConfig
from pathlib import Path

from alembic import context
from sqlalchemy import Connection, make_url, text

from frontfoot.settings import Settings
from models.database import make_engine
from models.tables import Row

LOCK_TIMEOUT = "5s"
"""A migration that waits longer for a table gives up: everything behind it would wait too."""
ADVISORY_LOCK = 0x66726F6E74
"""Any number, as long as it is always the same: one migration at a time."""


def _database_url() -> str:
    given = context.config.attributes.get("database_url")
    return str(given) if given else Settings().database_url


def _migrate(connection: Connection) -> None:
    is_postgres = connection.dialect.name == "postgresql"
    if is_postgres:
        # Whoever comes second waits here and then finds nothing left to do. The lock goes with the connection.
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.commit()
    # SQLite has no such lock, but a writer is alone: there one transaction, begun before the version is read, does it.
    context.configure(
        connection=connection,
        target_metadata=Row.metadata,
        transactional_ddl=True,
        transaction_per_migration=is_postgres,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


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
    context.configure(url=url, target_metadata=Row.metadata, literal_binds=True, dialect_opts={"paramstyle": "named"})
    with context.begin_transaction():
        context.run_migrations()


if context.config.config_file_name:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)
if context.is_offline_mode():
    _offline(_database_url())
else:
    _online(_database_url())
