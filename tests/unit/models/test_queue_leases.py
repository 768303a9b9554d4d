from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest
from queueing import claimed, document, in_deep
from sqlalchemy import text

import models.database
import models.queue
import models.sessions
from models.database import Database
from models.errors import LeaseLost
from models.jobs import Beat, BeatReply, ClaimedJob, Owner
from models.queue import JobQueue


class _HoursAhead(datetime):
    """The clock of a machine that nobody set."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override] - an ordinary moment is what is wanted
        return datetime.now(tz) + timedelta(hours=5)


def beat(queue: JobQueue, job: ClaimedJob, progress_pct: float = 1) -> BeatReply:
    return queue.beat([Beat(lease=job.lease, progress_pct=progress_pct)])[job.lease.token]


HELD = BeatReply(held=True, cancel_requested=False)
LOST = BeatReply(held=False, cancel_requested=False)


class TestBeat:
    def test_it_renews_the_lease(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        job = claimed(queue, jane)
        now = clock.forward(59)
        assert beat(queue, job) == HELD
        assert queue.summary(jane, job.id).lease_expires_at == now + timedelta(seconds=60)
        clock.forward(59)
        assert queue.requeue_expired() == 0

    def test_all_of_a_worker_at_once(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        jobs = [claimed(queue, jane) for _ in range(5)]
        lost, wanted = jobs[1], jobs[3]
        queue.fail(lost.lease, "no_person", "Nobody was seen.", transient=False)
        queue.cancel(jane, wanted.id)
        now = clock.forward(30)
        replies = queue.beat([Beat(lease=job.lease, progress_pct=index) for index, job in enumerate(jobs)])
        expected = dict.fromkeys((job.lease.token for job in jobs), HELD)
        expected[lost.lease.token] = LOST
        expected[wanted.lease.token] = BeatReply(held=True, cancel_requested=True)
        assert replies == expected
        shown = [queue.summary(jane, job.id) for job in jobs]
        assert [job.progress_pct for job in shown] == [0, 0, 2, 3, 4]
        assert {job.lease_expires_at for job in shown if job.id != lost.id} == {now + timedelta(seconds=60)}
        assert queue.beat([]) == {}

    def test_progress_stays_in_its_stage_and_never_goes_back(self, queue: JobQueue, jane: Owner) -> None:
        job = claimed(queue, jane)

        def shown(progress: float) -> int:
            beat(queue, job, progress)
            return queue.summary(jane, job.id).progress_pct

        assert [shown(progress) for progress in (-5, 12.9, 7, 80)] == [0, 12, 12, 50]
        queue.save_quick(job.lease, document=document("quick"), s3_key="k")
        assert shown(99) == 50
        queue.start_deep(job.lease)
        assert [shown(progress) for progress in (3, 77, 60, 250)] == [50, 77, 77, 99]

    def test_only_progress_is_a_change_that_is_shown(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        job = claimed(queue, jane)
        moved = clock.forward(5)
        beat(queue, job, 20)
        clock.forward(5)
        beat(queue, job, 20)
        shown = queue.summary(jane, job.id)
        assert (shown.progress_updated_at, shown.updated_at) == (moved, moved)

    def test_progress_is_a_number(self, queue: JobQueue, jane: Owner) -> None:
        lease = claimed(queue, jane).lease
        for nonsense in (float("nan"), float("inf")):
            with pytest.raises(ValueError, match="finite"):
                Beat(lease=lease, progress_pct=nonsense)

    def test_it_brings_the_wish_to_cancel(self, queue: JobQueue, jane: Owner) -> None:
        job = claimed(queue, jane)
        assert beat(queue, job) == HELD
        assert queue.cancel(jane, job.id).status == "quick_running"
        assert beat(queue, job) == BeatReply(held=True, cancel_requested=True)
        queue.mark_canceled(job.lease)
        assert beat(queue, job) == BeatReply(held=False, cancel_requested=True)

    def test_two_leases_of_one_job_are_told_apart(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        late = claimed(queue, jane)
        clock.forward(71)
        assert queue.requeue_expired() == 1
        current = queue.claim("worker-1")
        assert current is not None
        assert current.id == late.id
        beats = [Beat(lease=job.lease, progress_pct=9) for job in (current, late)]
        assert queue.beat(beats) == {late.lease.token: LOST, current.lease.token: HELD}
        assert queue.beat(beats[::-1]) == {late.lease.token: LOST, current.lease.token: HELD}

    def test_a_row_that_somebody_writes_holds_up_no_other(self, postgres_url: str, jane: Owner) -> None:
        database = Database(postgres_url)
        queue = JobQueue(database)
        busy, free = claimed(queue, jane), claimed(queue, jane)
        before = {job.id: queue.summary(jane, job.id).lease_expires_at for job in (busy, free)}
        with database.transaction() as transaction:
            transaction.execute(text("UPDATE video_analysis_jobs SET options = '{}' WHERE id = :id"), {"id": busy.id})
            replies = queue.beat([Beat(lease=job.lease, progress_pct=1) for job in (busy, free)])
        assert replies == {busy.lease.token: HELD, free.lease.token: HELD}
        renewed = {job.id: queue.summary(jane, job.id).lease_expires_at for job in (busy, free)}
        assert renewed[busy.id] == before[busy.id]
        assert renewed[free.id] != before[free.id]
        database.close()


class TestClock:
    """Leases are the database's business: a worker whose own clock is wrong takes nothing from anybody."""

    def test_the_databases_on_postgresql(self, postgres_url: str, jane: Owner, monkeypatch: Any) -> None:
        database = Database(postgres_url)
        job = claimed(JobQueue(database), jane)
        for module in (models.database, models.sessions):
            monkeypatch.setattr(module, "datetime", _HoursAhead)
        queue = JobQueue(database, lease_s=0.5)
        assert queue.requeue_expired() == 0
        beat(queue, job)
        expires = queue.summary(jane, job.id).lease_expires_at
        assert expires is not None
        assert abs(expires - datetime.now(UTC)) < timedelta(seconds=20)
        database.close()

    def test_nothing_is_taken_while_the_server_has_just_come_back(self, postgres_url: str, jane: Owner) -> None:
        database = Database(postgres_url)
        job = claimed(JobQueue(database), jane)
        with database.transaction() as transaction:
            transaction.execute(text("UPDATE video_analysis_jobs SET lease_expires_at = now() - interval '2 days'"))
        half = timedelta(days=1)  # of a lease: the server has not been up for so long
        assert JobQueue(database, lease_s=2 * half.total_seconds()).requeue_expired() == 0
        assert JobQueue(database, lease_s=0.01).requeue_expired() == 1
        assert JobQueue(database).summary(jane, job.id).status == "queued"
        database.close()


