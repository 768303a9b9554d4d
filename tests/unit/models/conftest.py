"""A queue on a database of its own, with a clock that the test turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hooked_jobs import Nets

from models.database import Database
from models.jobs import Owner
from models.outbox import Outbox
from models.queue import JobQueue


@dataclass
class Clock:
    """Stands still until told otherwise."""

    now: datetime = field(default=datetime(2026, 5, 4, 9, 30, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def queue(database: Database, clock: Clock) -> JobQueue:
    """Leases of a minute, three attempts; back-off always waits its longest."""
    return JobQueue(database, clock=clock, uniform=lambda _, longest: longest)


@pytest.fixture
def jane() -> Owner:
    return Owner(owner_type="coach", owner_id="jane")


@pytest.fixture
def nets(queue: JobQueue, jane: Owner) -> Nets:
    return Nets(queue, jane)


@pytest.fixture
def outbox(database: Database, clock: Clock) -> Outbox:
    """Waits always their longest."""
    return Outbox(database, clock=clock, uniform=lambda _, longest: longest)
