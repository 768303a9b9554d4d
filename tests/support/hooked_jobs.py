"""Jobs with a webhook, and how they go."""

from __future__ import annotations

from typing import Any

from models.jobs import ClaimedJob, Job, Owner
from models.outbox import Delivery, Outbox
from models.queue import JobQueue
from models.requests import AnalysisRequest, JobExtras, WebhookEvent

URL = "https://hooks.example.com/frontfoot"
ALL: tuple[WebhookEvent, ...] = ("job.quick_done", "job.done", "job.failed", "job.canceled")
FINDINGS: dict[str, Any] = {"findings": [{"id": "a"}, {"id": "b"}], "overall_level": "medium"}
DOCUMENT: dict[str, Any] = {
    "findings": FINDINGS,
    "report": {"text": "**Overall Assessment**: …", "sections": [{"id": "summary"}]},
}


class Nets:
    """Jobs with a webhook, and how they go."""

    def __init__(self, queue: JobQueue, owner: Owner) -> None:
        self.queue, self.owner = queue, owner

    def submitted(
        self, *, events: tuple[WebhookEvent, ...] = ALL, url: str | None = URL, deep: bool = True, **extras: Any
    ) -> Job:
        session = self.queue.create_session(self.owner, title="Jane's nets", notes="shy", session_type="bowling")
        self.queue.attach_upload(self.owner, session.id, "local", f"sessions/{session.id}/clip.mp4", 1000)
        asked = AnalysisRequest(analysis_mode="bowling", deep_enabled=deep)
        attached = JobExtras(webhook_url=url, webhook_events=events, **extras)
        return self.queue.submit(self.owner, session.id, asked, extras=attached)

    def claimed(self, **wishes: Any) -> ClaimedJob:
        self.submitted(**wishes)
        job = self.queue.claim("worker-1")
        assert job is not None
        return job

    def done(self, **wishes: Any) -> Job:
        return self.finished(self.claimed(**wishes))

    def finished(self, job: ClaimedJob) -> Job:
        self.queue.save_quick(job.lease, document=DOCUMENT, s3_key="quick")
        self.queue.start_deep(job.lease)
        return self.queue.finish(job.lease, stage="deep", document=DOCUMENT, s3_key="deep")


def claimed(outbox: Outbox) -> Delivery:
    (delivery,) = outbox.claim_due(10)
    return delivery
