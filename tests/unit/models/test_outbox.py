from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hooked_jobs import Nets, claimed
from sqlalchemy import delete, event, update

from models.announce import announce
from models.database import Database
from models.errors import InvalidCursor, NotFound
from models.jobs import Job, Owner
from models.outbox import Outbox, Try
from models.queue import JobQueue
from models.tables import VideoAnalysisJob, WebhookDelivery

DAY_S = 86_400


def answered(clock: Any, status_code: int) -> Try:
    return Try(at=clock(), status_code=status_code, error=None, duration_ms=5)


def unanswered(clock: Any) -> Try:
    return Try(at=clock(), status_code=None, error="timeout", duration_ms=10_000)


class TestSending:
    def test_a_delivery_is_one_senders_until_it_is_settled_or_held_too_long(
        self, nets: Nets, outbox: Outbox, clock: Any
    ) -> None:
        nets.done(events=("job.done",))
        first = claimed(outbox)
        assert outbox.claim_due(10) == []
        clock.forward(59)
        assert outbox.claim_due(10) == []
        clock.forward(2)
        assert claimed(outbox).id == first.id, "its sender died without a word"
        assert outbox.settle(first.id, answered(clock, 204)) == "delivered"
        clock.forward(2 * DAY_S)
        assert outbox.claim_due(10) == []

    def test_senders_share_what_is_due(self, nets: Nets, database: Database, clock: Any) -> None:
        for _ in range(12):
            nets.done(events=("job.done",))

        def claim(_: int) -> list[str]:
            return [delivery.id for delivery in Outbox(database, clock=clock).claim_due(2)]

        with ThreadPoolExecutor(6) as pool:
            ids = [found for some in pool.map(claim, range(12)) for found in some]
        assert len(ids) == len(set(ids)) == 12

    def test_the_longest_due_comes_first_and_busy_owners_wait(
        self, nets: Nets, queue: JobQueue, outbox: Outbox, clock: Any
    ) -> None:
        lions = Owner(owner_type="org", owner_id=nets.owner.owner_id)
        first = nets.done(events=("job.done",))
        clock.forward(1)
        second = Nets(queue, lions).done(events=("job.done",))
        assert [delivery.job_id for delivery in outbox.claim_due(1, busy=[nets.owner])] == [second.id]
        assert [delivery.job_id for delivery in outbox.claim_due(1)] == [first.id]

    def test_it_is_tried_for_24_hours_ever_more_rarely_and_then_it_is_dead(
        self, nets: Nets, outbox: Outbox, clock: Any
    ) -> None:
        nets.done(events=("job.done",))
        made, tries, status = clock(), [], "pending"
        while status == "pending":
            delivery = claimed(outbox)
            tries.append((clock() - made).total_seconds())
            result = outbox.settle(delivery.id, unanswered(clock))
            assert result is not None
            status = result
            clock.now = outbox.get(nets.owner, delivery.id).next_attempt_at
        waits = [later - earlier for earlier, later in pairwise(tries)]
        assert waits[:10] == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600]
        assert set(waits[9:-1]) == {3600}
        assert (status, tries[-1]) == ("dead", DAY_S), "the last try is made when the time is up"
        assert outbox.claim_due(10) == []
        log = outbox.get(nets.owner, delivery.id).attempts
        assert len(log) == len(tries) == 33
        assert log[0] == {"at": made.isoformat(), "status_code": None, "error": "timeout", "duration_ms": 10_000}

    def test_waits_are_spread(self, nets: Nets, database: Database, clock: Any) -> None:
        outbox = Outbox(database, clock=clock, uniform=random.Random(3).uniform)
        waits = []
        for _ in range(5):
            nets.done(events=("job.done",))
            outbox.settle(claimed(outbox).id, answered(clock, 500))
            waits.append((outbox.list(nets.owner).items[0].next_attempt_at - clock()).total_seconds())
            clock.forward(1)
        assert len(set(waits)) == 5
        assert all(5 <= wait <= 10 for wait in waits)

    def test_workers_that_were_away_for_days_still_try_once(self, nets: Nets, outbox: Outbox, clock: Any) -> None:
        nets.done(events=("job.done",))
        clock.forward(3 * DAY_S)
        assert outbox.settle(claimed(outbox).id, unanswered(clock)) == "dead"

    def test_what_arrived_has_arrived_whatever_a_late_sender_says(self, nets: Nets, outbox: Outbox, clock: Any) -> None:
        nets.done(events=("job.done",))
        delivery = claimed(outbox)
        clock.forward(61)
        assert outbox.settle(claimed(outbox).id, answered(clock, 200)) == "delivered"
        assert outbox.settle(delivery.id, unanswered(clock)) == "delivered"
        kept = outbox.get(nets.owner, delivery.id)
        assert (kept.status, kept.delivered_at, len(kept.attempts)) == ("delivered", clock(), 2)

    def test_a_deleted_jobs_delivery_is_gone(self, nets: Nets, outbox: Outbox, database: Database, clock: Any) -> None:
        job = nets.done(events=("job.done",))
        delivery = claimed(outbox)
        with database.transaction() as transaction:
            transaction.execute(delete(VideoAnalysisJob).where(VideoAnalysisJob.id == job.id))
        assert outbox.settle(delivery.id, answered(clock, 200)) is None

    def test_an_endless_log_is_cut(self, nets: Nets, outbox: Outbox, clock: Any) -> None:
        nets.done(events=("job.done",))
        delivery = claimed(outbox)
        for _ in range(103):
            clock.forward(1)
            outbox.settle(delivery.id, unanswered(clock))
        log = outbox.get(nets.owner, delivery.id).attempts
        assert (len(log), log[-1]["at"]) == (100, clock().isoformat())


