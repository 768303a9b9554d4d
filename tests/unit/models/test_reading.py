"""What clients ask again and again: a job, the states of many, how long the queue is and how fast it moves."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from plans import explained
from sqlalchemy import insert, text
from statements import selects

from models.database import Database
from models.errors import NotFound
from models.jobs import Job, Owner
from models.outlook import Forecaster, Outlook, Pace, eta_s
from models.queue import JobQueue
from models.reading import JobReader
from models.requests import AnalysisRequest
from models.stored import PAGE, DoneJobs
from models.tables import VideoAnalysisJob
from models.watching import JobStates, state_of

DOCUMENT = {
    "findings": {"findings": [], "overall_level": "low", "note": "£ö"},
    "report": {"text": "**Overall Assessment**: fine.", "sections": [{"id": "s"}]},
}
LIONS = Owner(owner_type="org", owner_id="lions")


def submitted(queue: JobQueue, owner: Owner, *, priority: int = 0, clock: Any = None) -> Job:
    session = queue.create_session(owner, title="Nets", session_type="bowling")
    queue.attach_upload(owner, session.id, "local", f"sessions/{session.id}/source/clip.mp4", 100)
    if clock is not None:
        clock.forward(1)
    return queue.submit(owner, session.id, AnalysisRequest(analysis_mode="bowling"), priority=priority)


def copies(
    database: Database, job: Job, count: int, created_at: datetime, *, status: str = "queued", **values: Any
) -> None:
    """More jobs like this one, made in one go, a millisecond apart."""
    with database.transaction() as transaction:
        row = transaction.get_one(VideoAnalysisJob, job.id)
        columns = {column.name: getattr(row, column.name) for column in VideoAnalysisJob.__table__.columns}
        made = [
            columns
            | {"id": f"{status}-{number:05}-{created_at:%H%M%S}", "status": status, "admitted_attempt": None}
            | {"created_at": created_at + timedelta(milliseconds=number)}
            | values
            for number in range(count)
        ]
        transaction.execute(insert(VideoAnalysisJob), made)


def outlook(database: Database, clock: Any, job: Job) -> Outlook:
    """As a process says it that has said nothing yet."""
    return Forecaster(database, clock=clock).outlook(job)


def test_a_job_is_one_select_and_its_documents_are_text(database: Database, queue: JobQueue, jane: Owner) -> None:
    job = submitted(queue, jane)
    claimed = queue.claim("worker-1")
    assert claimed is not None
    queue.save_quick(claimed.lease, document=DOCUMENT, s3_key="quick_results.json")
    reader = JobReader(database)
    with selects(database) as asked:
        stored = reader.read(jane, job.id, ["quick_results", "results"])
    assert len(asked) == 1
    assert stored.job == queue.summary(jane, job.id)
    assert {name: text and json.loads(text) for name, text in stored.documents.items()} == {
        "quick_findings": DOCUMENT["findings"],
        "quick_report": DOCUMENT["report"],
        "deep_findings": None,
        "deep_report": None,
    }
    assert stored.blobs["quick_results"] is not None
    assert json.loads(stored.blobs["quick_results"]) == DOCUMENT
    assert stored.blobs["results"] is None
    for owner, job_id in ((LIONS, job.id), (jane, "nobody")):
        with pytest.raises(NotFound):
            reader.read(owner, job_id)
    assert reader.owner_of(job.id) == jane
    with pytest.raises(NotFound):
        reader.owner_of("nobody")


def test_a_connection_that_died_costs_no_answer(postgres_url: str, jane: Owner) -> None:
    database, elsewhere = Database(postgres_url), Database(postgres_url)
    job = submitted(JobQueue(database), jane)
    reader = JobReader(database)
    reader.read(jane, job.id)
    with elsewhere.transaction() as transaction:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        assert len(transaction.execute(text(f"{others} AND pid <> pg_backend_pid()")).all()) == 2
    assert reader.read(jane, job.id).job == job
    database.close()
    elsewhere.close()


def test_many_states_are_one_select(database: Database, queue: JobQueue, jane: Owner, clock: Any) -> None:
    jobs = [submitted(queue, jane) for _ in range(3)]
    states = JobStates(database)
    with selects(database) as asked:
        found = states.read({*(job.id for job in jobs), "nobody"})
    assert len(asked) == 1
    assert found == {job.id: state_of(job) for job in jobs}
    clock.forward(1)
    queue.cancel(jane, jobs[0].id)
    later = states.read([job.id for job in jobs])
    assert {job_id for job_id, state in later.items() if state != found[job_id]} == {jobs[0].id}
    with selects(database) as asked:
        states.read([f"job-{number}" for number in range(2001)])
    assert len(asked) == 3


def test_the_queue_is_counted_by_priority_and_age(database: Database, queue: JobQueue, jane: Owner, clock: Any) -> None:
    first, second = submitted(queue, jane, clock=clock), submitted(queue, jane, clock=clock)
    urgent = submitted(queue, jane, priority=5, clock=clock)
    places = [outlook(database, clock, job).queue_position for job in (first, second, urgent)]
    assert places == [2, 3, 1]
    claimed = queue.claim("worker-1")  # and what is left is in its lanes now
    assert claimed is not None
    assert [outlook(database, clock, job).queue_position for job in (first, second)] == [1, 2]
    assert outlook(database, clock, claimed.job) == Outlook()


def test_a_long_queue_is_not_counted_to_its_end(database: Database, queue: JobQueue, jane: Owner, clock: Any) -> None:
    first = submitted(queue, jane)
    copies(database, first, 1200, clock())
    last = submitted(queue, jane, clock=clock)
    clock.forward(60)
    assert outlook(database, clock, last).queue_position == "1000+"
    # Somebody else's turn comes next all the same, once a worker has put both into their lanes.
    other = submitted(queue, LIONS, clock=clock)
    assert outlook(database, clock, other).queue_position == "1000+"
    claimed = queue.claim("worker-1")
    assert claimed is not None
    assert claimed.id == first.id
    assert outlook(database, clock, other).queue_position == 2
    assert outlook(database, clock, last).queue_position == "1000+"


def test_what_was_counted_is_kept_for_seconds(database: Database, queue: JobQueue, jane: Owner, clock: Any) -> None:
    job, seconds = submitted(queue, jane, clock=clock), [0.0]
    forecaster = Forecaster(database, clock=clock, monotonic=lambda: seconds[0])
    with selects(database) as asked:
        for _ in range(10):
            assert forecaster.outlook(job).queue_position == 1
    assert len(asked) == 3  # the place, and the pace of the queue in two
    submitted(queue, jane, priority=1, clock=clock)
    assert forecaster.outlook(job).queue_position == 1
    seconds[0] = 6.0
    assert forecaster.outlook(job).queue_position == 2


def test_the_pace_is_that_of_the_jobs_done_lately(database: Database, queue: JobQueue, jane: Owner, clock: Any) -> None:
    submitted(queue, LIONS, clock=clock)
    running = queue.claim("worker-1")
    assert running is not None
    waiting = submitted(queue, jane, clock=clock)
    now = clock()
    took = {"started_at": now, "completed_at": now + timedelta(seconds=40)}
    copies(database, running.job, 4, now, status="done", **took)
    assert outlook(database, clock, waiting).eta_s is None  # too few to say, and too few to hide one owner's among
    copies(database, running.job, 30, now, status="failed", started_at=now, completed_at=now)
    copies(database, running.job, 1, now + timedelta(seconds=1), status="done", **took)
    assert outlook(database, clock, waiting).eta_s == 80
    assert outlook(database, clock, running.job).eta_s == 40
    queue.cancel(jane, waiting.id)
    assert outlook(database, clock, queue.summary(jane, waiting.id)) == Outlook()


def test_an_eta_follows_place_progress_and_patience(queue: JobQueue, jane: Owner, clock: Any) -> None:
    job = submitted(queue, jane)
    pace = Pace(median_s=30, running=2)
    assert eta_s(job, 3, pace, clock()) == 90  # two rounds of two, and its own
    assert eta_s(job, 3, Pace(median_s=30, running=0), clock()) is None
    assert eta_s(job, 3, Pace(median_s=None, running=2), clock()) is None
    assert eta_s(job, 1000, pace, clock()) is None
    assert eta_s(job, None, pace, clock()) == 30
    assert eta_s(job, 0, pace, job.available_at - timedelta(seconds=300)) == 330  # it waits for its retry


def test_a_backlog_is_read_by_its_indexes(postgres_url: str, clock: Any, jane: Owner) -> None:
    database = Database(postgres_url)
    queue = JobQueue(database, clock=clock)
    job = submitted(queue, jane)
    copies(database, job, 5000, clock())
    copies(database, job, 5000, clock(), status="done", started_at=clock(), completed_at=clock())
    queue.claim("worker-1")
    last = submitted(queue, jane, clock=clock)
    with explained(database.engine) as plans:
        assert outlook(database, clock, last).queue_position == "1000+"
    assert len(plans) == 3
    for plan in plans:
        assert not any(scan.startswith("Seq") for scan in plan.scans()), plan.statement
        assert all(node["Actual Rows"] <= 1000 for node in plan.nodes()), plan.statement
    database.close()


def test_finished_jobs_come_newest_first_and_without_their_results(
    database: Database, queue: JobQueue, jane: Owner, clock: Any
) -> None:
    job = submitted(queue, jane)  # still queued
    copies(database, job, PAGE + 2, clock.forward(60), status="done", quick_results=DOCUMENT)
    copies(database, job, 2, clock.forward(60), status="done", analysis_mode="batting")
    with selects(database) as statements:
        found = list(DoneJobs(database).newest())
    assert [one.created_at for one in found] == sorted((one.created_at for one in found), reverse=True)
    assert (len({one.id for one in found}), len(statements)) == (PAGE + 4, 2)
    assert not any("results," in statement or "report" in statement for statement in statements)
    assert len(list(DoneJobs(database).newest("bowling"))) == PAGE + 2
    assert [one.analysis_mode for one in DoneJobs(database).newest(since=clock.now)] == ["batting", "batting"]
