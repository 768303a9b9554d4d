"""Guardrails and log lines, on a real queue and a real folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from reports import results as hand_made

from models.documents import Results
from models.errors import ArtifactsMissing, LeaseLost
from models.queue import ClaimedJob, Owner
from models.requests import AnalysisRequest
from models.storage import Storage, StorageOptions
from pipeline.persist import Persisted, persist, persist_recording_logs

OWNER = Owner(owner_type="coach", owner_id="jane")
FILES = {"report.html": b"<!doctype html>", "poses.parquet": b"PAR1"}


@pytest.fixture
def options(sqlite_url: str, tmp_path: Path) -> StorageOptions:
    return StorageOptions(database_url=sqlite_url, folder=tmp_path / "artifacts")


@pytest.fixture
def storage(options: StorageOptions) -> Iterator[Storage]:
    opened = options.open()
    yield opened
    opened.close()


def _claimed(storage: Storage, *, deep: bool) -> ClaimedJob:
    session = storage.queue.create_session(OWNER, title="Nets", session_type="bowling")
    storage.queue.attach_upload(OWNER, session.id, "local", f"sessions/{session.id}/source/clip.mp4", 10)
    storage.queue.submit(OWNER, session.id, AnalysisRequest(analysis_mode="bowling", deep_enabled=deep))
    claimed = storage.queue.claim("worker-1")
    assert claimed is not None
    return claimed


def _good() -> Results:
    return hand_made()


def _without(*names: str) -> Results:
    """What a stage that lost a document would hand over."""
    return _good().model_copy(update=dict.fromkeys(names))


def test_both_stages_say_what_the_runbook_looks_for(storage: Storage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="pipeline.persist")
    job, results = _claimed(storage, deep=True), _good()
    quick_key = persist(storage, job, "quick", results, None)
    storage.queue.start_deep(job.lease)
    deep_key = persist(storage, job, "deep", results, FILES)
    sizes = f"findings_len={len(results.findings.findings)} report_len={len(results.report.text)}"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", f"Saving quick results to S3: job_id={job.id} bucket=local key={quick_key}"),
        ("INFO", f"Persisted job artifacts: job_id={job.id} {sizes}"),
        ("INFO", f"Saving deep results to S3: job_id={job.id} bucket=local key={deep_key}"),
        ("INFO", f"Persisted job artifacts: job_id={job.id} {sizes}"),
        ("INFO", f"[PERSISTED] Deep job completed: job_id={job.id} deep_results_s3_key={deep_key} {sizes}"),
    ]
    assert vars(caplog.records[-1])["deep_results_s3_key"] == deep_key
    folder = job.source_key.rpartition("/")[0]
    assert deep_key == f"{folder}/analysis/{job.id}/1/deep_results.json"
    assert storage.store.exists("local", f"{folder}/analysis/{job.id}/1/report.html")


def test_a_quick_only_job_has_its_own_words(storage: Storage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="pipeline.persist")
    job = _claimed(storage, deep=False)
    key = persist(storage, job, "quick", _good(), FILES)
    assert caplog.messages[-1].startswith(
        f"[PERSISTED] Quick-only job completed: job_id={job.id} quick_results_s3_key={key} findings_len="
    )


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (("findings", "report"), "findings=MISSING report=MISSING"),
        (("report",), "findings=present report=MISSING"),
        (("findings",), "findings=MISSING report=present"),
    ],
)
@pytest.mark.parametrize(("deep", "label"), [(True, "Deep"), (False, "Quick-only")])
def test_the_guardrails_fail_the_job_and_say_what_is_missing(
    storage: Storage, caplog: pytest.LogCaptureFixture, *, deep: bool, label: str, lost: tuple[str, ...], words: str
) -> None:
    job = _claimed(storage, deep=deep)
    if deep:
        persist(storage, job, "quick", _good(), None)
        storage.queue.start_deep(job.lease)
    with pytest.raises(ArtifactsMissing):
        persist(storage, job, "deep" if deep else "quick", _without(*lost), FILES)
    (error,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert error.getMessage() == (f"{label} job failed validation: job_id={job.id} Critical artifacts missing: {words}")
    row = storage.queue.get(OWNER, job.id)
    assert (row.status, row.error_code, row.deep_findings, row.deep_report) == (
        "failed",
        "artifacts_missing",
        None,
        None,
    )
    assert row.deep_results_s3_key is None
    assert (row.quick_report is not None) is deep


def test_a_deep_job_that_fails_in_its_quick_stage_is_a_deep_job(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    job = _claimed(storage, deep=True)
    with pytest.raises(ArtifactsMissing):
        persist(storage, job, "quick", _without("report"), None)
    words = "Critical artifacts missing: findings=present report=MISSING"
    assert caplog.messages[-1] == f"Deep job failed validation: job_id={job.id} {words}"


def test_whoever_lost_the_lease_changes_nothing(storage: Storage) -> None:
    job = _claimed(storage, deep=False)
    storage.queue.release(job.lease)
    with pytest.raises(LeaseLost):
        persist(storage, job, "quick", _good(), FILES)
    assert storage.queue.get(OWNER, job.id).status == "queued"


def test_no_attempt_writes_where_another_one_wrote(storage: Storage) -> None:
    """Handed back, tried again by its owner: a worker that comes late finds its own folder and no other's."""
    first = _claimed(storage, deep=False)
    storage.queue.release(first.lease)
    second = storage.queue.claim("worker-2")
    assert second is not None
    storage.queue.fail(second.lease, "no_person", "Nobody there.", False)
    storage.queue.retry(OWNER, first.id)
    third = storage.queue.claim("worker-3")
    assert third is not None
    key = persist(storage, third, "quick", _good(), {"report.html": b"the winner's"})
    for late in (first, second):
        with pytest.raises(LeaseLost):
            persist(storage, late, "quick", _good(), {"report.html": b"late"})
    report = b"".join(storage.store.open("local", key.replace("quick_results.json", "report.html")).chunks)
    assert report == b"the winner's"
    row = storage.queue.get(OWNER, first.id)
    assert (row.quick_results_s3_key, row.attempt, row.status) == (key, 3, "done")


def test_the_task_brings_its_records_and_its_error_back(options: StorageOptions, storage: Storage) -> None:
    job = _claimed(storage, deep=False)
    failed = persist_recording_logs(options, job, "quick", _without("report"), FILES)
    assert isinstance(failed, Persisted)
    assert isinstance(failed.error, ArtifactsMissing)
    assert [record.levelname for record in failed.records] == ["INFO", "ERROR"]
    assert vars(failed.records[0])["job_id"] == job.id

    again = _claimed(storage, deep=False)
    done = persist_recording_logs(options, again, "quick", _good(), FILES)
    assert (done.error, len(done.records)) == (None, 3)
    assert storage.queue.get(OWNER, again.id).status == "done"
