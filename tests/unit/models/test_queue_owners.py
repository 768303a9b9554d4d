from __future__ import annotations

from typing import Any

import pytest
from queueing import BOWLING, KEY, QUICK_ONLY, claimed, document, in_deep, session_with_upload, submitted
from sqlalchemy import text

from models.database import Database
from models.errors import InvalidCursor, InvalidTransition, JobCanceled, KeyTooLong, NotFound
from models.jobs import STAGES, Job, Owner
from models.listing import JobFilter
from models.queue import JobQueue
from models.requests import AnalysisOptions, AnalysisRequest, SubjectPoint


class TestSubmit:
    def test_the_row_says_what_was_asked_for(self, queue: JobQueue, jane: Owner) -> None:
        request = AnalysisRequest(
            analysis_mode="batting",
            sample_fps=60,
            include_frames=True,
            deep_enabled=False,
            model="yolo11n-pose",
            options=AnalysisOptions(height_m=1.82, subject=(SubjectPoint(x=1, y=2, time_s=3),)),
        )
        job = queue.submit(jane, session_with_upload(queue, jane), request, priority=7)
        read = queue.summary(jane, job.id)
        assert read == job
        assert read.request() == request.model_copy(update={"camera_view": "side"})
        assert (read.s3_bucket, read.s3_key) == ("local", KEY)
        assert (read.status, read.stage, read.progress_pct, read.attempt) == ("queued", "QUEUED", 0, 0)
        assert (read.priority, read.owner_type, read.owner_id) == (7, "coach", "jane")

    def test_a_later_upload_moves_no_job_input(self, queue: JobQueue, jane: Owner) -> None:
        job = submitted(queue, jane)
        queue.attach_upload(jane, job.session_id, "local", "other.mp4", 5)
        assert queue.get(jane, job.id).s3_key == KEY

    def test_a_job_without_video_waits_for_it(self, queue: JobQueue, jane: Owner) -> None:
        session = queue.create_session(jane, title="Nets", session_type="bowling")
        job = queue.submit(jane, session.id, BOWLING)
        assert (job.status, job.stage, job.s3_key) == ("awaiting_upload", "QUEUED", None)
        assert queue.claim("worker-1") is None
        assert queue.attach_upload(jane, session.id, "local", KEY, 9).status == "uploaded"
        got = queue.claim("worker-1")
        assert got is not None
        assert (got.id, got.bucket, got.source_key) == (job.id, "local", KEY)

    def test_a_key_that_leaves_no_room_for_artifacts_is_refused(self, queue: JobQueue, jane: Owner) -> None:
        session = queue.create_session(jane, title="Nets", session_type="bowling")
        with pytest.raises(KeyTooLong):
            queue.attach_upload(jane, session.id, "local", "k" * 401, 9)
        queue.attach_upload(jane, session.id, "local", "k" * 400, 9)
        assert queue.submit(jane, session.id, BOWLING).s3_key == "k" * 400

    def test_a_long_key_in_an_older_row_is_refused_too(self, queue: JobQueue, jane: Owner, database: Database) -> None:
        session_id = session_with_upload(queue, jane)
        with database.transaction() as transaction:
            transaction.execute(text("UPDATE video_sessions SET s3_key = :key"), {"key": "k" * 401})
        with pytest.raises(KeyTooLong):
            queue.submit(jane, session_id, BOWLING)


class TestOwners:
    @pytest.mark.parametrize(
        "stranger", [Owner(owner_type="coach", owner_id="joe"), Owner(owner_type="org", owner_id="jane")]
    )
    def test_what_belongs_to_somebody_else_is_not_there(self, queue: JobQueue, jane: Owner, stranger: Owner) -> None:
        job = submitted(queue, jane)
        for look in (queue.get, queue.summary, queue.results, queue.cancel):
            with pytest.raises(NotFound):
                look(stranger, job.id)
        with pytest.raises(NotFound):
            queue.get_session(stranger, job.session_id)
        with pytest.raises(NotFound):
            queue.submit(stranger, job.session_id, BOWLING)
        with pytest.raises(NotFound):
            queue.attach_upload(stranger, job.session_id, "local", "mine.mp4", 1)
        with pytest.raises(NotFound):
            queue.list(stranger, JobFilter(session_id=job.session_id))
        assert queue.list(stranger).items == ()
        assert queue.list_sessions(stranger).items == ()
        assert queue.summary(jane, job.id) == job

    @pytest.mark.parametrize("nonsense", ["", "x\0y", "no-such-id", "a" * 1000, "'; DROP TABLE video_sessions; --"])
    def test_nonsense_is_not_there_either(self, queue: JobQueue, jane: Owner, nonsense: str) -> None:
        with pytest.raises(NotFound):
            queue.get(jane, nonsense)
        with pytest.raises(NotFound):
            queue.get_session(jane, nonsense)


