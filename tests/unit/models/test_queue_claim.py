from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from queueing import claimed, submitted
from sqlalchemy import event, insert, select, text, update

import models.claims
from models import lanes
from models.database import Database
from models.jobs import Job, Owner
from models.queue import JobQueue
from models.tables import ADMITTED, VideoAnalysisJob


class TestClaim:
    def test_priority_then_age(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        order = []
        for priority in (0, 5, 0, 5, -1):
            order.append((priority, submitted(queue, jane, priority=priority).id))
            clock.forward(1)
        expected = [order[index][1] for index in (1, 3, 0, 2, 4)]
        assert [queue.claim("w").id for _ in order] == expected  # type: ignore[union-attr]
        assert queue.claim("w") is None

    def test_what_a_claim_changes(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        submitted(queue, jane)
        now = clock.forward(10)
        job = queue.claim("worker-1")
        assert job is not None
        assert (job.job.status, job.job.stage, job.job.progress_pct, job.attempt) == ("quick_running", "QUICK", 0, 1)
        assert job.job.started_at == job.job.quick_started_at == now
        assert job.job.lease_expires_at == now + timedelta(seconds=60)
        assert job.job.worker_id == "worker-1"
        assert queue.get_session(jane, job.job.session_id).status == "processing"

    def test_started_at_is_the_first_start(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        first = claimed(queue, jane)
        queue.fail(first.lease, "actor_died", "gone", transient=True)
        clock.forward(100)
        second = queue.claim("worker-2")
        assert second is not None
        assert (second.attempt, second.job.started_at) == (2, first.job.started_at)
        assert second.lease.token != first.lease.token

    def test_a_row_without_mode_is_claimed_and_says_so(self, queue: JobQueue, jane: Owner, database: Database) -> None:
        submitted(queue, jane)
        with database.transaction() as transaction:
            transaction.execute(update(VideoAnalysisJob).values(analysis_mode=None))
        job = queue.claim("w")
        assert job is not None
        assert job.job.analysis_mode is None
        with pytest.raises(ValueError, match="analysis_mode"):
            job.job.request()


class TestTurns:
    def test_the_owner_least_recently_served_comes_first(self, queue: JobQueue, clock: Any) -> None:
        first = {name: [submitted(queue, coach(name)).id for _ in range(3)] for name in "abc"}
        assert served(queue, clock, 9) == ["a", "b", "c"] * 3
        assert queue.claim("w") is None
        assert sum(map(len, first.values())) == 9

    def test_thousands_of_one_do_not_starve_the_one_of_another(
        self, queue: JobQueue, clock: Any, database: Database
    ) -> None:
        many(queue, database, coach("greedy"), 2500)
        assert served(queue, clock, 3) == ["greedy"] * 3
        submitted(queue, coach("modest"))
        assert served(queue, clock, 3) == ["modest", "greedy", "greedy"]

    def test_among_owners_who_were_never_served_the_oldest_job(self, queue: JobQueue, clock: Any) -> None:
        for name in "zyx":
            submitted(queue, coach(name))
            clock.forward(1)
        assert served(queue, clock, 3) == ["z", "y", "x"]

    def test_a_turn_at_one_priority_counts_at_all(self, queue: JobQueue, clock: Any) -> None:
        for name in "ab":
            for priority in (0, 5):
                submitted(queue, coach(name), priority=priority)
                clock.forward(1)
        submitted(queue, coach("b"), priority=9)
        # b has had its turn at 9, so that at 5 it is a's; and so it goes on at 0.
        assert served(queue, clock, 5) == ["b", "a", "b", "a", "b"]

    def test_a_turn_is_remembered_while_the_owner_has_nothing_to_do(self, queue: JobQueue, clock: Any) -> None:
        for name in "ab":
            submitted(queue, coach(name))
            clock.forward(1)
        assert served(queue, clock, 2) == ["a", "b"]
        for name in "ba":
            submitted(queue, coach(name))
            submitted(queue, coach(name), priority=1)
            clock.forward(1)
        assert served(queue, clock, 4) == ["a", "b", "a", "b"]

    def test_an_org_is_not_the_coach_of_its_name(self, queue: JobQueue, clock: Any) -> None:
        for kind in ("coach", "org"):
            submitted(queue, Owner(owner_type=kind, owner_id="same"))  # type: ignore[arg-type] - both are owner types
            submitted(queue, Owner(owner_type=kind, owner_id="same"))  # type: ignore[arg-type] - both are owner types
        kinds = []
        for _ in range(4):
            job = queue.claim("w")
            assert job is not None
            kinds.append(job.job.owner_type)
            clock.forward(1)
        assert kinds == ["coach", "org", "coach", "org"]


class TestAbove:
    """A worker without room for any job looks for those that are more urgent than what it does."""

    @pytest.mark.parametrize("in_lanes", [False, True])
    def test_only_jobs_of_a_higher_priority_are_claimed(
        self, queue: JobQueue, jane: Owner, clock: Any, in_lanes: bool
    ) -> None:
        jobs = {}
        for priority in (0, 5, -3, 1):
            jobs[priority] = submitted(queue, jane, priority=priority).id
            clock.forward(1)
        if in_lanes:
            submitted(queue, jane, priority=9)
            assert queue.claim("w") is not None
        found = [(above, queue.claim("w", above=above)) for above in (5, 1, 1, 0, 0, -3)]
        assert [(above, job and job.id) for above, job in found] == [
            (5, None),
            (1, jobs[5]),
            (1, None),
            (0, jobs[1]),
            (0, None),
            (-3, jobs[0]),
        ]
        assert drained(queue) == [jobs[-3]]

    def test_owners_take_turns_there_too(self, queue: JobQueue, clock: Any) -> None:
        for name in "ab":
            for _ in range(2):
                submitted(queue, coach(name), priority=1)
            submitted(queue, coach(name))
            clock.forward(1)
        owners = []
        for _ in range(4):
            job = queue.claim("w", above=0)
            assert job is not None
            owners.append(job.job.owner_id)
            clock.forward(1)
        assert owners == ["a", "b", "a", "b"]
        assert queue.claim("w", above=0) is None
        assert served(queue, clock, 2) == ["a", "b"]

    def test_what_waits_to_be_admitted_does_not_wait_for_the_less_urgent(
        self, queue: JobQueue, jane: Owner, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lanes, "BATCH", 2)
        many(queue, database, jane, 9)
        urgent = submitted(queue, jane, priority=3)
        assert queue.claim("w", above=3) is None
        assert admitted(database) == 0, "it is for nobody who asks for more urgent ones"
        job = queue.claim("w", above=2)
        assert job is not None
        assert job.id == urgent.id
        assert admitted(database) == 0

    def test_a_retry_that_is_not_due_is_not_claimed(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        submitted(queue, jane, priority=3)
        job = queue.claim("w", above=0)
        assert job is not None
        queue.fail(job.lease, "actor_died", "gone", transient=True)
        assert queue.claim("w", above=0) is None
        clock.forward(5)
        assert queue.claim("w", above=0) is not None


class TestAdmission:
    def test_what_v010_left_in_the_queue_is_adopted(self, queue: JobQueue, jane: Owner, database: Database) -> None:
        """It inserts without the new columns; and what it claims and puts back was admitted for an attempt before."""
        job = claimed(queue, jane)
        with database.transaction() as transaction:
            transaction.execute(update(VideoAnalysisJob).values(status="queued", stage="QUEUED", lease_token=None))
        again = queue.claim("w")
        assert again is not None
        assert (again.id, again.attempt) == (job.id, 2)
        with database.transaction() as transaction:
            values = {"status": "queued", "attempt": 0, "admitted_attempt": None, "crashes": None, "tags": None}
            transaction.execute(update(VideoAnalysisJob).values(values))
        inserted = queue.claim("w")
        assert inserted is not None
        assert (inserted.id, inserted.attempt, inserted.job.crashes) == (job.id, 1, 0)

    def test_what_v010_takes_out_of_a_lane_leaves_it_to_the_next(
        self, queue: JobQueue, jane: Owner, database: Database
    ) -> None:
        ids = [submitted(queue, jane).id for _ in range(3)]
        first = queue.claim("w")
        assert first is not None
        taken = update(VideoAnalysisJob).where(VideoAnalysisJob.status == "queued")
        with database.transaction() as transaction:
            left = min(set(ids) - {first.id})
            values = {"status": "quick_running", "attempt": 1, "lease_token": "theirs"}
            transaction.execute(taken.where(VideoAnalysisJob.id != left).values(values))
        last = queue.claim("w")
        assert last is not None
        assert last.id == left
        assert queue.claim("w") is None

    def test_a_claim_admits_so_many_the_most_urgent_first(
        self, queue: JobQueue, jane: Owner, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lanes, "BATCH", 2)
        monkeypatch.setattr(models.claims, "ROUNDS", 2)
        many(queue, database, jane, 9)
        urgent = submitted(queue, jane, priority=3)
        first = queue.claim("w")
        assert first is not None
        assert first.id == urgent.id
        assert admitted(database) == 3
        assert len(drained(queue)) == 9

    def test_a_retry_waits_its_time_and_keeps_its_age(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        job = claimed(queue, jane)
        clock.forward(1)
        younger = submitted(queue, jane)
        queue.fail(job.lease, "actor_died", "gone", transient=True)
        clock.forward(5)
        assert drained(queue) == [job.id, younger.id]


class TestStaleLanes:
    def test_lanes_without_jobs_are_passed_and_put_to_rest(
        self, queue: JobQueue, clock: Any, database: Database
    ) -> None:
        gone = [submitted(queue, coach(name)) for name in "abc"]
        clock.forward(1)
        kept = in_order(queue, clock, coach("d"))
        urgent = submitted(queue, coach("e"), priority=1)
        assert drained(queue, 1) == [urgent.id]  # by now all are in their lanes
        for job in gone:
            queue.cancel(job.owner, job.id)
        assert waiting(database) == 4
        assert drained(queue, 1) == [kept[0].id]
        assert queue.tidy_lanes() == 3
        assert waiting(database) == 1
        assert queue.tidy_lanes() == 0
        assert drained(queue) == [kept[1].id]

    def test_a_claim_in_vain_tidies(self, queue: JobQueue, jane: Owner, clock: Any, database: Database) -> None:
        job, other = in_order(queue, clock, jane)
        assert drained(queue, 1) == [job.id]
        queue.cancel(jane, other.id)
        assert waiting(database) == 1
        assert queue.claim("w") is None
        assert waiting(database) == 0

    def test_a_sweep_tidies(self, queue: JobQueue, jane: Owner, clock: Any, database: Database) -> None:
        jobs = in_order(queue, clock, jane)
        drained(queue, 1)
        queue.cancel(jane, jobs[1].id)
        queue.requeue_expired()
        assert waiting(database) == 0

    def test_a_lane_that_rested_is_roused(self, queue: JobQueue, jane: Owner) -> None:
        for _ in range(3):
            job = submitted(queue, jane)
            assert drained(queue) == [job.id]

    def test_a_canceled_job_that_is_retried_is_claimed(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        jobs = in_order(queue, clock, jane)
        drained(queue, 1)
        queue.cancel(jane, jobs[1].id)
        assert queue.claim("w") is None
        queue.retry(jane, jobs[1].id)
        assert drained(queue) == [jobs[1].id]

    def test_a_job_that_a_hand_put_back_is_not_forgotten(
        self, queue: JobQueue, jane: Owner, clock: Any, database: Database
    ) -> None:
        """Canceled while it was admitted, and made `queued` with SQL: its lane rests."""
        jobs = in_order(queue, clock, jane)
        drained(queue, 1)
        queue.cancel(jane, jobs[1].id)
        assert queue.claim("w") is None
        with database.transaction() as transaction:
            chosen = update(VideoAnalysisJob).where(VideoAnalysisJob.id == jobs[1].id)
            transaction.execute(chosen.values(status="queued", cancel_requested_at=None))
        assert [queue.claim("w"), *drained(queue)] == [None, jobs[1].id]


class TestLooks:
    def test_sqlite_reads_by_its_indexes(self, sqlite_url: str, jane: Owner) -> None:
        database = Database(sqlite_url)
        queue = JobQueue(database)
        many(queue, database, jane, 50)
        looks: list[str] = []

        def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
            if statement.startswith(("SELECT", "UPDATE", "INSERT")):
                cursor = connection.connection.cursor()
                looks.extend(row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))
                cursor.close()

        event.listen(database.engine, "before_cursor_execute", explain)
        drained(queue, 2)
        submitted(queue, jane, priority=1)
        assert queue.claim("w", above=0)
        tables = ("video_analysis_jobs", "queue_lanes", "video_sessions", "job")
        assert not [
            look
            for look in looks
            if look.startswith(tuple(f"SCAN {table}" for table in tables)) and "USING" not in look
        ]
        assert any("ix_queue_lanes_turn" in look for look in looks)
        assert any("ix_video_analysis_jobs_lane" in look for look in looks)
        database.close()


def coach(name: str) -> Owner:
    return Owner(owner_type="coach", owner_id=name)


def in_order(queue: JobQueue, clock: Any, owner: Owner) -> list[Job]:
    """Two jobs, the older first."""
    jobs = []
    for _ in range(2):
        jobs.append(submitted(queue, owner))
        clock.forward(1)
    return jobs


def served(queue: JobQueue, clock: Any, count: int) -> list[str]:
    """Whose jobs the next claims bring, a second apart."""
    owners = []
    for _ in range(count):
        job = queue.claim("w")
        assert job is not None
        owners.append(job.job.owner_id)
        clock.forward(1)
    return owners


def drained(queue: JobQueue, count: int = 1000) -> list[str]:
    """The ids of the next jobs, in the order in which they are claimed."""
    found: list[str] = []
    while len(found) < count and (job := queue.claim("w")):
        found.append(job.id)
    return found


def waiting(database: Database) -> int:
    with database.transaction(read_only=True) as transaction:
        return int(transaction.scalar(text("SELECT count(*) FROM queue_lanes WHERE waiting")) or 0)


def admitted(database: Database) -> int:
    with database.transaction(read_only=True) as transaction:
        return int(transaction.scalar(text(f"SELECT count(*) FROM video_analysis_jobs WHERE {ADMITTED}")) or 0)  # noqa: S608 - ours


def many(queue: JobQueue, database: Database, owner: Owner, count: int) -> None:
    """As many jobs as one bulk call makes, without their say in HTTP."""
    first = submitted(queue, owner)
    table = VideoAnalysisJob.__table__
    with database.transaction() as transaction:
        row = dict(transaction.execute(select(table).where(table.c.id == first.id)).mappings().one())
        transaction.execute(insert(table), [{**row, "id": str(uuid.uuid4())} for _ in range(count - 1)])
