"""Many jobs by one call: every line accounted for, counts that are true, an end for all of them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from models.batches import BatchItem, BatchRegister, NewSession, Rejection
from models.ceiling import ActiveCeiling
from models.database import Database
from models.errors import IdempotencyConflict, NotFound, StoreError, TooManyActiveJobs
from models.idempotency import RequestKey
from models.jobs import STAGES, Beat, Owner
from models.listing import JobFilter
from models.queue import JobQueue
from models.requests import AnalysisRequest, JobExtras
from models.submission import Order
from models.tables import JobBatch, VideoSession

STRANGER = Owner(owner_type="org", owner_id="jane")
ONCE = RequestKey(key="key", sha256="a" * 64)


@pytest.fixture
def batches(database: Database, clock: Any) -> BatchRegister:
    return BatchRegister(database, clock=clock)


@pytest.fixture
def session_id(queue: JobQueue, jane: Owner) -> str:
    session = queue.create_session(jane, title="Nets", session_type="bowling", camera_view="side")
    queue.attach_upload(jane, session.id, "local", "clip.mp4", 1)
    return session.id


def item(line: int, session: str | NewSession, **extras: Any) -> BatchItem:
    request = AnalysisRequest(analysis_mode="bowling", deep_enabled=False)
    return BatchItem(line=line, order=Order(request=request, extras=JobExtras(**extras)), session=session)


def new_session(key: str) -> NewSession:
    return NewSession(
        title="Nets",
        session_type="bowling",
        notes=None,
        camera_view="front",
        player_ids=("p",),
        bucket="local",
        key=key,
    )


def counts(**named: int) -> dict[str, int]:
    return dict.fromkeys(STAGES, 0) | named


class TestSubmit:
    def test_each_line_is_a_job_in_their_order(
        self, batches: BatchRegister, queue: JobQueue, jane: Owner, session_id: str
    ) -> None:
        waiting = queue.create_session(jane, title="Later", session_type="batting").id
        items = [item(line, waiting if line == 3 else session_id, metadata={"line": str(line)}) for line in range(1, 6)]
        batch = batches.submit(jane, items).value
        assert (batch.lines, batch.accepted, batch.rejected, batch.is_terminal) == (5, 5, (), False)
        assert batch.counts == counts(queued=4, awaiting_upload=1)
        jobs = queue.list(jane, JobFilter(batch_id=batch.id)).items
        assert [job.client_metadata["line"] for job in jobs] == ["5", "4", "3", "2", "1"]
        assert {job.batch_id for job in jobs} == {batch.id}
        assert {job.camera_view for job in jobs if job.session_id == session_id} == {"side"}
        claimed = [queue.claim("worker") for _ in range(5)]
        assert [job and job.job.client_metadata["line"] for job in claimed] == ["1", "2", "4", "5", None]

    def test_a_line_makes_its_session(self, batches: BatchRegister, queue: JobQueue, jane: Owner, clock: Any) -> None:
        batch = batches.submit(jane, [item(1, new_session("clips/one.mp4"))]).value
        (job,) = queue.list(jane, JobFilter(batch_id=batch.id)).items
        session = queue.get_session(jane, job.session_id)
        assert (session.title, session.status, session.player_ids) == ("Nets", "uploaded", ("p",))
        assert (session.s3_bucket, session.s3_key) == (job.s3_bucket, job.s3_key) == ("local", "clips/one.mp4")
        assert (job.status, job.camera_view, session.created_at) == ("queued", "front", clock.now)

    def test_bad_lines_stop_no_other(
        self, batches: BatchRegister, queue: JobQueue, jane: Owner, session_id: str
    ) -> None:
        theirs = queue.create_session(STRANGER, title="Nets", session_type="bowling").id
        items = [item(1, session_id), item(3, theirs), item(4, "nonsense"), item(5, new_session("k" * 401))]
        invalid = Rejection(
            line=2, code="validation_failed", detail="x", errors=({"field": "f", "code": "c", "detail": "d"},)
        )
        batch = batches.submit(jane, items, [invalid]).value
        assert (batch.lines, batch.accepted, batch.counts["queued"]) == (5, 1, 1)
        assert [(rejection.line, rejection.code) for rejection in batch.rejected] == [
            (2, "validation_failed"),
            (3, "not_found"),
            (4, "not_found"),
            (5, "source_key_too_long"),
        ]
        assert batch.rejected[0] == invalid
        assert batches.get(jane, batch.id) == batch
        assert len(queue.list_sessions(jane).items) == 1  # none for line 5

    def test_a_batch_of_bad_lines_alone(self, batches: BatchRegister, jane: Owner) -> None:
        batch = batches.submit(jane, [item(1, "nonsense")]).value
        assert (batch.lines, batch.accepted, batch.is_terminal) == (1, 0, True)

    def test_the_same_request_gives_the_same_batch(
        self, batches: BatchRegister, queue: JobQueue, jane: Owner, session_id: str
    ) -> None:
        items = [item(1, session_id), item(2, "nonsense")]
        first, second = (batches.submit(jane, items, (), ONCE) for _ in range(2))
        assert (first.replayed, second.replayed) == (False, True)
        assert second.value == first.value
        with pytest.raises(IdempotencyConflict):
            batches.submit(jane, items, (), RequestKey(key="key", sha256="b" * 64))
        with pytest.raises(IdempotencyConflict):
            queue.submit_order(jane, session_id, items[0].order, RequestKey(key="key", sha256="c" * 64))
        assert len(queue.list(jane).items) == 1

    def test_of_many_at_once_one_makes_it(
        self, batches: BatchRegister, queue: JobQueue, jane: Owner, session_id: str
    ) -> None:
        start = threading.Barrier(4)

        def submit(_: int) -> str:
            start.wait()
            return batches.submit(jane, [item(line, session_id) for line in range(50)], (), ONCE).value.id

        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(submit, range(4)))) == 1
        assert len(queue.list(jane, limit=100).items) == 50

    def test_it_fits_whole_or_not_at_all(
        self, database: Database, queue: JobQueue, jane: Owner, session_id: str
    ) -> None:
        batches = BatchRegister(database, ceiling=ActiveCeiling(10))
        with pytest.raises(TooManyActiveJobs):
            batches.submit(jane, [item(line, session_id) for line in range(11)], (), ONCE)
        assert (batches.list(jane).items, queue.list(jane).items) == ((), ())
        assert batches.submit(jane, [item(line, session_id) for line in range(10)], (), ONCE).value.accepted == 10

    def test_a_crash_leaves_nothing(
        self, batches: BatchRegister, queue: JobQueue, jane: Owner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from models import batches as module

        def failing(transaction: Any, jobs: Any) -> None:
            real(transaction, jobs)
            raise StoreError("gone")

        real = module.insert_jobs
        monkeypatch.setattr(module, "insert_jobs", failing)
        items = [item(1, new_session("clips/one.mp4"))]
        with pytest.raises(StoreError):
            batches.submit(jane, items, (), ONCE)
        assert (batches.list(jane).items, queue.list(jane).items, queue.list_sessions(jane).items) == ((), (), ())
        monkeypatch.setattr(module, "insert_jobs", real)
        assert not batches.submit(jane, items, (), ONCE).replayed


class TestRead:
    def test_pages_the_newest_first(self, batches: BatchRegister, jane: Owner, session_id: str, clock: Any) -> None:
        ids = []
        for _ in range(5):
            clock.forward(1)
            ids.append(batches.submit(jane, [item(1, session_id)]).value.id)
        first = batches.list(jane, limit=3)
        assert first.next_cursor is not None
        rest = batches.list(jane, limit=3, cursor=first.next_cursor)
        assert [batch.id for batch in (*first.items, *rest.items)] == ids[::-1]
        assert rest.next_cursor is None

    def test_somebody_elses_is_not_there(
        self, batches: BatchRegister, queue: JobQueue, jane: Owner, session_id: str
    ) -> None:
        batch = batches.submit(jane, [item(1, session_id)]).value
        for refused in (
            lambda: batches.get(STRANGER, batch.id),
            lambda: batches.cancel(STRANGER, batch.id),
            lambda: queue.list(STRANGER, JobFilter(batch_id=batch.id)),
        ):
            with pytest.raises(NotFound):
                refused()
        assert batches.list(STRANGER).items == ()
        assert batches.get(jane, batch.id) == batch


class TestCancel:
    def test_those_that_wait_at_once_and_those_that_run_by_their_worker(
        self, batches: BatchRegister, queue: JobQueue, jane: Owner, session_id: str, clock: Any
    ) -> None:
        later = queue.create_session(jane, title="Later", session_type="bowling").id
        batch = batches.submit(jane, [*(item(line, session_id) for line in range(1, 5)), item(5, later)]).value
        clock.forward(1)
        other = queue.submit(jane, session_id, AnalysisRequest(analysis_mode="bowling"))
        failed, running = queue.claim("one"), queue.claim("two")
        assert failed is not None
        assert running is not None
        queue.fail(failed.lease, "no_person", "Nobody there.", transient=False)
        now = clock.forward(1)
        canceled = batches.cancel(jane, batch.id)
        assert canceled.counts == counts(failed=1, quick_running=1, canceled=3)
        assert (canceled.cancel_requested_at, canceled.is_terminal) == (now, False)
        assert queue.summary(jane, running.id).cancel_requested_at == now
        assert queue.summary(jane, other.id).status == "queued"
        queue.mark_canceled(running.lease)
        clock.forward(1)
        again = batches.cancel(jane, batch.id)
        assert (again.counts["canceled"], again.cancel_requested_at, again.is_terminal) == (4, now, True)

    def test_more_than_one_transaction_holds(self, batches: BatchRegister, jane: Owner, session_id: str) -> None:
        batch = batches.submit(jane, [item(line, session_id) for line in range(1, 1202)]).value
        assert batches.cancel(jane, batch.id).counts == counts(canceled=1201)

    def test_while_workers_claim(
        self, batches: BatchRegister, queue: JobQueue, jane: Owner, session_id: str, database: Database
    ) -> None:
        batch = batches.submit(jane, [item(line, session_id) for line in range(1, 401)]).value
        asked = threading.Event()
        run: list[str] = []

        def work(number: int) -> None:
            mine = JobQueue(database)
            while not batches.get(jane, batch.id).is_terminal:
                if (job := mine.claim(f"worker-{number}")) is None:
                    continue
                run.append(job.id)
                if len(run) == 20:
                    asked.set()
                if mine.beat([Beat(lease=job.lease, progress_pct=10)])[job.lease.token].cancel_requested:
                    mine.mark_canceled(job.lease)
                else:
                    mine.fail(job.lease, "no_person", "Nobody there.", transient=False)

        with ThreadPoolExecutor(3) as pool:
            workers = [pool.submit(work, number) for number in range(3)]
            while not asked.wait(0.01):
                assert not any(worker.done() for worker in workers)
            batches.cancel(jane, batch.id)
            for worker in workers:
                worker.result(timeout=60)
        ended = batches.get(jane, batch.id)
        assert ended.is_terminal
        assert ended.counts["failed"] + ended.counts["canceled"] == 400
        assert ended.counts["canceled"] > 0
        assert len(run) == len(set(run)) >= ended.counts["failed"] > 0


def test_uploads_and_batches_do_not_miss_each_other(
    batches: BatchRegister, queue: JobQueue, jane: Owner, database: Database
) -> None:
    """No job is left waiting for a video that came while the batch was being made."""
    for _ in range(5):
        session = queue.create_session(jane, title="Nets", session_type="bowling").id
        start = threading.Barrier(2)

        def attach(session: str = session, start: threading.Barrier = start) -> None:
            start.wait()
            JobQueue(database).attach_upload(jane, session, "local", "clip.mp4", 1)

        with ThreadPoolExecutor(1) as pool:
            attached = pool.submit(attach)
            start.wait()
            batch = batches.submit(jane, [item(line, session) for line in range(1, 51)]).value
            attached.result(timeout=30)
        assert batches.get(jane, batch.id).counts == counts(queued=50)


def test_rows_name_what_the_batch_says(batches: BatchRegister, jane: Owner, database: Database) -> None:
    batches.submit(jane, [item(1, new_session("clips/one.mp4"))], [Rejection(line=2, code="c", detail="d")])
    with database.transaction(read_only=True) as transaction:
        row = transaction.scalars(select(JobBatch)).one()
        assert (row.lines, row.accepted, row.rejected) == (
            2,
            1,
            [{"line": 2, "code": "c", "detail": "d", "errors": []}],
        )
        assert transaction.scalars(select(VideoSession.file_size_bytes)).one() is None
