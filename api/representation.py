"""A job over HTTP, as pure functions of what is stored: its words, its bytes, its entity tag, when to ask again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from models.jobs import RUNNING, TERMINAL, Job
from models.outlook import Outlook
from models.reading import StoredJob
from models.watching import JobState, state_of
from models.wire import Json, job_document

_AWAITING_UPLOAD_MS = 5_000
_LONGEST_MS = 30_000
_LOOKS = 10
"""How often somebody who heeds `retry_after_ms` looks while the job is expected to take its time."""

NO_OUTLOOK = Outlook()


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A job as one answer shows it."""

    job_id: str
    state: JobState
    etag: str
    """Weak: where the job stands in the queue, and when to ask again, do not enter it."""
    body: bytes = field(repr=False)
    retry_after_ms: int | None
    has_deep_result: bool


def summary(job: Job) -> Json:
    """A job as lists and the answers to POST show it; JSON values only."""
    return job_document(job) | {"retry_after_ms": retry_after_ms(job)}


def show(stored: StoredJob, outlook: Outlook = NO_OUTLOOK) -> Shown:
    """A job as `GET` shows it, with its findings and reports at the top level, and the blobs that were asked for.

    The documents go out as they are stored: JSON text that nobody parses on the way.
    """
    job = stored.job
    keys = {"quick_results_s3_key": job.quick_results_s3_key, "deep_results_s3_key": job.deep_results_s3_key}
    steady = f"{_json(job_document(job) | keys)[:-1]}{_members(stored.documents)}"
    wait_ms = retry_after_ms(job, outlook)
    passing = {"queue_position": outlook.queue_position, "eta_s": outlook.eta_s, "retry_after_ms": wait_ms}
    body = f"{steady},{_json(passing)[1:-1]}{_members(stored.blobs)}}}"
    return Shown(
        job_id=job.id,
        state=state_of(job),
        etag=entity_tag(steady, tuple(stored.blobs)),
        body=body.encode(),
        retry_after_ms=wait_ms,
        has_deep_result=bool(stored.documents["deep_findings"] and stored.documents["deep_report"]),
    )


def entity_tag(steady: str, blobs: tuple[str, ...]) -> str:
    """The tag of a representation: what is steady in it, and which blobs it holds.

    A blob is written with its findings and its moment, so it need not be read to know that it has changed.
    """
    digest = blake2b(" ".join([*blobs, steady]).encode(), digest_size=16)
    return f'W/"{digest.hexdigest()}"'


def tag_matches(if_none_match: str, etag: str) -> bool:
    """Whether an `If-None-Match` header names this tag: `*`, or a list of tags, compared weakly (RFC 9110, 13.1.2)."""
    named = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return named == ["*"] or etag.removeprefix("W/") in named


def retry_after_ms(job: Job, outlook: Outlook = NO_OUTLOOK) -> int | None:
    """How long to wait before asking again: the longer the job is expected to take, the longer.

    A running job is worth a look every second, a queued one every two, none less often than every half minute. None for
    a job that has ended.
    """
    if job.status in TERMINAL:
        return None
    if job.status == "awaiting_upload":
        return _AWAITING_UPLOAD_MS
    if outlook.queue_position == "1000+":
        return _LONGEST_MS
    shortest = 1_000 if job.status in RUNNING else 2_000
    expected_ms = 1_000 * (outlook.eta_s or 0)
    return max(shortest, min(_LONGEST_MS, expected_ms // _LOOKS))


def _members(documents: Any) -> str:
    """More members for a JSON object, from their JSON texts."""
    return "".join(f',"{name}":{text or "null"}' for name, text in documents.items())


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
