"""Jobs in whatever state a test of the queue begins with."""

from __future__ import annotations

from typing import Any

from models.jobs import ClaimedJob, Job, Owner
from models.queue import JobQueue
from models.requests import AnalysisRequest

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