class TestOwners:
    def test_a_list_is_paged_and_filtered(self, nets: Nets, outbox: Outbox, clock: Any) -> None:
        jobs = []
        for _ in range(5):
            jobs.append(nets.done(events=("job.done",)))
            clock.forward(1)
        outbox.settle(outbox.claim_due(1)[0].id, answered(clock, 200))
        first = outbox.list(nets.owner, limit=3)
        rest = outbox.list(nets.owner, limit=3, cursor=first.next_cursor)
        assert [found.job_id for found in (*first.items, *rest.items)] == [job.id for job in reversed(jobs)]
        assert rest.next_cursor is None
        assert [found.job_id for found in outbox.list(nets.owner, status="delivered").items] == [jobs[0].id]
        assert [found.job_id for found in outbox.list(nets.owner, job_id=jobs[3].id).items] == [jobs[3].id]
        with pytest.raises(InvalidCursor):
            outbox.list(nets.owner, cursor="nonsense")

    def test_somebody_elses_is_not_there(self, nets: Nets, outbox: Outbox) -> None:
        job = nets.done(events=("job.done",))
        delivery = claimed(outbox)
        lions = Owner(owner_type="org", owner_id=nets.owner.owner_id)
        assert outbox.list(lions).items == ()
        for look in (
            lambda: outbox.get(lions, delivery.id),
            lambda: outbox.redeliver(lions, delivery.id),
            lambda: outbox.list(lions, job_id=job.id),
        ):
            with pytest.raises(NotFound):
                look()

    def test_redelivery_sends_the_same_again_for_another_24_hours(self, nets: Nets, outbox: Outbox, clock: Any) -> None:
        nets.done(events=("job.done",))
        clock.forward(2 * DAY_S)
        before = claimed(outbox)
        assert outbox.settle(before.id, unanswered(clock)) == "dead"
        assert outbox.claim_due(10) == []
        clock.forward(5)
        asked = outbox.redeliver(nets.owner, before.id)
        assert (asked.status, asked.next_attempt_at, len(asked.attempts)) == ("pending", clock(), 1)
        again = claimed(outbox)
        assert (again.id, again.body) == (before.id, before.body)
        assert outbox.settle(again.id, unanswered(clock)) == "pending"
        wait = outbox.get(nets.owner, again.id).next_attempt_at - clock()
        assert wait.total_seconds() == 10, "the back-off begins anew"

    def test_what_was_delivered_can_be_redelivered(self, nets: Nets, outbox: Outbox, clock: Any) -> None:
        nets.done(events=("job.done",))
        outbox.settle(claimed(outbox).id, answered(clock, 200))
        (kept,) = outbox.list(nets.owner).items
        outbox.redeliver(nets.owner, kept.id)
        assert claimed(outbox).id == kept.id


