"""What an owner submits: once for a key, as many as the ceiling allows, and again where it went wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from models.ceiling import ActiveCeiling
from models.database import Database
from models.errors import IdempotencyConflict, InvalidTransition, NotFound, TooManyActiveJobs
from models.idempotency import RequestKey
from models.jobs import ClaimedJob, Job, Owner
from models.queue import JobQueue
from models.requests import AnalysisOptions, AnalysisRequest, JobExtras
from models.submission import Order
from models.tables import IdempotencyKey, JobTag, VideoAnalysisJob

BOWLING = AnalysisRequest(analysis_mode="bowling")
ORDER = Order(request=BOWLING, extras=JobExtras())
STRANGER = Owner(owner_type="org", owner_id="jane")
DOCUMENT: dict[str, Any] = {
    "findings": {"findings": [], "overall_level": "low"},
    "report": {"text": "words", "sections": [{}]},
}


def once(key: str = "key", letter: str = "a") -> RequestKey:
    return RequestKey(key=key, sha256=letter * 64)


@pytest.fixture
def session_id(queue: JobQueue, jane: Owner) -> str:
    session = queue.create_session(jane, title="Nets", session_type="bowling")
    queue.attach_upload(jane, session.id, "local", "clip.mp4", 1)
    return session.id


def claimed(queue: JobQueue) -> ClaimedJob:
    job = queue.claim("worker")
    assert job is not None
    return job


class TestOptions:
    def test_what_is_not_said_is_not_stored_where_v0_1_0_does_not_know_it(
        self, queue: JobQueue, jane: Owner, session_id: str
    ) -> None:
        said = BOWLING.model_copy(update={"options": AnalysisOptions(direction="left")})
        assert "direction" not in queue.submit(jane, session_id, BOWLING).options
        assert queue.submit(jane, session_id, said).options["direction"] == "left"


class TestExtras:
    def test_what_is_attached_comes_back(
        self, queue: JobQueue, jane: Owner, session_id: str, database: Database
    ) -> None:
        extras = JobExtras(
            tags=("nets", "may", "nets"),
            metadata={"row": "17"},
            webhook_url="https://example.org/hook",
            webhook_events=("job.done",),
        )
        job = queue.submit(jane, session_id, BOWLING, extras=extras)
        assert (job.tags, job.client_metadata) == (("nets", "may"), {"row": "17"})
        assert (job.webhook_url, job.webhook_events) == ("https://example.org/hook", ("job.done",))
        assert queue.summary(jane, job.id) == job
        with database.transaction(read_only=True) as transaction:
            assert set(transaction.scalars(select(JobTag.tag))) == {"nets", "may"}

    def test_events_without_a_url_are_nobodys(self, queue: JobQueue, jane: Owner, session_id: str) -> None:
        assert queue.submit(jane, session_id, BOWLING).webhook_events == ()


class TestIdempotency:
    def test_the_same_request_gives_the_same_job(self, queue: JobQueue, jane: Owner, session_id: str) -> None:
        first = queue.submit_order(jane, session_id, ORDER, once())
        second = queue.submit_order(jane, session_id, ORDER, once())
        assert (first.replayed, second.replayed) == (False, True)
        assert second.value == first.value
        assert queue.list(jane).items == (first.value,)

    def test_it_is_the_job_as_it_is_now(self, queue: JobQueue, jane: Owner, session_id: str) -> None:
        first = queue.submit_order(jane, session_id, ORDER, once()).value
        queue.cancel(jane, first.id)
        assert queue.submit_order(jane, session_id, ORDER, once()).value.status == "canceled"

    def test_another_request_is_refused_with_both_named(self, queue: JobQueue, jane: Owner, session_id: str) -> None:
        first = queue.submit_order(jane, session_id, ORDER, once()).value
        with pytest.raises(IdempotencyConflict) as conflict:
            queue.submit_order(jane, session_id, ORDER, once(letter="b"))
        for named in ("'key'", first.id, "a" * 64, "b" * 64):
            assert named in conflict.value.message
        assert queue.list(jane).items == (first,)

    def test_a_key_is_its_owners(self, queue: JobQueue, jane: Owner, session_id: str) -> None:
        queue.submit_order(jane, session_id, ORDER, once())
        other = queue.create_session(STRANGER, title="Nets", session_type="bowling").id
        assert not queue.submit_order(STRANGER, other, ORDER, once(letter="b")).replayed

    def test_it_is_free_again_after_a_day(self, queue: JobQueue, jane: Owner, session_id: str, clock: Any) -> None:
        first = queue.submit_order(jane, session_id, ORDER, once()).value
        clock.forward(24 * 3600 - 1)
        assert queue.submit_order(jane, session_id, ORDER, once()).replayed
        clock.forward(1)
        second = queue.submit_order(jane, session_id, ORDER, once(letter="b"))
        assert (second.replayed, second.value.id == first.id) == (False, False)
        assert queue.submit_order(jane, session_id, ORDER, once(letter="b")).value.id == second.value.id

    def test_what_failed_takes_no_key(self, queue: JobQueue, jane: Owner, session_id: str) -> None:
        with pytest.raises(NotFound):
            queue.submit_order(jane, "00000000-0000-4000-8000-000000000000", ORDER, once())
        assert not queue.submit_order(jane, session_id, ORDER, once(letter="b")).replayed

    def test_a_deleted_job_is_not_made_anew(
        self, queue: JobQueue, jane: Owner, session_id: str, database: Database
    ) -> None:
        queue.submit_order(jane, session_id, ORDER, once())
        with database.transaction() as transaction:
            transaction.execute(delete(VideoAnalysisJob))
        with pytest.raises(NotFound):
            queue.submit_order(jane, session_id, ORDER, once())

    def test_of_many_at_once_one_makes_it(self, queue: JobQueue, jane: Owner, session_id: str) -> None:
        start = threading.Barrier(8)

        def submit(number: int) -> tuple[str, str, bool]:
            start.wait()
            made = queue.submit_order(jane, session_id, ORDER, once(key := f"key-{number // 8}"))
            return key, made.value.id, made.replayed

        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(submit, range(80)))
        assert len({job_id for _, job_id, _ in made}) == 10
        assert len({(key, job_id) for key, job_id, _ in made}) == 10
        assert sum(not replayed for _, _, replayed in made) == 10
        assert len(queue.list(jane).items) == 10

    def test_of_two_different_ones_at_once_one_is_refused(self, queue: JobQueue, jane: Owner, session_id: str) -> None:
        start = threading.Barrier(4)

        def submit(letter: str) -> str:
            start.wait()
            try:
                return queue.submit_order(jane, session_id, ORDER, once(letter=letter)).value.id
            except IdempotencyConflict:
                return "refused"

        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(submit, "abcd"))
        assert made.count("refused") == 3

    def test_the_row_says_until_when(self, queue: JobQueue, jane: Owner, session_id: str, database: Database) -> None:
        job = queue.submit_order(jane, session_id, ORDER, once()).value
        with database.transaction(read_only=True) as transaction:
            kept = transaction.scalars(select(IdempotencyKey)).one()
        assert (kept.resource_id, kept.expires_at) == (job.id, job.created_at + timedelta(hours=24))


class TestCeiling:
    def queue(self, database: Database, clock: Any, limit: int, monotonic: Callable[[], float]) -> JobQueue:
        queue = JobQueue(database, clock=clock)
        queue.ceiling = ActiveCeiling(limit, monotonic=monotonic)
        return queue

    def test_it_holds_whatever_the_state(self, database: Database, jane: Owner, clock: Any) -> None:
        now = [100.0]
        queue = self.queue(database, clock, 3, lambda: now[0])
        session = queue.create_session(jane, title="Nets", session_type="bowling").id
        waiting = queue.submit(jane, session, BOWLING)
        queue.attach_upload(jane, session, "local", "clip.mp4", 1)
        running = claimed(queue)
        assert running.id == waiting.id
        queue.submit(jane, session, BOWLING)
        third = queue.submit(jane, session, BOWLING)
        with pytest.raises(TooManyActiveJobs, match=r"at most 3 jobs .* room for 0"):
            queue.submit(jane, session, BOWLING)
        assert len(queue.list(jane).items) == 3

        queue.cancel(jane, third.id)
        with pytest.raises(TooManyActiveJobs):
            queue.submit(jane, session, BOWLING)  # what was counted is believed for a second
        now[0] += 1.0
        queue.submit(jane, session, BOWLING)
        queue.fail(running.lease, "no_person", "Nobody there.", transient=False)
        now[0] += 1.0
        queue.submit(jane, session, BOWLING)

    def test_it_counts_once_a_second_and_each_owner_apart(
        self, database: Database, jane: Owner, clock: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now, counted = [100.0], []
        count = ActiveCeiling._count

        def counting(self: ActiveCeiling, transaction: Any, owner: Owner) -> int:
            counted.append(owner)
            return count(self, transaction, owner)

        monkeypatch.setattr(ActiveCeiling, "_count", counting)
        queue = self.queue(database, clock, 10, lambda: now[0])
        session = queue.create_session(jane, title="Nets", session_type="bowling").id
        other = queue.create_session(STRANGER, title="Nets", session_type="bowling").id
        for _ in range(5):
            queue.submit(jane, session, BOWLING)
            queue.submit(STRANGER, other, BOWLING)
        assert counted == [jane, STRANGER]
        now[0] += 1.0
        queue.submit(jane, session, BOWLING)
        assert counted == [jane, STRANGER, jane]

    def test_a_replay_needs_no_room(self, database: Database, jane: Owner, clock: Any) -> None:
        queue = self.queue(database, clock, 1, lambda: 0.0)
        session = queue.create_session(jane, title="Nets", session_type="bowling").id
        first = queue.submit_order(jane, session, ORDER, once())
        assert queue.submit_order(jane, session, ORDER, once()).value == first.value

    def test_what_is_refused_takes_no_key(self, database: Database, jane: Owner, clock: Any) -> None:
        now = [0.0]
        queue = self.queue(database, clock, 1, lambda: now[0])
        session = queue.create_session(jane, title="Nets", session_type="bowling").id
        first = queue.submit(jane, session, BOWLING)
        with pytest.raises(TooManyActiveJobs):
            queue.submit_order(jane, session, ORDER, once())
        queue.cancel(jane, first.id)
        now[0] += 1.0
        assert not queue.submit_order(jane, session, ORDER, once()).replayed


class TestRetry:
    def failed(self, queue: JobQueue, jane: Owner, session_id: str) -> Job:
        queue.submit(jane, session_id, BOWLING)
        return queue.fail(claimed(queue).lease, "no_person", "Nobody there.", transient=False)

    def test_a_failed_job_begins_again_with_its_history(
        self, queue: JobQueue, jane: Owner, session_id: str, clock: Any
    ) -> None:
        failed = self.failed(queue, jane, session_id)
        assert queue.get_session(jane, session_id).status == "failed"
        now = clock.forward(60)
        again = queue.retry(jane, failed.id)
        assert (again.status, again.stage, again.progress_pct) == ("queued", "QUEUED", 0)
        assert (again.error_code, again.error_message, again.completed_at) == (None, None, None)
        assert (again.attempt, again.max_attempts) == (1, 4)
        assert (again.available_at, again.updated_at) == (now, now)
        assert again.history == failed.history != ()
        assert queue.get_session(jane, session_id).status == "uploaded"

        job = claimed(queue)
        assert (job.id, job.attempt, job.job.started_at) == (failed.id, 2, failed.started_at)
        for _ in range(2):
            assert queue.fail(job.lease, "io_error", "No.", transient=True).status == "queued"
            clock.forward(3600)
            job = claimed(queue)
        ended = queue.fail(job.lease, "io_error", "No.", transient=True)
        assert (ended.status, [entry["attempt"] for entry in ended.history]) == ("failed", [1, 2, 3, 4])

    def test_a_job_that_was_canceled_while_it_ran(self, queue: JobQueue, jane: Owner, session_id: str) -> None:
        queue.submit(jane, session_id, BOWLING)
        running = claimed(queue)
        queue.cancel(jane, running.id)
        queue.mark_canceled(running.lease)
        again = queue.retry(jane, running.id)
        assert again.cancel_requested_at is None
        assert [(entry["attempt"], entry["error_code"]) for entry in again.history] == [(1, "canceled")]
        job = claimed(queue)
        assert job.attempt == 2
        queue.save_quick(job.lease, document=DOCUMENT, s3_key="quick")  # nothing of the old wish is left to stop it

    def test_one_that_was_canceled_in_its_lane_is_claimed_again(
        self, queue: JobQueue, jane: Owner, session_id: str, clock: Any
    ) -> None:
        first = queue.submit(jane, session_id, BOWLING)
        clock.forward(1)
        second = queue.submit(jane, session_id, BOWLING)
        assert claimed(queue).id == first.id  # and the second was put into the lane with it
        queue.cancel(jane, second.id)
        assert queue.claim("worker") is None
        again = queue.retry(jane, second.id)
        assert again.history == ()
        assert (claimed(queue).id, queue.claim("worker")) == (second.id, None)

    def test_one_without_a_video_waits_for_it_again(self, queue: JobQueue, jane: Owner) -> None:
        session = queue.create_session(jane, title="Nets", session_type="bowling").id
        job = queue.submit(jane, session, BOWLING)
        queue.cancel(jane, job.id)
        assert queue.retry(jane, job.id).status == "awaiting_upload"
        assert queue.claim("worker") is None
        queue.attach_upload(jane, session, "local", "clip.mp4", 1)
        assert claimed(queue).source_key == "clip.mp4"

    def test_one_whose_video_came_meanwhile_takes_it(self, queue: JobQueue, jane: Owner) -> None:
        session = queue.create_session(jane, title="Nets", session_type="bowling").id
        job = queue.submit(jane, session, BOWLING)
        queue.cancel(jane, job.id)
        queue.attach_upload(jane, session, "local", "clip.mp4", 1)
        again = queue.retry(jane, job.id)
        assert (again.status, again.s3_bucket, again.s3_key) == ("queued", "local", "clip.mp4")

    def test_its_input_does_not_move(self, queue: JobQueue, jane: Owner, session_id: str) -> None:
        failed = self.failed(queue, jane, session_id)
        queue.attach_upload(jane, session_id, "local", "another.mp4", 1)
        assert queue.retry(jane, failed.id).s3_key == "clip.mp4"

    @pytest.mark.parametrize(
        "status", ["awaiting_upload", "queued", "quick_running", "quick_done", "deep_running", "done"]
    )
    def test_what_has_not_failed_is_left_alone(
        self, queue: JobQueue, jane: Owner, session_id: str, database: Database, status: str
    ) -> None:
        job = queue.submit(jane, session_id, BOWLING)
        with database.transaction() as transaction:
            transaction.execute(update(VideoAnalysisJob).values(status=status))
        with pytest.raises(InvalidTransition, match=status):
            queue.retry(jane, job.id)
        assert queue.summary(jane, job.id).max_attempts == 3

    def test_of_many_retries_at_once_one_counts(self, queue: JobQueue, jane: Owner, session_id: str) -> None:
        failed = self.failed(queue, jane, session_id)
        start = threading.Barrier(4)

        def retry(_: int) -> bool:
            start.wait()
            try:
                return queue.retry(jane, failed.id).status == "queued"
            except InvalidTransition:
                return False

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(retry, range(4))) == [False, False, False, True]
        assert claimed(queue).attempt == 2

    def test_nobody_retries_what_is_not_theirs(self, queue: JobQueue, jane: Owner, session_id: str) -> None:
        failed = self.failed(queue, jane, session_id)
        with pytest.raises(NotFound):
            queue.retry(STRANGER, failed.id)
        assert queue.summary(jane, failed.id) == failed

    def test_it_needs_room(self, database: Database, jane: Owner, clock: Any) -> None:
        queue = JobQueue(database, clock=clock, max_active_jobs=1)
        session = queue.create_session(jane, title="Nets", session_type="bowling").id
        first = queue.submit(jane, session, BOWLING)
        queue.cancel(jane, first.id)
        queue.ceiling = ActiveCeiling(1)
        queue.submit(jane, session, BOWLING)
        with pytest.raises(TooManyActiveJobs):
            queue.retry(jane, first.id)
