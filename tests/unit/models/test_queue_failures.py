from __future__ import annotations

from datetime import timedelta
from typing import Any

from queueing import FINDINGS, REPORT, claimed, document, in_deep, submitted
from sqlalchemy import update

from models.database import Database
from models.jobs import Beat, ClaimedJob, Owner
from models.queue import CRASHED, HANDED_BACK, JobQueue
from models.tables import VideoAnalysisJob


class TestFailure:
    def test_back_off_doubles_and_then_the_job_failed(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        job = claimed(queue, jane)
        for wait in (5, 10):
            queue.beat([Beat(lease=job.lease, progress_pct=30)])
            retry = queue.fail(job.lease, "actor_died", "gone", transient=True)
            assert (retry.status, retry.stage, retry.progress_pct, retry.error_code) == ("queued", "QUEUED", 0, None)
            assert retry.available_at == clock.now + timedelta(seconds=wait)
            clock.forward(wait - 0.001)
            assert queue.claim("w") is None
            clock.forward(0.001)
            job = queue.claim("w")  # type: ignore[assignment]
        failed = queue.fail(job.lease, "actor_died", "gone for good\0", transient=True)
        assert (failed.status, failed.error_code, failed.error_message) == ("failed", "actor_died", "gone for good")
        assert failed.completed_at == clock.now
        assert [entry["attempt"] for entry in failed.history] == [1, 2, 3]
        assert queue.claim("w") is None

    def test_back_off_has_an_upper_end_and_jitter(self, database: Database, jane: Owner, clock: Any) -> None:
        asked: list[tuple[float, float]] = []
        queue = JobQueue(
            database,
            clock=clock,
            max_attempts=9,
            max_backoff_s=30,
            uniform=lambda low, high: asked.append((low, high)) or low,
        )
        submitted(queue, jane)
        for _ in range(5):
            job = queue.claim("w")
            assert job is not None
            queue.fail(job.lease, "actor_died", "gone", transient=True)
            clock.forward(100)
        assert asked == [(2.5, 5), (5, 10), (10, 20), (15, 30), (15, 30)]

    def test_what_will_not_get_better_fails_at_once(self, queue: JobQueue, jane: Owner) -> None:
        job = claimed(queue, jane)
        failed = queue.fail(job.lease, "no_person", "Nobody was seen.", transient=False)
        assert (failed.status, failed.attempt, failed.error_code) == ("failed", 1, "no_person")
        assert queue.get_session(jane, job.job.session_id).status == "failed"

    def test_a_quick_result_outlives_the_attempt(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        job = in_deep(queue, jane)
        queue.fail(job.lease, "actor_died", "gone", transient=True)
        waiting = queue.get(jane, job.id)
        assert (waiting.status, waiting.quick_findings, waiting.quick_report) == ("queued", FINDINGS, REPORT)
        made = waiting.quick_completed_at
        clock.forward(60)
        again = queue.claim("w")
        assert again is not None
        assert (again.job.quick_started_at, again.job.quick_completed_at) == (waiting.quick_started_at, made)
        now = clock.forward(2)
        queue.save_quick(again.lease, document=document("newer"), s3_key="newer-key")
        newer = queue.summary(jane, job.id)
        assert (newer.quick_started_at, newer.quick_completed_at) == (again.lease.claimed_at, now)
        assert newer.quick_results_s3_key == "newer-key"

    def test_attempts_that_were_handed_back_make_no_wait_longer(
        self, queue: JobQueue, jane: Owner, database: Database, clock: Any
    ) -> None:
        job = claimed(queue, jane)
        queue.release(job.lease)
        with database.transaction() as transaction:  # 2 ** 2000 is no number of seconds
            transaction.execute(update(VideoAnalysisJob).values(attempt=2000, max_attempts=2003))
        waiting = queue.fail(again(queue).lease, "actor_died", "gone", transient=True)
        assert waiting.available_at == clock.now + timedelta(seconds=5)


class TestHandingBack:
    def test_it_costs_no_attempt_and_explains_it(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        job = claimed(queue, jane)
        for attempt in range(2, 7):
            back = queue.release(job.lease)
            assert (back.status, back.max_attempts - back.attempt, back.crashes) == ("queued", 3, 0)
            assert (back.error_code, back.error_message) == (None, None)
            assert back.history[-1] == {
                "attempt": attempt - 1,
                "worker_id": "worker-1",
                "model": None,
                "error_code": "handed_back",
                "error_message": HANDED_BACK,
                "retryable": None,
                "ended_at": clock.now.isoformat(),
            }
            job = again(queue)
            assert job.attempt == attempt

    def test_an_actor_that_dies_with_neighbours_charges_none_of_them(self, queue: JobQueue, jane: Owner) -> None:
        job = claimed(queue, jane)
        for crashes in (1, 2):
            back = queue.release(job.lease, crashed=True)
            assert (back.status, back.max_attempts - back.attempt, back.crashes) == ("queued", 3, crashes)
            assert (back.history[-1]["error_code"], back.history[-1]["error_message"]) == ("actor_died", CRASHED)
            assert back.error_code is None
            job = again(queue)
            assert job.job.crashes == crashes

    def test_every_attempt_is_explained(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        job = claimed(queue, jane)
        queue.release(job.lease)
        queue.release(again(queue).lease, crashed=True)
        again(queue)
        clock.forward(71)
        assert queue.requeue_expired() == 1
        queue.fail(again(queue).lease, "out_of_memory", "Too big.", transient=True)
        clock.forward(100)
        last = again(queue)
        queue.cancel(jane, job.id)
        ended = queue.mark_canceled(last.lease)
        codes = ["handed_back", "actor_died", "lease_expired", "out_of_memory", "canceled"]
        assert [(entry["attempt"], entry["error_code"]) for entry in ended.history] == list(enumerate(codes, start=1))
        assert all(entry["error_message"] for entry in ended.history)


def again(queue: JobQueue) -> ClaimedJob:
    job = queue.claim("worker-1")
    assert job is not None
    return job
