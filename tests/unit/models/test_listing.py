"""Lists of jobs: what a filter lets through, pages that stay put, and the index behind each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from plans import explained
from sqlalchemy import text

from models.batches import BatchItem, BatchRegister
from models.ceiling import ActiveCeiling
from models.database import Database
from models.errors import NotFound, TooManyActiveJobs
from models.jobs import Job, Owner
from models.listing import JobFilter
from models.queue import JobQueue
from models.requests import AnalysisRequest, JobExtras, Mode
from models.submission import Order

STRANGER = Owner(owner_type="org", owner_id="jane")


@pytest.fixture
def session_id(queue: JobQueue, jane: Owner) -> str:
    session = queue.create_session(jane, title="Nets", session_type="bowling")
    queue.attach_upload(jane, session.id, "local", "clip.mp4", 1)
    return session.id


def submit(queue: JobQueue, owner: Owner, session_id: str, mode: Mode = "bowling", tags: tuple[str, ...] = ()) -> Job:
    request = AnalysisRequest(analysis_mode=mode, deep_enabled=False)
    return queue.submit(owner, session_id, request, extras=JobExtras(tags=tags))


def test_each_filter_and_all_together(queue: JobQueue, jane: Owner, session_id: str, clock: Any) -> None:
    other_session = queue.create_session(jane, title="Later", session_type="batting").id
    first = submit(queue, jane, session_id, "bowling", ("nets", "may"))
    moment = clock.forward(1)
    second = submit(queue, jane, session_id, "batting", ("nets",))
    clock.forward(1)
    third = submit(queue, jane, other_session, "batting", ("may",))

    def ids(**wanted: Any) -> list[str]:
        return [job.id for job in queue.list(jane, JobFilter(**wanted)).items]

    assert ids() == [third.id, second.id, first.id]
    assert ids(statuses=("queued",)) == [second.id, first.id]
    assert ids(statuses=("awaiting_upload", "done")) == [third.id]
    assert ids(session_id=other_session) == [third.id]
    assert ids(mode="batting") == [third.id, second.id]
    assert ids(created_after=moment) == [third.id]
    assert ids(created_after=moment - timedelta(microseconds=1)) == [third.id, second.id]
    assert ids(tag="nets") == [second.id, first.id]
    assert ids(tag="may") == [third.id, first.id]
    assert ids(tag="ne") == []
    assert ids(
        tag="nets",
        mode="batting",
        statuses=("queued", "done"),
        session_id=session_id,
        created_after=moment - timedelta(seconds=1),
    ) == [second.id]


def test_what_is_somebody_elses_is_in_no_list(queue: JobQueue, jane: Owner, session_id: str) -> None:
    submit(queue, jane, session_id, tags=("nets",))
    theirs = queue.create_session(STRANGER, title="Nets", session_type="bowling").id
    job = submit(queue, STRANGER, theirs, tags=("nets",))
    assert queue.list(STRANGER, JobFilter(tag="nets")).items == (job,)
    for wanted in (JobFilter(session_id=session_id), JobFilter(session_id=session_id, tag="nets")):
        with pytest.raises(NotFound):
            queue.list(STRANGER, wanted)


@pytest.mark.parametrize("wanted", [JobFilter(), JobFilter(tag="nets")])
def test_newcomers_move_no_page(queue: JobQueue, jane: Owner, session_id: str, clock: Any, wanted: JobFilter) -> None:
    made = []
    for number in range(7):
        made.append(submit(queue, jane, session_id, tags=("nets",)).id)
        clock.forward(number % 2)  # some are as old as their neighbours
    seen: list[str] = []
    cursor = None
    while True:
        page = queue.list(jane, wanted, limit=2, cursor=cursor)
        seen += [job.id for job in page.items]
        cursor = page.next_cursor
        clock.forward(1)
        submit(queue, jane, session_id, tags=("nets",))
        if cursor is None:
            break
    assert sorted(seen) == sorted(made)
    assert len(set(seen)) == 7


@pytest.mark.parametrize("analyzed", [False, True])
def test_no_list_reads_the_whole_table(postgres_url: str, jane: Owner, analyzed: bool) -> None:
    """At ten thousand jobs of one owner, one in a thousand tagged `rare`; what an index yields is all that is read."""
    database = Database(postgres_url)
    queue, batches = JobQueue(database), BatchRegister(database)
    session = queue.create_session(jane, title="Nets", session_type="bowling")
    queue.attach_upload(jane, session.id, "local", "clip.mp4", 1)
    orders = [
        Order(request=AnalysisRequest(analysis_mode="bowling"), extras=JobExtras(tags=(tag,)))
        for tag in ("all", "rare")
    ]
    for first in (1, 5001):
        lines = range(first, first + 5000)
        items = [BatchItem(line=line, session=session.id, order=orders[line % 1000 == 0]) for line in lines]
        batch = batches.submit(jane, items).value
    if analyzed:
        with database.transaction() as transaction:
            transaction.execute(text("ANALYZE"))
    for wanted, pages in (
        (JobFilter(), 100),
        (JobFilter(tag="all"), 400),
        (JobFilter(tag="rare"), 100),
        (JobFilter(tag="never"), 20),
        (JobFilter(batch_id=batch.id), 100),
        (JobFilter(statuses=("queued",)), 3000),
        (JobFilter(mode="bowling"), 100),
    ):
        with explained(database.engine) as plans:
            assert len(queue.list(jane, wanted, limit=50).items) == {"rare": 10, "never": 0}.get(wanted.tag or "", 50)
        assert "Seq Scan video_analysis_jobs" not in plans[-1].scans(), wanted
        assert plans[-1].buffers <= pages, (wanted, plans[-1].scans())
    # Nor does the count of unfinished jobs, which stops where it is known to be enough.
    with explained(database.engine) as plans, database.transaction() as transaction, pytest.raises(TooManyActiveJobs):
        ActiveCeiling(1000).admit(transaction, jane)
    assert {scan.rpartition(" ")[2] for scan in plans[-1].scans()} == {"ix_video_analysis_jobs_active"}
    assert plans[-1].buffers <= 300
    database.close()
