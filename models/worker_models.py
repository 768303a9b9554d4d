"""What each worker says of its model: which one it runs, which it should, and why it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast

from sqlalchemy import delete, select
from sqlalchemy.orm import Session as Transaction

from models.catalogue_tables import WorkerModelRow
from models.database import Database, shared_now

WorkerState = Literal["ready", "loading", "emptying", "failed"]
"""`ready`: new jobs run on `model` · `loading` `wanted` · `emptying`: jobs that run must end before `wanted` can
be loaded; none is claimed where `model` is None · `failed`: `wanted` could not be loaded, so `model` stays."""

CanaryState = Literal["ready", "loading", "failed", "no_room"]
"""`ready`: its athletes' jobs run on it here · `failed`: it could not be loaded · `no_room`: there is none for two.
Where it is not `ready`, all jobs run on `model`."""

SILENT = timedelta(minutes=2)
"""After so long without a word a worker is no longer listed."""
FORGOTTEN = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerModel:
    """One worker's word."""

    worker_id: str
    follows: str | None
    """The alias; None: it stays with what it loaded when it started."""
    model: str | None
    """`name@version` that new jobs get; None while there is none."""
    state: WorkerState
    wanted: str | None = None
    """What the alias means, where that is another one."""
    error_code: str | None = None
    error_message: str | None = None
    """Why `wanted`, or else `canary`, could not be loaded the last time."""
    canary: str | None = None
    """`name@version` that is to measure a share of the athletes."""
    canary_state: CanaryState | None = None

    def concerns(self, model: str) -> bool:
        """Whether the worker runs `model`, or should."""
        return model in {self.model, self.wanted, self.canary}

    def gives(self, model: str) -> bool:
        """Whether jobs that mean `model` can be measured here, or as soon as it is loaded."""
        coming = self.wanted == model and self.state != "failed"
        beside = self.canary == model and self.canary_state in {"ready", "loading"}
        return self.model == model or coming or beside


class WorkerModels:
    """Every SQL statement about these words."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] | None = None) -> None:
        """`clock` replaces the database's, for tests: whoever listens must not be deceived by a worker's own."""
        self._database = database
        self._clock = clock

    def say(self, report: WorkerModel) -> None:
        """Write a worker's word in place of its last one; those of the long dead go. Raises StoreUnavailable."""
        with self._database.transaction() as transaction:
            now = shared_now(transaction, self._clock)
            transaction.execute(delete(WorkerModelRow).where(WorkerModelRow.said_at < now - FORGOTTEN))
            row = transaction.get(WorkerModelRow, report.worker_id)
            if row is None:
                row = WorkerModelRow(worker_id=report.worker_id)
                transaction.add(row)
            row.follows, row.model, row.state, row.wanted = report.follows, report.model, report.state, report.wanted
            row.error_code, row.error_message = report.error_code, report.error_message
            row.canary, row.canary_state = report.canary, report.canary_state
            row.said_at = now

    def forget(self, worker_id: str) -> None:
        """The worker has stopped. Raises StoreUnavailable."""
        with self._database.transaction() as transaction:
            transaction.execute(delete(WorkerModelRow).where(WorkerModelRow.worker_id == worker_id))

    def list(self) -> tuple[WorkerModel, ...]:
        """What workers said that were heard of within `SILENT`, by their ids. Raises StoreUnavailable."""
        with self._database.transaction(read_only=True) as transaction:
            return heard(transaction, shared_now(transaction, self._clock))


def heard(transaction: Transaction, now: datetime) -> tuple[WorkerModel, ...]:
    """See `WorkerModels.list`; within a transaction, for whoever claims a job."""
    row = WorkerModelRow
    living = select(row).where(row.said_at >= now - SILENT).order_by(row.worker_id)
    return tuple(_value(found) for found in transaction.scalars(living))


def _value(row: WorkerModelRow) -> WorkerModel:
    return WorkerModel(
        worker_id=row.worker_id,
        follows=row.follows,
        model=row.model,
        state=cast("WorkerState", row.state),
        wanted=row.wanted,
        error_code=row.error_code,
        error_message=row.error_message,
        canary=row.canary,
        canary_state=cast("CanaryState | None", row.canary_state),
    )