class TestCancel:
    def test_waiting_jobs_at_once(self, queue: JobQueue, jane: Owner) -> None:
        job = submitted(queue, jane)
        canceled = queue.cancel(jane, job.id)
        assert (canceled.status, canceled.stage) == ("canceled", "CANCELED")
        assert queue.claim("w") is None
        assert queue.cancel(jane, job.id) == canceled

    def test_a_job_that_awaits_its_video(self, queue: JobQueue, jane: Owner) -> None:
        session = queue.create_session(jane, title="Nets", session_type="bowling")
        job = queue.submit(jane, session.id, BOWLING)
        assert queue.cancel(jane, job.id).status == "canceled"
        queue.attach_upload(jane, session.id, "local", KEY, 1)
        assert queue.summary(jane, job.id).status == "canceled"

    def test_a_running_job_through_its_worker(self, queue: JobQueue, jane: Owner) -> None:
        job = in_deep(queue, jane)
        queue.cancel(jane, job.id)
        before = queue.get(jane, job.id)
        with pytest.raises(JobCanceled):
            queue.finish(job.lease, stage="deep", document=document("deep"), s3_key="k")
        assert queue.get(jane, job.id) == before
        assert queue.mark_canceled(job.lease).status == "canceled"
        with pytest.raises(JobCanceled):
            queue.finish(job.lease, stage="deep", document=document("deep"), s3_key="k")
        assert queue.get_session(jane, job.job.session_id).status == "uploaded"

    @pytest.mark.parametrize("transient", [True, False])
    def test_a_failure_after_the_wish(self, queue: JobQueue, jane: Owner, transient: bool) -> None:
        job = claimed(queue, jane)
        queue.cancel(jane, job.id)
        assert queue.fail(job.lease, "actor_died", "gone", transient).status == "canceled"

    def test_handing_back_after_the_wish(self, queue: JobQueue, jane: Owner) -> None:
        job = claimed(queue, jane)
        queue.cancel(jane, job.id)
        assert queue.release(job.lease).status == "canceled"

    def test_too_late(self, queue: JobQueue, jane: Owner) -> None:
        job = in_deep(queue, jane)
        queue.finish(job.lease, stage="deep", document=document("deep"), s3_key="k")
        with pytest.raises(InvalidTransition):
            queue.cancel(jane, job.id)


class TestLists:
    def test_pages_hold_every_job_once_the_newest_first(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        session_id = session_with_upload(queue, jane)
        made = []
        for index in range(11):
            made.append(queue.submit(jane, session_id, BOWLING))
            clock.forward(index % 2)  # pairs of the same age
        seen: list[Job] = []
        cursor = None
        while True:
            page = queue.list(jane, limit=3, cursor=cursor)
            seen += page.items
            if page.next_cursor is None:
                break
            cursor = page.next_cursor
            if len(seen) == 3:
                queue.submit(jane, session_id, BOWLING)  # a newcomer moves no page
        assert [job.id for job in seen] == [
            job.id for job in sorted(made, key=lambda job: (job.created_at, job.id), reverse=True)
        ]

    def test_filters(self, queue: JobQueue, jane: Owner) -> None:
        first, second = claimed(queue, jane), submitted(queue, jane)
        assert [job.id for job in queue.list(jane, JobFilter(statuses=("queued",))).items] == [second.id]
        assert [job.id for job in queue.list(jane, JobFilter(session_id=first.job.session_id)).items] == [first.id]
        assert queue.list(jane, JobFilter(statuses=("done",))).items == ()

    @pytest.mark.parametrize("cursor", ["", "x", "bm9uc2Vuc2U", "é", "MjAyNi0wNS0wNCBhYmM", "\0"])
    def test_an_invented_cursor_is_refused(self, queue: JobQueue, jane: Owner, cursor: str) -> None:
        with pytest.raises(InvalidCursor):
            queue.list(jane, cursor=cursor)
        with pytest.raises(InvalidCursor):
            queue.list_sessions(jane, cursor=cursor)

    def test_sessions(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        made = []
        for index in range(5):
            made.append(queue.create_session(jane, title=f"{index} é", session_type="batting", player_ids=["p1", "p2"]))
            clock.forward(1)
        first = queue.list_sessions(jane, limit=4)
        rest = queue.list_sessions(jane, limit=4, cursor=first.next_cursor)
        assert [*first.items, *rest.items] == made[::-1]
        assert rest.next_cursor is None

    def test_counts(self, queue: JobQueue, jane: Owner) -> None:
        submitted(queue, jane)
        claimed(queue, jane)
        counts = queue.counts()
        assert set(counts) == set(STAGES)
        assert (counts["queued"], counts["quick_running"], sum(counts.values())) == (1, 1, 2)


class TestSessionStatus:
    def test_it_follows_its_jobs(self, queue: JobQueue, jane: Owner) -> None:
        session = queue.create_session(jane, title="Nets", session_type="bowling")
        assert session.status == "pending"
        queue.attach_upload(jane, session.id, "local", KEY, 1)
        for _ in range(2):
            queue.submit(jane, session.id, QUICK_ONLY)
        first, second = queue.claim("w"), queue.claim("w")
        assert first is not None
        assert second is not None
        queue.finish(first.lease, stage="quick", document=document("quick"), s3_key="k")
        assert queue.get_session(jane, session.id).status == "processing"
        queue.fail(second.lease, "no_person", "Nobody was seen.", transient=False)
        assert queue.get_session(jane, session.id).status == "ready"
