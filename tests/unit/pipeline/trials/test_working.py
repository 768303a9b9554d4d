"""Which finished jobs a shadow takes, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hooked_jobs import Nets

from models.jobs import Owner
from models.queue import JobQueue
from models.storage import Storage, StorageOptions
from models.trials import Trials, in_sample
from pipeline.trials.working import SETTLED, Sampler

NET = "net@2"
BEGAN = datetime(2026, 5, 4, 9, tzinfo=UTC)


@pytest.fixture
def storage(sqlite_url: str, tmp_path: Path) -> Iterator[Storage]:
    opened = StorageOptions(database_url=sqlite_url, folder=tmp_path / "artifacts").open()
    yield opened
    opened.close()


def done(storage: Storage, at: datetime) -> str:
    queue = JobQueue(storage.database, clock=lambda: at)
    return Nets(queue, Owner(owner_type="coach", owner_id="jane")).done(url=None).id


def test_what_finished_before_is_left_out_and_nothing_is_taken_twice(storage: Storage) -> None:
    early, first = done(storage, BEGAN - timedelta(hours=1)), done(storage, BEGAN)
    sampler = Sampler(storage, Trials(storage.database), NET, share=1.0, since=BEGAN)
    assert (sampler(), sampler()) == (1, 0)
    late = done(storage, BEGAN + timedelta(hours=1))
    committed_late = done(storage, BEGAN + timedelta(hours=1) - SETTLED)
    assert (sampler(), sampler()) == (2, 0)
    seen_late = done(storage, BEGAN + timedelta(hours=1) - SETTLED / 2)
    assert sampler() == 1
    taken = {claimed.job_id for _ in range(5) if (claimed := Trials(storage.database).claim(NET, "shadow"))}
    assert taken == {first, late, committed_late, seen_late}
    assert early not in taken


def test_a_share_is_of_the_jobs_that_finish(storage: Storage) -> None:
    jobs = [done(storage, BEGAN) for _ in range(20)]
    wanted = sum(in_sample(job, 0.4) for job in jobs)
    assert Sampler(storage, Trials(storage.database), NET, share=0.4, since=BEGAN)() == wanted
