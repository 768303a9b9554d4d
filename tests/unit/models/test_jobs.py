from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from models.errors import InvalidCursor, SourceMissing
from models.jobs import ClaimedJob, Owner, artifact_presence, decode_cursor, encode_cursor, missing_artifacts
from models.queue import JobQueue
from models.requests import AnalysisRequest

FINDINGS: dict[str, Any] = {"findings": [], "overall_level": "high"}
REPORT: dict[str, Any] = {"text": "words", "sections": [{}]}


def test_nothing_is_missing() -> None:
    assert artifact_presence(FINDINGS, REPORT) == {"findings": "present", "report": "present"}
    assert missing_artifacts(FINDINGS, REPORT) is None


def test_the_words_operators_search_for() -> None:
    assert missing_artifacts(None, None) == "Critical artifacts missing: findings=MISSING report=MISSING"
    assert missing_artifacts(FINDINGS, {}) == "Critical artifacts missing: findings=present report=MISSING"
    assert missing_artifacts([], REPORT) == "Critical artifacts missing: findings=MISSING report=present"


def test_a_cursor_leads_back() -> None:
    moment = datetime(2026, 5, 4, 9, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    assert decode_cursor(encode_cursor(moment, "id-1")) == (moment.astimezone(UTC), "id-1")


@pytest.mark.parametrize("moment", ["2026-05-04T09:30:00", "0001-01-01T00:00:00+23:00", "soon"])
def test_a_moment_that_is_not_utc_is_no_cursor(moment: str) -> None:
    import base64

    with pytest.raises(InvalidCursor):
        decode_cursor(base64.urlsafe_b64encode(f"{moment} id".encode()).decode())


def test_a_claimed_job_travels(queue: JobQueue, jane: Owner) -> None:
    session = queue.create_session(jane, title="Nets", session_type="bowling")
    queue.attach_upload(jane, session.id, "local", "clip.mp4", 1)
    queue.submit(jane, session.id, AnalysisRequest(analysis_mode="bowling"))
    job = queue.claim("w")
    assert job is not None
    assert pickle.loads(pickle.dumps(job)) == job  # noqa: S301 - our own bytes


def test_a_job_without_source_says_so(queue: JobQueue, jane: Owner) -> None:
    session = queue.create_session(jane, title="Nets", session_type="bowling")
    queue.submit(jane, session.id, AnalysisRequest(analysis_mode="bowling"))
    queue.attach_upload(jane, session.id, "local", "clip.mp4", 1)
    job = queue.claim("w")
    assert job is not None
    from dataclasses import replace

    orphan = ClaimedJob(job=replace(job.job, s3_bucket=None, s3_key=None), lease=job.lease)
    for look in (lambda: orphan.bucket, lambda: orphan.source_key):
        with pytest.raises(SourceMissing):
            look()
