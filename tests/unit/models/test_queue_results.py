from __future__ import annotations

from typing import Any

import pytest
from queueing import FINDINGS, QUICK_ONLY, REPORT, claimed, document, in_deep
from sqlalchemy import text

from models.database import Database
from models.errors import ArtifactsMissing, InvalidTransition
from models.jobs import Owner
from models.queue import JobQueue


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
