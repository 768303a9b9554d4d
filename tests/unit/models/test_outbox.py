from __future__ import annotations

import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import delete, event, update

from models.announce import announce
from models.database import Database
from models.errors import InvalidCursor, NotFound
from models.jobs import Beat, ClaimedJob, Job, Owner
from models.outbox import Delivery, Outbox, Try
from models.queue import JobQueue
from models.requests import AnalysisRequest, JobExtras, WebhookEvent
from models.tables import VideoAnalysisJob, WebhookDelivery

URL = "https://hooks.example.com/frontfoot"
ALL: tuple[WebhookEvent, ...] = ("job.quick_done", "job.done", "job.failed", "job.canceled")
FINDINGS: dict[str, Any] = {"findings": [{"id": "a"}, {"id": "b"}], "overall_level": "medium"}
DOCUMENT: dict[str, Any] = {
    "findings": FINDINGS,
    "report": {"text": "**Overall Assessment**: …", "sections": [{"id": "summary"}]},
}
DAY_S = 86_400


class Nets:
    """Jobs with a webhook, and how they go."""

    def __init__(self, queue: JobQueue, owner: Owner) -> None:
        self.queue, self.owner = queue, owner

    def submitted(
        self, *, events: tuple[WebhookEvent, ...] = ALL, url: str | None = URL, deep: bool = True, **extras: Any
    ) -> Job:
        session = self.queue.create_session(self.owner, title="Jane's nets", notes="shy", session_type="bowling")
        self.queue.attach_upload(self.owner, session.id, "local", f"sessions/{session.id}/clip.mp4", 1000)
        asked = AnalysisRequest(analysis_mode="bowling", deep_enabled=deep)
        attached = JobExtras(webhook_url=url, webhook_events=events, **extras)
        return self.queue.submit(self.owner, session.id, asked, extras=attached)

    def claimed(self, **wishes: Any) -> ClaimedJob:
        self.submitted(**wishes)
        job = self.queue.claim("worker-1")
        assert job is not None
        return job

    def done(self, **wishes: Any) -> Job:
        return self.finished(self.claimed(**wishes))

    def finished(self, job: ClaimedJob) -> Job:
        self.queue.save_quick(job.lease, document=DOCUMENT, s3_key="quick")
        self.queue.start_deep(job.lease)
        return self.queue.finish(job.lease, stage="deep", document=DOCUMENT, s3_key="deep")


@pytest.fixture
def nets(queue: JobQueue, jane: Owner) -> Nets:
    return Nets(queue, jane)


@pytest.fixture
def outbox(database: Database, clock: Any) -> Outbox:
    """Waits always their longest."""
    return Outbox(database, clock=clock, uniform=lambda _, longest: longest)


@pytest.fixture
def events(outbox: Outbox, jane: Owner) -> Callable[[], list[str]]:
    return lambda: sorted(delivery.event for delivery in outbox.list(jane).items)


def claimed(outbox: Outbox) -> Delivery:
    (delivery,) = outbox.claim_due(10)
    return delivery


def answered(clock: Any, status_code: int) -> Try:
    return Try(at=clock(), status_code=status_code, error=None, duration_ms=5)


def unanswered(clock: Any) -> Try:
    return Try(at=clock(), status_code=None, error="timeout", duration_ms=10_000)


