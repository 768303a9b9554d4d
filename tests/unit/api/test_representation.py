"""What a job looks like over HTTP, without HTTP: its words, its tag, when to ask again."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from api.representation import retry_after_ms, show, summary, tag_matches
from api.schemas import JobRead, JobSummary
from models.jobs import STAGES, TERMINAL, Job, Owner
from models.outlook import Outlook
from models.reading import StoredJob

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
JOB = Job(
    id="job-1",
    session_id="session-1",
    owner=Owner(owner_type="coach", owner_id="jane"),
    created_at=NOW,
    updated_at=NOW.replace(microsecond=5),
    analysis_mode="bowling",
    camera_view=None,
    sample_fps=None,
    include_frames=False,
    deep_enabled=True,
    priority=0,
    model=None,
    resolved_model=None,
    options={"audience": "player"},
    s3_bucket="local",
    s3_key="clip.mp4",
    status="queued",
    stage="QUEUED",
    progress_pct=0,
    error_code=None,
    error_message=None,
    attempt=0,
    max_attempts=3,
    available_at=NOW,
    worker_id="worker@host-17",
    lease_expires_at=None,
    cancel_requested_at=None,
    history=(),
    started_at=None,
    completed_at=None,
    quick_started_at=None,
    quick_completed_at=None,
    deep_started_at=None,
    deep_completed_at=None,
    quick_results_s3_key=None,
    deep_results_s3_key=None,
    crashes=0,
    batch_id=None,
    tags=("nets",),
    client_metadata={"camera": "phöne"},
    webhook_url=None,
    webhook_events=(),
    progress_updated_at=None,
)
NOTHING = dict.fromkeys(("quick_findings", "quick_report", "deep_findings", "deep_report"))
LOST = {
    "attempt": 1,
    "worker_id": "worker@host-17",
    "error_code": "lease_expired",
    "error_message": "The worker stopped answering.",
    "ended_at": "2026-05-04T09:31:00+00:00",
}


def stored(job: Job = JOB, **documents: str | None) -> StoredJob:
    return StoredJob(job=job, documents=NOTHING | documents, blobs={})


def changed(**values: Any) -> Job:
    return dataclasses.replace(JOB, **values)


def test_a_summary_is_what_its_schema_says() -> None:
    written = summary(JOB)
    assert JobSummary.model_validate(written).model_dump(mode="json") == written
    assert set(written) == set(JobSummary.model_fields)
    assert (written["created_at"], written["updated_at"]) == ("2026-05-04T09:30:00Z", "2026-05-04T09:30:00.000005Z")
    assert (written["tags"], written["metadata"]) == (["nets"], {"camera": "phöne"})
    assert "host-17" not in json.dumps(written)


def test_what_is_shown_is_what_its_schema_says() -> None:
    shown = show(stored(deep_findings='{"findings": []}'), Outlook(queue_position="1000+", eta_s=None))
    written = json.loads(shown.body)
    assert set(written) == set(JobRead.model_fields) - {"quick_results", "deep_results", "results"}
    assert JobRead.model_validate(written).model_dump(mode="json", exclude_unset=True) == written
    assert {name: written[name] for name in summary(JOB)} == summary(JOB) | {"retry_after_ms": 30_000}
    assert written["deep_findings"] == {"findings": []}
    assert written["quick_findings"] is None
    assert written["queue_position"] == "1000+"
    assert not shown.has_deep_result  # half of one is none


def test_blobs_are_added_as_they_are_stored() -> None:
    blobs = {"quick_results": '{"a":  1}', "results": None}
    shown = show(StoredJob(job=JOB, documents=NOTHING, blobs=blobs))
    assert json.loads(shown.body)["quick_results"] == {"a": 1}
    assert json.loads(shown.body)["results"] is None
    assert b'"deep_results"' not in shown.body
    assert shown.etag != show(stored()).etag  # another representation of the same job


@pytest.mark.parametrize(
    "values",
    [
        {"status": "quick_running"},
        {"progress_pct": 3},
        {"attempt": 1},
        {"cancel_requested_at": NOW},
        {"updated_at": NOW},
        {"history": (LOST,)},
        {"resolved_model": "net@1"},
        {"deep_results_s3_key": "key"},
        {"client_metadata": {}},
    ],
)
def test_the_tag_changes_with_whatever_is_seen(values: dict[str, Any]) -> None:
    assert show(stored(changed(**values))).etag != show(stored()).etag


def test_the_tag_knows_documents_and_neither_place_nor_eta() -> None:
    tag = show(stored()).etag
    assert tag.startswith('W/"')
    assert show(stored(quick_report='{"text": "x"}')).etag != tag
    assert show(stored(), Outlook(queue_position=7, eta_s=900)).etag == tag
    assert show(stored(changed(worker_id="another", crashes=2))).etag == tag  # nobody sees these


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        ('W/"a1"', True),
        ('"a1"', True),
        ("*", True),
        ('"b2", W/"a1"', True),
        ('"b2",W/"c3"', False),
        ("a1", False),
        ('W/"a1', False),
        ("", False),
        ('"*"', False),
    ],
)
def test_if_none_match_is_compared_weakly(header: str, matches: bool) -> None:
    assert tag_matches(header, 'W/"a1"') is matches


def test_patience_grows_with_the_wait_and_ends_with_the_job() -> None:
    queued = [
        retry_after_ms(JOB, Outlook(queue_position=position, eta_s=eta))
        for position, eta in ((1, None), (3, 10), (50, 120), (900, 9000), ("1000+", None))
    ]
    assert queued == [2_000, 2_000, 12_000, 30_000, 30_000]
    assert retry_after_ms(changed(status="quick_running"), Outlook(eta_s=5)) == 1_000
    assert retry_after_ms(changed(status="deep_running"), Outlook(eta_s=70)) == 7_000
    assert retry_after_ms(changed(status="awaiting_upload")) == 5_000
    assert [retry_after_ms(changed(status=status)) for status in TERMINAL] == [None] * 3


@pytest.mark.parametrize("status", STAGES)
def test_only_the_last_states_are_terminal(status: str) -> None:
    assert summary(changed(status=status))["is_terminal"] is (status in {"done", "failed", "canceled"})


def test_attempts_tell_how_each_ended() -> None:
    handed_back = LOST | {"attempt": 2, "error_code": "handed_back"}
    running = summary(changed(attempt=3, status="deep_running", history=(LOST, handed_back)))
    assert [(told["attempt"], told["status"]) for told in running["attempts"]] == [
        (1, "failed"),
        (2, "handed_back"),
        (3, "running"),
    ]
    lost, back, now = running["attempts"]
    assert lost["error"]["code"] == "lease_expired"
    assert lost["ended_at"] == "2026-05-04T09:31:00Z"
    assert back["error"] is now["error"] is now["ended_at"] is None
    waiting = summary(changed(attempt=1, history=(LOST,)))
    assert [told["attempt"] for told in waiting["attempts"]] == [1]
    assert waiting["error"] is None  # tried again
    done = summary(changed(attempt=2, status="done", completed_at=NOW, history=(LOST,)))
    assert done["attempts"][1:] == [{"attempt": 2, "status": "done", "ended_at": "2026-05-04T09:30:00Z", "error": None}]


@pytest.mark.parametrize(
    ("values", "retryable"),
    [
        ({"attempt": 1, "history": (LOST | {"retryable": False},)}, False),
        ({"attempt": 3, "history": (LOST | {"attempt": 3, "retryable": True},)}, True),
        ({"attempt": 3, "history": (LOST | {"attempt": 3},)}, True),  # as v0.1.0 wrote it: tried as often as allowed
        ({"attempt": 1, "history": (LOST,)}, False),
        ({"attempt": 1, "history": ()}, False),
    ],
)
def test_a_failed_job_says_why(values: dict[str, Any], retryable: bool) -> None:
    failed = summary(changed(status="failed", error_code="no_person", error_message="Nobody is in it.", **values))
    assert failed["error"] == {"code": "no_person", "message": "Nobody is in it.", "retryable": retryable}
    assert (failed["error_code"], failed["error_message"]) == ("no_person", "Nobody is in it.")
