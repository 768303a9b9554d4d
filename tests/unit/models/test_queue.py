from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from models.database import Database
from models.errors import (
    ArtifactsMissing,
    InvalidCursor,
    InvalidTransition,
    JobCanceled,
    KeyTooLong,
    LeaseLost,
    NotFound,
)
from models.jobs import STAGES, ClaimedJob, Job, Owner
from models.listing import JobFilter
from models.queue import JobQueue
from models.requests import AnalysisOptions, AnalysisRequest, SubjectPoint
from models.tables import VideoAnalysisJob

BOWLING = AnalysisRequest(analysis_mode="bowling")
QUICK_ONLY = AnalysisRequest(analysis_mode="bowling", deep_enabled=False)
KEY = "sessions/one/source/clip.mp4"
FINDINGS: dict[str, Any] = {"findings": [], "overall_level": "low"}
REPORT: dict[str, Any] = {"text": "**Overall Assessment**: …", "sections": [{"id": "summary"}]}


def document(stage: str, **changes: object) -> dict[str, Any]:
    return {"stage": stage, "findings": FINDINGS, "report": REPORT, **changes}


def session_with_upload(queue: JobQueue, owner: Owner) -> str:
    session = queue.create_session(owner, title="Nets", session_type="bowling", camera_view="side")
    queue.attach_upload(owner, session.id, "local", KEY, 1000)
    return session.id


def submitted(queue: JobQueue, owner: Owner, request: AnalysisRequest = BOWLING, priority: int = 0) -> Job:
    return queue.submit(owner, session_with_upload(queue, owner), request, priority)


def claimed(queue: JobQueue, owner: Owner, request: AnalysisRequest = BOWLING) -> ClaimedJob:
    submitted(queue, owner, request)
    job = queue.claim("worker-1")
    assert job is not None
    return job


def in_deep(queue: JobQueue, owner: Owner) -> ClaimedJob:
    job = claimed(queue, owner)
    queue.save_quick(job.lease, document=document("quick"), s3_key="quick-key")
    queue.start_deep(job.lease)
    return job


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