class TestRecording:
    def test_a_job_says_that_its_quick_look_is_there_and_that_it_is_done(
        self, nets: Nets, events: Callable[[], list[str]]
    ) -> None:
        job = nets.claimed()
        assert events() == []
        nets.queue.save_quick(job.lease, document=DOCUMENT, s3_key="quick")
        assert events() == ["job.quick_done"]
        nets.queue.start_deep(job.lease)
        nets.queue.beat([Beat(lease=job.lease, progress_pct=70)])
        assert events() == ["job.quick_done"]
        nets.queue.finish(job.lease, stage="deep", document=DOCUMENT, s3_key="deep")
        assert events() == ["job.done", "job.quick_done"]

    def test_a_quick_only_job_is_done_and_nothing_before(self, nets: Nets, events: Callable[[], list[str]]) -> None:
        job = nets.claimed(deep=False)
        nets.queue.finish(job.lease, stage="quick", document=DOCUMENT, s3_key="quick")
        assert events() == ["job.done"]

    def test_an_attempt_that_is_tried_again_is_no_event(self, nets: Nets, events: Callable[[], list[str]]) -> None:
        nets.queue.fail(nets.claimed().lease, "out_of_memory", "no", transient=True)
        assert events() == []

    def test_a_failure_and_a_cancellation_are(self, nets: Nets, events: Callable[[], list[str]]) -> None:
        nets.queue.fail(nets.claimed().lease, "no_person", "Nobody is in the clip.", transient=False)
        assert events() == ["job.failed"]
        nets.queue.cancel(nets.owner, nets.submitted().id)
        assert events() == ["job.canceled", "job.failed"]

    def test_only_chosen_events_are_recorded(self, nets: Nets, events: Callable[[], list[str]]) -> None:
        nets.done(events=("job.failed",))
        nets.done(url=None)
        assert events() == []

    def test_saying_it_often_records_it_once(
        self, nets: Nets, database: Database, events: Callable[[], list[str]]
    ) -> None:
        job = nets.done()
        for _ in range(3):
            with database.transaction() as transaction:
                row = transaction.get_one(VideoAnalysisJob, job.id)
                announce(transaction, row)
                announce(transaction, row)
        assert events() == ["job.done", "job.quick_done"]

    def test_what_was_canceled_revived_and_canceled_again_says_so_twice(
        self, nets: Nets, clock: Any, events: Callable[[], list[str]]
    ) -> None:
        job = nets.submitted()
        nets.queue.cancel(nets.owner, job.id)
        nets.queue.cancel(nets.owner, job.id)
        assert events() == ["job.canceled"]
        clock.forward(1)
        nets.queue.retry(nets.owner, job.id)
        clock.forward(1)
        nets.queue.cancel(nets.owner, job.id)
        assert events() == ["job.canceled", "job.canceled"]

    def test_the_event_is_written_with_the_change_or_not_at_all(
        self, nets: Nets, database: Database, events: Callable[[], list[str]]
    ) -> None:
        job = nets.submitted()

        def lose_power() -> None:
            with database.transaction() as transaction:
                row = transaction.get_one(VideoAnalysisJob, job.id)
                row.status, row.completed_at = "canceled", row.created_at
                announce(transaction, row)
                transaction.flush()
                raise ConnectionError

        with pytest.raises(ConnectionError):
            lose_power()
        assert events() == []
        assert nets.queue.get(nets.owner, job.id).status == "queued"

    def test_a_body_says_what_happened_and_nothing_of_the_athlete(self, nets: Nets, outbox: Outbox, clock: Any) -> None:
        job = nets.done(tags=("u16",), metadata={"ref": "42"}, events=("job.done",))
        delivery = claimed(outbox)
        assert json.loads(delivery.body) == {
            "id": delivery.id,
            "event": "job.done",
            "created_at": "2026-05-04T09:30:00Z",
            "job": {
                "id": job.id,
                "path": f"/api/coaches/plus/analysis-jobs/{job.id}",
                "session_id": job.session_id,
                "batch_id": None,
                "status": "done",
                "stage": "DONE",
                "attempt": 1,
                "error": None,
                "tags": ["u16"],
                "metadata": {"ref": "42"},
                "overall_level": "medium",
                "findings_count": 2,
            },
        }
        assert (delivery.job_id, delivery.url, delivery.created_at) == (job.id, URL, clock())
        assert delivery.gives_up_at == clock() + timedelta(hours=24)

    def test_a_failed_jobs_body_says_why(self, nets: Nets, outbox: Outbox) -> None:
        nets.queue.fail(nets.claimed().lease, "no_person", "Nobody is in the clip.", transient=False)
        job = json.loads(claimed(outbox).body)["job"]
        assert (job["error"]["code"], job["error"]["message"]) == ("no_person", "Nobody is in the clip.")
        assert (job["overall_level"], job["findings_count"]) == (None, None)


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
