from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hooked_jobs import DOCUMENT, URL, Nets, claimed

from models.announce import announce
from models.database import Database
from models.jobs import Beat, Owner
from models.outbox import Outbox
from models.tables import VideoAnalysisJob


@pytest.fixture
def events(outbox: Outbox, jane: Owner) -> Callable[[], list[str]]:
    return lambda: sorted(delivery.event for delivery in outbox.list(jane).items)


def test_a_job_says_that_its_quick_look_is_there_and_that_it_is_done(
    nets: Nets, events: Callable[[], list[str]]
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


def test_a_quick_only_job_is_done_and_nothing_before(nets: Nets, events: Callable[[], list[str]]) -> None:
    job = nets.claimed(deep=False)
    nets.queue.finish(job.lease, stage="quick", document=DOCUMENT, s3_key="quick")
    assert events() == ["job.done"]


def test_an_attempt_that_is_tried_again_is_no_event(nets: Nets, events: Callable[[], list[str]]) -> None:
    nets.queue.fail(nets.claimed().lease, "out_of_memory", "no", transient=True)
    assert events() == []


def test_a_failure_and_a_cancellation_are(nets: Nets, events: Callable[[], list[str]]) -> None:
    nets.queue.fail(nets.claimed().lease, "no_person", "Nobody is in the clip.", transient=False)
    assert events() == ["job.failed"]
    nets.queue.cancel(nets.owner, nets.submitted().id)
    assert events() == ["job.canceled", "job.failed"]


def test_only_chosen_events_are_recorded(nets: Nets, events: Callable[[], list[str]]) -> None:
    nets.done(events=("job.failed",))
    nets.done(url=None)
    assert events() == []


def test_saying_it_often_records_it_once(nets: Nets, database: Database, events: Callable[[], list[str]]) -> None:
    job = nets.done()
    for _ in range(3):
        with database.transaction() as transaction:
            row = transaction.get_one(VideoAnalysisJob, job.id)
            announce(transaction, row)
            announce(transaction, row)
    assert events() == ["job.done", "job.quick_done"]


def test_what_was_canceled_revived_and_canceled_again_says_so_twice(
    nets: Nets, clock: Any, events: Callable[[], list[str]]
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
    nets: Nets, database: Database, events: Callable[[], list[str]]
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


def test_a_body_says_what_happened_and_nothing_of_the_athlete(nets: Nets, outbox: Outbox, clock: Any) -> None:
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


def test_a_failed_jobs_body_says_why(nets: Nets, outbox: Outbox) -> None:
    nets.queue.fail(nets.claimed().lease, "no_person", "Nobody is in the clip.", transient=False)
    job = json.loads(claimed(outbox).body)["job"]
    assert (job["error"]["code"], job["error"]["message"]) == ("no_person", "Nobody is in the clip.")
    assert (job["overall_level"], job["findings_count"]) == (None, None)