class TestLostLease:
    def test_whoever_lost_it_changes_nothing(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        late = in_deep(queue, jane)
        clock.forward(71)
        assert queue.requeue_expired() == 1
        current = queue.claim("worker-2")
        assert current is not None
        assert current.id == late.id
        before = queue.get(jane, late.id)
        for act in (
            lambda: queue.save_quick(late.lease, document=document("late"), s3_key="late"),
            lambda: queue.start_deep(late.lease),
            lambda: queue.finish(late.lease, stage="deep", document=document("late"), s3_key="late"),
            lambda: queue.finish(late.lease, stage="deep", document={}, s3_key="late"),
            lambda: queue.fail(late.lease, "code", "message", transient=False),
            lambda: queue.release(late.lease),
            lambda: queue.mark_canceled(late.lease),
        ):
            with pytest.raises(LeaseLost):
                act()
        assert queue.get(jane, late.id) == before
        queue.save_quick(current.lease, document=document("quick"), s3_key="k")

    def test_a_lease_that_nobody_took_over_still_finishes(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        job = in_deep(queue, jane)
        clock.forward(3600)
        queue.finish(job.lease, stage="deep", document=document("deep"), s3_key="k")
        assert queue.requeue_expired() == 0
        assert queue.summary(jane, job.id).status == "done"

    def test_a_deleted_job_is_lost(self, queue: JobQueue, jane: Owner, database: Database) -> None:
        job = claimed(queue, jane)
        with database.transaction() as transaction:
            transaction.execute(text("DELETE FROM video_sessions"))
            assert transaction.scalar(text("SELECT count(*) FROM video_analysis_jobs")) == 0
        assert beat(queue, job) == LOST
        with pytest.raises(LeaseLost):
            queue.release(job.lease)


class TestExpiry:
    def test_silent_workers_lose_their_jobs(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        jobs = [claimed(queue, jane), in_deep(queue, jane)]
        clock.forward(70)  # a lease, and half a beat in which living workers come first after an outage
        assert queue.requeue_expired() == 0
        clock.forward(0.001)
        assert queue.requeue_expired() == 2
        for job in jobs:
            again = queue.summary(jane, job.id)
            assert (again.status, again.available_at, again.attempt) == ("queued", clock.now, 1)
            assert again.history[0]["error_code"] == "lease_expired"
            assert queue.get_session(jane, again.session_id).status == "uploaded"
        assert queue.requeue_expired() == 0

    def test_one_sweep_takes_so_many_and_the_next_goes_on(
        self, queue: JobQueue, jane: Owner, clock: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(models.queue, "SWEPT", 3)
        for _ in range(5):
            claimed(queue, jane)
        clock.forward(71)
        assert [queue.requeue_expired() for _ in range(3)] == [3, 2, 0]

    def test_a_job_that_kills_its_workers_ends(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        job = claimed(queue, jane)
        for _ in range(2):
            clock.forward(71)
            assert queue.requeue_expired() == 1
            assert queue.claim("w") is not None
        clock.forward(71)
        assert queue.requeue_expired() == 1
        failed = queue.summary(jane, job.id)
        assert (failed.status, failed.error_code) == ("failed", "lease_expired")

    def test_a_canceled_job_is_not_begun_again(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        job = claimed(queue, jane)
        queue.cancel(jane, job.id)
        clock.forward(71)
        assert queue.requeue_expired() == 1
        assert queue.summary(jane, job.id).status == "canceled"