class TestHeartbeat:
    def test_it_renews_the_lease(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        job = claimed(queue, jane)
        now = clock.forward(59)
        queue.heartbeat(job.lease, 1)
        assert queue.summary(jane, job.id).lease_expires_at == now + timedelta(seconds=60)
        clock.forward(59)
        assert queue.requeue_expired() == 0

    def test_progress_stays_in_its_stage_and_never_goes_back(self, queue: JobQueue, jane: Owner) -> None:
        job = claimed(queue, jane)

        def shown(progress: float) -> int:
            queue.heartbeat(job.lease, progress)
            return queue.summary(jane, job.id).progress_pct

        assert [shown(progress) for progress in (-5, 12.9, 7, 80)] == [0, 12, 12, 50]
        queue.save_quick(job.lease, document=document("quick"), s3_key="k")
        assert shown(99) == 50
        queue.start_deep(job.lease)
        assert [shown(progress) for progress in (3, 77, 60, 250)] == [50, 77, 77, 99]

    def test_it_brings_the_wish_to_cancel(self, queue: JobQueue, jane: Owner) -> None:
        job = claimed(queue, jane)
        assert not queue.heartbeat(job.lease, 1).cancel_requested
        assert queue.cancel(jane, job.id).status == "quick_running"
        assert queue.heartbeat(job.lease, 1).cancel_requested


class TestResults:
    def test_quick_then_deep(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        job = claimed(queue, jane)
        clock.forward(3)
        saved = queue.save_quick(job.lease, document=document("quick"), s3_key="quick-key")
        assert (saved.status, saved.stage, saved.progress_pct) == ("quick_done", "QUICK_DONE", 50)
        meanwhile = queue.get(jane, job.id)
        assert (meanwhile.quick_findings, meanwhile.quick_report) == (FINDINGS, REPORT)
        assert queue.results(jane, job.id).results is None
        clock.forward(1)
        assert queue.start_deep(job.lease).stage == "DEEP"
        clock.forward(5)
        queue.finish(job.lease, stage="deep", document=document("deep"), s3_key="deep-key")

        done = queue.get(jane, job.id)
        assert (done.status, done.stage, done.progress_pct, done.error_code) == ("done", "DONE", 100, None)
        assert (done.deep_findings, done.deep_report) == (FINDINGS, REPORT)
        assert (done.quick_results_s3_key, done.deep_results_s3_key) == ("quick-key", "deep-key")
        assert done.lease_expires_at is None
        start = done.started_at
        assert start is not None
        times = (done.quick_started_at, done.quick_completed_at, done.deep_started_at, done.deep_completed_at)
        assert [(moment - start).total_seconds() for moment in times if moment] == [0, 3, 4, 9]
        assert done.completed_at == done.deep_completed_at
        results = queue.results(jane, job.id)
        assert results.results == {"quick": document("quick"), "deep": document("deep")}
        assert (results.quick_results, results.deep_results) == (document("quick"), document("deep"))
        assert queue.get_session(jane, job.job.session_id).status == "ready"

    def test_quick_only(self, queue: JobQueue, jane: Owner, database: Database) -> None:
        job = claimed(queue, jane, QUICK_ONLY)
        queue.finish(job.lease, stage="quick", document=document("quick"), s3_key="quick-key")
        done = queue.get(jane, job.id)
        assert (done.status, done.progress_pct, done.quick_results_s3_key) == ("done", 100, "quick-key")
        assert queue.results(jane, job.id).results == {"quick": document("quick"), "deep": None}
        with database.transaction() as transaction:
            nulls = transaction.execute(
                text("SELECT deep_findings IS NULL, deep_report IS NULL, deep_results IS NULL FROM video_analysis_jobs")
            ).one()
        assert [bool(null) for null in nulls] == [True, True, True]

    def test_stages_come_in_order(self, queue: JobQueue, jane: Owner) -> None:
        job = claimed(queue, jane)
        with pytest.raises(InvalidTransition):
            queue.start_deep(job.lease)
        with pytest.raises(InvalidTransition):
            queue.finish(job.lease, stage="deep", document=document("deep"), s3_key="k")
        with pytest.raises(InvalidTransition):
            queue.finish(job.lease, stage="quick", document=document("quick"), s3_key="k")
        only = claimed(queue, jane, QUICK_ONLY)
        with pytest.raises(InvalidTransition):
            queue.save_quick(only.lease, document=document("quick"), s3_key="k")
        assert queue.summary(jane, job.id).status == queue.summary(jane, only.id).status == "quick_running"

    def test_nan_is_refused_before_anything_is_written(self, queue: JobQueue, jane: Owner) -> None:
        job = claimed(queue, jane)
        with pytest.raises(Exception, match="not JSON compliant"):
            queue.save_quick(job.lease, document=document("quick", metrics=float("nan")), s3_key="k")
        assert queue.summary(jane, job.id).status == "quick_running"


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"findings": None}, "findings=MISSING report=present"),
    ({"findings": {"overall_level": "low"}}, "findings=MISSING report=present"),
    ({"findings": {"findings": "none", "overall_level": "low"}}, "findings=MISSING report=present"),
    ({"findings": {"findings": []}}, "findings=MISSING report=present"),
    ({"findings": {"findings": [], "overall_level": ["low"]}}, "findings=MISSING report=present"),
    ({"report": None}, "findings=present report=MISSING"),
    ({"report": {"text": " ", "sections": [1]}}, "findings=present report=MISSING"),
    ({"report": {"text": "words", "sections": []}}, "findings=present report=MISSING"),
    ({"report": {"sections": [1]}}, "findings=present report=MISSING"),
    ({"findings": None, "report": "words"}, "findings=MISSING report=MISSING"),
]


class TestGuardrails:
    @pytest.mark.parametrize(("broken", "words"), BROKEN)
    def test_a_deep_job_without_its_artifacts_fails(
        self, queue: JobQueue, jane: Owner, broken: dict[str, Any], words: str
    ) -> None:
        job = in_deep(queue, jane)
        with pytest.raises(ArtifactsMissing) as raised:
            queue.finish(job.lease, stage="deep", document=document("deep", **broken), s3_key="k")
        assert raised.value.message == f"Critical artifacts missing: {words}"
        failed = queue.get(jane, job.id)
        assert (failed.status, failed.stage, failed.error_code) == ("failed", "FAILED", "artifacts_missing")
        assert failed.error_message == raised.value.message
        assert (failed.deep_findings, failed.deep_report, failed.deep_results_s3_key) == (None, None, None)
        assert (failed.quick_findings, failed.quick_report) == (FINDINGS, REPORT)
        assert queue.results(jane, job.id).deep_results is None
        assert queue.get_session(jane, job.job.session_id).status == "failed"

    def test_a_quick_job_without_its_artifacts_fails(self, queue: JobQueue, jane: Owner) -> None:
        for job, save in (
            (claimed(queue, jane), queue.save_quick),
            (claimed(queue, jane, QUICK_ONLY), lambda lease, **rest: queue.finish(lease, stage="quick", **rest)),
        ):
            with pytest.raises(ArtifactsMissing):
                save(job.lease, document={"stage": "quick"}, s3_key="k")
            failed = queue.get(jane, job.id)
            assert (failed.status, failed.quick_report, failed.quick_results_s3_key) == ("failed", None, None)

    def test_empty_findings_are_findings(self, queue: JobQueue, jane: Owner) -> None:
        job = in_deep(queue, jane)
        queue.finish(job.lease, stage="deep", document=document("deep"), s3_key="k")
        assert queue.summary(jane, job.id).status == "done"


