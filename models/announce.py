"""What a change of a job sets off, in the transaction that makes it: wake-ups on PostgreSQL, webhooks in the outbox."""

from __future__ import annotations

from sqlalchemy import ARRAY, Text, func, literal, select
from sqlalchemy.orm import Session as Transaction

from models.events import record
from models.tables import VideoAnalysisJob

JOBS_CHANNEL = "frontfoot_jobs"
"""Says the id of a job that changed: for whoever watches jobs."""
QUEUE_CHANNEL = "frontfoot_queue"
"""Says that there is something to claim: for workers that wait."""
MODELS_CHANNEL = "frontfoot_models"
"""Says the name of an alias that has moved: for workers that follow one."""


def announce(transaction: Transaction, *rows: VideoAnalysisJob) -> None:
    """These jobs have changed in a way that somebody may wait for: their state, their progress, a cancel request."""
    for row in rows:
        record(transaction, row)
    _notify(transaction, JOBS_CHANNEL, [row.id for row in rows])


def wake_workers(transaction: Transaction) -> None:
    """There is something to claim."""
    _notify(transaction, QUEUE_CHANNEL, [""])


def alias_moved(transaction: Transaction, alias: str) -> None:
    """An alias means another version from this transaction on."""
    _notify(transaction, MODELS_CHANNEL, [alias])


def _notify(transaction: Transaction, channel: str, payloads: list[str]) -> None:
    # PostgreSQL sends it at the commit, once however often it is said; SQLite has nothing of the kind.
    if transaction.get_bind().dialect.name == "postgresql":
        transaction.execute(select(func.pg_notify(channel, func.unnest(literal(payloads, ARRAY(Text))))))