class TestReconciling:
    @pytest.fixture
    def unannounced(self, nets: Nets, database: Database) -> Callable[..., Job]:
        """A job that v0.1.0 code ended: without a word."""

        def end(**wishes: Any) -> Job:
            job = nets.done(**wishes)
            with database.transaction() as transaction:
                transaction.execute(delete(WebhookDelivery).where(WebhookDelivery.job_id == job.id))
            return job

        return end

    def test_an_end_that_nobody_announced_is_recorded_once(
        self, nets: Nets, outbox: Outbox, unannounced: Callable[..., Job], clock: Any
    ) -> None:
        silent, announced = unannounced(), nets.done(events=("job.done",))
        unannounced(events=("job.failed",))
        unannounced(url=None)
        clock.forward(DAY_S / 2)
        assert outbox.reconcile() == 1
        assert outbox.reconcile() == 0
        found = {(delivery.job_id, delivery.event) for delivery in outbox.list(nets.owner).items}
        assert found == {(silent.id, "job.done"), (announced.id, "job.done")}
        (late,) = outbox.list(nets.owner, job_id=silent.id).items
        assert late.gives_up_at == clock() + timedelta(hours=24)

    def test_it_is_the_event_that_the_worker_would_have_recorded(
        self, nets: Nets, outbox: Outbox, database: Database, unannounced: Callable[..., Job], clock: Any
    ) -> None:
        job = unannounced()
        clock.forward(3600)
        outbox.reconcile()
        with database.transaction() as transaction:
            announce(transaction, transaction.get_one(VideoAnalysisJob, job.id))
        assert [delivery.event for delivery in outbox.list(nets.owner).items] == ["job.done"]

    def test_another_process_finds_nothing_more(
        self, outbox: Outbox, database: Database, unannounced: Callable[..., Job], clock: Any
    ) -> None:
        unannounced()
        clock.forward(3600)
        other = Outbox(database, clock=clock)
        assert outbox.reconcile() == 1
        assert other.reconcile() == 0

    def test_it_looks_at_a_part_at_a_time_and_at_what_ended_since(
        self, outbox: Outbox, unannounced: Callable[..., Job], clock: Any
    ) -> None:
        for _ in range(5):
            unannounced()
        clock.forward(3600)
        assert [outbox.reconcile(limit=2) for _ in range(4)] == [2, 2, 1, 0]
        unannounced()
        assert outbox.reconcile() == 0, "its own transaction may be open still"
        clock.forward(600)
        assert outbox.reconcile() == 1

    def test_what_ended_long_ago_is_history(
        self, nets: Nets, database: Database, unannounced: Callable[..., Job], clock: Any
    ) -> None:
        unannounced()
        clock.forward(2 * DAY_S)
        assert Outbox(database, clock=clock).reconcile() == 0

    def test_a_job_that_was_revived_meanwhile_has_not_ended(
        self, nets: Nets, outbox: Outbox, database: Database, unannounced: Callable[..., Job], clock: Any
    ) -> None:
        job = unannounced()
        with database.transaction() as transaction:
            transaction.execute(update(VideoAnalysisJob).where(VideoAnalysisJob.id == job.id).values(status="queued"))
        clock.forward(3600)
        assert outbox.reconcile() == 0


def test_a_claim_uses_its_index(postgres_url: str, jane: Owner) -> None:
    """A million delivered ones cost a claim nothing."""
    database = Database(postgres_url)
    said: list[tuple[str, Any]] = []
    event.listen(
        database.engine, "before_cursor_execute", lambda _c, _k, words, values, *_: said.append((words, values))
    )
    Outbox(database).claim_due(1, busy=[jane])
    ((words, values),) = [(words, values) for words, values in said if "SKIP LOCKED" in words]
    with database.transaction() as transaction:
        connection = transaction.connection()
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # the table is empty: any plan costs nothing
        plan = connection.exec_driver_sql(f"EXPLAIN {words}", values).scalars().all()
    database.close()
    assert any("ix_webhook_deliveries_due" in line for line in plan), plan
    assert not any("Sort" in line for line in plan), plan


@pytest.mark.parametrize(
    ("status_code", "taken"), [(199, 0), (200, 1), (204, 1), (299, 1), (301, 0), (307, 0), (410, 0)]
)
def test_only_2xx_is_an_answer(status_code: int, taken: int, clock: Any) -> None:
    assert answered(clock, status_code).taken == bool(taken)


def test_a_try_ends_in_one_way(clock: Any) -> None:
    assert not unanswered(clock).taken
    for status_code, error in ((200, "timeout"), (None, None)):
        with pytest.raises(ValueError, match="an answer or with an error"):
            Try(at=clock(), status_code=status_code, error=error, duration_ms=1)