class TestLostLease:
    def test_whoever_lost_it_changes_nothing(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        late = in_deep(queue, jane)
        clock.forward(61)
        assert queue.requeue_expired() == 1
        current = queue.claim("worker-2")
        assert current is not None
        assert current.id == late.id
        before = queue.get(jane, late.id)
        for act in (
            lambda: queue.heartbeat(late.lease, 90),
            lambda: queue.save_quick(late.lease, document=document("late"), s3_key="late"),
            lambda: queue.start_deep(late.lease),
            lambda: queue.finish(late.lease, stage="deep", document=document("late"), s3_key="late"),
            lambda: queue.finish(late.lease, stage="deep", document={}, s3_key="late"),
            lambda: queue.fail(late.lease, "code", "message", transient=False),
            lambda: queue.release(late.lease),
            lambda: queue.mark_canceled(late.lease),
        ):
            with pytest.raises(LeaseLost):
                act()
        assert queue.get(jane, late.id) == before
        queue.save_quick(current.lease, document=document("quick"), s3_key="k")

    def test_a_lease_that_nobody_took_over_still_finishes(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        job = in_deep(queue, jane)
        clock.forward(3600)
        queue.finish(job.lease, stage="deep", document=document("deep"), s3_key="k")
        assert queue.requeue_expired() == 0
        assert queue.summary(jane, job.id).status == "done"

    def test_a_deleted_job_is_lost(self, queue: JobQueue, jane: Owner, database: Database) -> None:
        job = claimed(queue, jane)
        with database.transaction() as transaction:
            transaction.execute(text("DELETE FROM video_sessions"))
            assert transaction.scalar(text("SELECT count(*) FROM video_analysis_jobs")) == 0
        with pytest.raises(LeaseLost):
            queue.heartbeat(job.lease, 1)


class TestFailure:
    def test_back_off_doubles_and_then_the_job_failed(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        job = claimed(queue, jane)
        for wait in (5, 10):
            queue.heartbeat(job.lease, 30)
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

    def test_handing_back_costs_no_attempt(self, queue: JobQueue, jane: Owner) -> None:
        job = claimed(queue, jane)
        for attempt in range(2, 7):
            back = queue.release(job.lease)
            assert (back.status, back.max_attempts - back.attempt, back.history) == ("queued", 3, ())
            job = queue.claim("w")  # type: ignore[assignment]
            assert job.attempt == attempt


class TestExpiry:
    def test_silent_workers_lose_their_jobs(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        jobs = [claimed(queue, jane), in_deep(queue, jane)]
        clock.forward(60)
        assert queue.requeue_expired() == 0
        clock.forward(0.001)
        assert queue.requeue_expired() == 2
        for job in jobs:
            again = queue.summary(jane, job.id)
            assert (again.status, again.available_at, again.attempt) == ("queued", clock.now, 1)
            assert again.history[0]["error_code"] == "lease_expired"
            assert queue.get_session(jane, again.session_id).status == "uploaded"
        assert queue.requeue_expired() == 0

    def test_a_job_that_kills_its_workers_ends(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        job = claimed(queue, jane)
        for _ in range(2):
            clock.forward(61)
            assert queue.requeue_expired() == 1
            assert queue.claim("w") is not None
        clock.forward(61)
        assert queue.requeue_expired() == 1
        failed = queue.summary(jane, job.id)
        assert (failed.status, failed.error_code) == ("failed", "lease_expired")

    def test_a_canceled_job_is_not_begun_again(self, queue: JobQueue, jane: Owner, clock: Any) -> None:
        job = claimed(queue, jane)
        queue.cancel(jane, job.id)
        clock.forward(61)
        assert queue.requeue_expired() == 1
        assert queue.summary(jane, job.id).status == "canceled"


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
