"""What a change says on PostgreSQL, at its commit: which job changed, and that there is something to claim."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from queueing import claimed, document, in_deep, submitted

from models.announce import JOBS_CHANNEL, QUEUE_CHANNEL
from models.database import Database
from models.jobs import Beat, Owner
from models.queue import JobQueue


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    database = Database(postgres_url)
    yield database
    database.close()


@pytest.fixture
def heard(postgres_url: str) -> Iterator[Callable[[], list[tuple[str, str]]]]:
    """What was said since it was asked last."""
    with closing(psycopg2.connect(postgres_url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for channel in (JOBS_CHANNEL, QUEUE_CHANNEL):
            cursor.execute(f"LISTEN {channel}")

        def ask() -> list[tuple[str, str]]:
            # What was committed before comes before it.
            cursor.execute("SELECT pg_notify(%s, 'end')", (QUEUE_CHANNEL,))
            said = [(notice.channel, notice.payload) for notice in connection.notifies]
            connection.notifies.clear()
            assert said.pop() == (QUEUE_CHANNEL, "end")
            return said

        yield ask


WORK = (QUEUE_CHANNEL, "")


def changed(job: Any) -> tuple[str, str]:
    return (JOBS_CHANNEL, job.id)


def test_every_state_on_the_way_to_the_end(queue: JobQueue, jane: Owner, heard: Any) -> None:
    submitted(queue, jane)
    assert WORK in heard()
    job = queue.claim("w")
    assert heard() == [changed(job)]
    assert job is not None
    queue.save_quick(job.lease, document=document("quick"), s3_key="k")
    assert heard() == [changed(job)]
    queue.start_deep(job.lease)
    assert heard() == [changed(job)]
    queue.finish(job.lease, stage="deep", document=document("deep"), s3_key="k")
    assert heard() == [changed(job)]


def test_beats_say_nothing_but_progress(queue: JobQueue, jane: Owner, heard: Any) -> None:
    jobs = [claimed(queue, jane) for _ in range(3)]
    heard()
    for _ in range(3):
        queue.beat([Beat(lease=job.lease, progress_pct=0) for job in jobs])
    assert heard() == []
    for _ in range(3):
        queue.beat([Beat(lease=job.lease, progress_pct=10 * index) for index, job in enumerate(jobs)])
    assert sorted(heard()) == sorted(map(changed, jobs[1:]))


def test_what_may_be_claimed_at_once_wakes_workers(queue: JobQueue, jane: Owner, clock: Any, heard: Any) -> None:
    job = claimed(queue, jane)
    heard()
    queue.release(job.lease)
    assert heard() == [changed(job), WORK]
    again = queue.claim("w")
    assert again is not None
    heard()
    clock.forward(71)
    queue.requeue_expired()
    assert heard() == [changed(job), WORK]
    last = queue.claim("w")
    assert last is not None
    heard()
    queue.fail(last.lease, "actor_died", "gone", transient=True)
    assert heard() == [changed(job)]  # nothing to claim before its back-off is over


def test_ends_of_all_kinds(queue: JobQueue, jane: Owner, heard: Any) -> None:
    failed, canceled, missing = claimed(queue, jane), claimed(queue, jane), in_deep(queue, jane)
    heard()
    queue.fail(failed.lease, "no_person", "Nobody was seen.", transient=False)
    assert heard() == [changed(failed)]
    queue.cancel(jane, canceled.id)
    assert heard() == [changed(canceled)]
    queue.mark_canceled(canceled.lease)
    assert heard() == [changed(canceled)]
    with pytest.raises(Exception, match="findings=MISSING"):
        queue.finish(missing.lease, stage="deep", document={}, s3_key="k")
    assert heard() == [changed(missing)]


def test_whoever_admits_many_wakes_those_that_found_them_locked(queue: JobQueue, jane: Owner, heard: Any) -> None:
    submitted(queue, jane)
    heard()
    job = queue.claim("w")
    assert heard() == [changed(job)]
    for _ in range(2):
        submitted(queue, jane)
    heard()
    job = queue.claim("w")
    assert heard() == [WORK, changed(job)]
