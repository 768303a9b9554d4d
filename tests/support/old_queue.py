"""The queue of whatever code PYTHONPATH names, driven line by line: a JSON list in (method, arguments), JSON out.

Runs in a process of its own, with the code of an earlier release; so it uses nothing of this project but that.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import models.queue
from models.database import Database, schema_state
from models.errors import StoreError
from models.queue import ClaimedJob, JobQueue, Lease, Owner
from models.requests import AnalysisRequest

DOCUMENT = {
    "findings": {"findings": [], "overall_level": "low"},
    "report": {"text": "**Overall Assessment**: …", "sections": [{"id": "summary"}]},
}
OWNER = Owner(owner_type="coach", owner_id="jane")


class Driver:
    """The queue's methods with arguments that JSON can carry: jobs and leases by the job's id."""

    def __init__(self, url: str, lease_s: float) -> None:
        self._database = Database(url)
        self._queue = JobQueue(self._database, lease_s=lease_s, backoff_s=0)
        self._leases: dict[str, Lease] = {}

    def where(self) -> str:
        """Which code this is."""
        return str(models.queue.__file__)

    def schema(self) -> str:
        return schema_state(self._database)

    def submit(self, session_id: str) -> str:
        return self._queue.submit(OWNER, session_id, AnalysisRequest(analysis_mode="bowling", deep_enabled=False)).id

    def claim(self) -> tuple[str, int] | None:
        claimed: ClaimedJob | None = self._queue.claim("v0.1.0")
        if claimed is None:
            return None
        self._leases[claimed.id] = claimed.lease
        return claimed.id, claimed.attempt

    def cancel_requested(self, job_id: str) -> bool:
        return bool(self._queue.heartbeat(self._leases[job_id], 1).cancel_requested)  # type: ignore[attr-defined]  # v0.1.0

    def fail(self, job_id: str) -> str:
        return self._queue.fail(self._leases[job_id], "io_error", "The disk is full.", transient=True).status

    def release(self, job_id: str) -> str:
        return self._queue.release(self._leases[job_id]).status

    def finish(self, job_id: str) -> str:
        return self._queue.finish(self._leases[job_id], stage="quick", document=DOCUMENT, s3_key="old").status

    def cancel(self, job_id: str) -> str:
        return self._queue.cancel(OWNER, job_id).status

    def requeue_expired(self) -> int:
        return self._queue.requeue_expired()

    def read(self, job_id: str) -> tuple[str, int, bool]:
        job = self._queue.get(OWNER, job_id)
        return job.status, job.attempt, job.quick_findings is not None


def main() -> None:
    driver = Driver(sys.argv[1], float(sys.argv[2]))
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        answer: Any
        try:
            answer = getattr(driver, name)(*arguments)
        except StoreError as error:
            answer = error.code
        print(json.dumps(answer), flush=True)  # noqa: T201 - whoever drives it reads this


if __name__ == "__main__":
    main()
