"""What leaves the database: frozen values, never a row."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

from models.errors import InvalidCursor, SourceMissing
from models.requests import AnalysisRequest

JobStatus = Literal[
    "awaiting_upload", "queued", "quick_running", "quick_done", "deep_running", "done", "failed", "canceled"
]
SessionStatus = Literal["pending", "uploaded", "processing", "ready", "failed"]
SessionType = Literal["batting", "bowling", "wicketkeeping", "fielding"]
OwnerType = Literal["coach", "org"]
Presence = Literal["present", "MISSING"]

RUNNING: tuple[JobStatus, ...] = ("quick_running", "quick_done", "deep_running")
TERMINAL: tuple[JobStatus, ...] = ("done", "failed", "canceled")
STAGES: dict[JobStatus, str] = {
    "awaiting_upload": "QUEUED",
    "queued": "QUEUED",
    "quick_running": "QUICK",
    "quick_done": "QUICK_DONE",
    "deep_running": "DEEP",
    "done": "DONE",
    "failed": "FAILED",
    "canceled": "CANCELED",
}

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """Who may see a session and its jobs."""

    owner_type: OwnerType
    owner_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[T]):
    """A part of a list, the newest first. `next_cursor` is None on the last page."""

    items: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One coaching video."""

    id: str
    owner: Owner
    title: str
    notes: str | None
    session_type: SessionType
    camera_view: str | None
    player_ids: tuple[str, ...]
    s3_bucket: str | None
    s3_key: str | None
    file_size_bytes: int | None
    status: SessionStatus
    created_at: datetime
    updated_at: datetime

    @property
    def owner_type(self) -> OwnerType:
        """The column's name for it."""
        return self.owner.owner_type

    @property
    def owner_id(self) -> str:
        """The column's name for it."""
        return self.owner.owner_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One analysis of one session, as the row says at one moment."""

    id: str
    session_id: str
    owner: Owner
    created_at: datetime
    updated_at: datetime

    analysis_mode: str | None
    camera_view: str | None
    sample_fps: float | None
    include_frames: bool
    deep_enabled: bool
    priority: int
    model: str | None
    resolved_model: str | None
    """`name@version` that `model` meant when the job was last claimed, or whose results replaced those since; None:
    never claimed, or by v0.1.0's worker."""
    options: Mapping[str, Any]

    s3_bucket: str | None
    s3_key: str | None

    status: JobStatus
    stage: str
    progress_pct: int
    error_code: str | None
    error_message: str | None
    attempt: int
    max_attempts: int
    available_at: datetime
    worker_id: str | None
    lease_expires_at: datetime | None
    cancel_requested_at: datetime | None
    history: tuple[Mapping[str, Any], ...]
    """Attempts that ended without a result: `attempt`, `worker_id`, `error_code`, `error_message`, `ended_at`, and
    `retryable` but for those of v0.1.0."""

    started_at: datetime | None
    completed_at: datetime | None
    quick_started_at: datetime | None
    quick_completed_at: datetime | None
    deep_started_at: datetime | None
    deep_completed_at: datetime | None

    quick_results_s3_key: str | None
    deep_results_s3_key: str | None

    crashes: int
    """How often the actor died with this job and others in it."""
    batch_id: str | None
    tags: tuple[str, ...]
    client_metadata: Mapping[str, Any]
    """What the caller attached; echoed, never read."""
    webhook_url: str | None
    webhook_events: tuple[str, ...]
    progress_updated_at: datetime | None

    @property
    def owner_type(self) -> OwnerType:
        """The column's name for it."""
        return self.owner.owner_type

    @property
    def owner_id(self) -> str:
        """The column's name for it."""
        return self.owner.owner_id

    def request(self) -> AnalysisRequest:
        """What the row asks for. Raises pydantic's ValidationError; a missing mode never defaults."""
        asked = {
            "analysis_mode": self.analysis_mode,
            "camera_view": self.camera_view,
            "sample_fps": self.sample_fps,
            "include_frames": self.include_frames,
            "deep_enabled": self.deep_enabled,
            "model": self.model,
            "options": self.options,
        }
        return AnalysisRequest.model_validate(asked)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobDetail(Job):
    """A job with what it has to say. None is not there (yet); the deep two stay None in a quick-only job."""

    quick_findings: dict[str, Any] | None
    quick_report: dict[str, Any] | None
    deep_findings: dict[str, Any] | None
    deep_report: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobResults:
    """The whole result documents, megabytes where the job asked for every frame."""

    quick_results: dict[str, Any] | None
    deep_results: dict[str, Any] | None
    results: dict[str, Any] | None
    """The legacy pair `{"quick": …, "deep": …}`, once the job is done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """The right to work on a job. Every write shows `token`; whoever claims the job next gets another one."""

    job_id: str
    token: str
    worker_id: str
    attempt: int
    claimed_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedJob:
    """A job, and the right to work on it."""

    job: Job
    lease: Lease

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.id

    @property
    def attempt(self) -> int:
        """How often the job was begun, this time included; artifacts are kept apart by it."""
        return self.lease.attempt

    @property
    def bucket(self) -> str:
        """Where the source is, and where the artifacts go."""
        if self.job.s3_bucket is None:
            raise SourceMissing("The job names no source bucket.")
        return self.job.s3_bucket

    @property
    def source_key(self) -> str:
        """The source's key."""
        if self.job.s3_key is None:
            raise SourceMissing("The job names no source key.")
        return self.job.s3_key


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """A worker's sign of life for one of its jobs."""

    lease: Lease
    progress_pct: float
    """As far as the worker knows; what is shown stays within the stage's span and never goes back."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.progress_pct):
            raise ValueError("progress is a finite number")


@dataclass(frozen=True, kw_only=True, slots=True)
class BeatReply:
    """What the database has to say about one job to whoever works on it."""

    held: bool
    """False: the job has ended, was deleted, or is somebody else's now; nothing that is still written will count."""
    cancel_requested: bool
    """The owner wants it to stop; or it was canceled, where it is not held any more."""


def artifact_presence(findings: object, report: object) -> dict[Literal["findings", "report"], Presence]:
    """The guardrails: `MISSING` is a document that is not there or does not hold what makes it one.

    Findings hold a `findings` list (empty: nothing was found) and an `overall_level`; a report holds a `text` and at
    least one of `sections`.
    """
    has_findings = (
        isinstance(findings, Mapping)
        and isinstance(findings.get("findings"), list | tuple)
        and findings.get("overall_level") in ("low", "medium", "high")
    )
    text = report.get("text") if isinstance(report, Mapping) else None
    sections = report.get("sections") if isinstance(report, Mapping) else None
    has_report = isinstance(text, str) and bool(text.strip()) and isinstance(sections, list | tuple) and bool(sections)
    return {"findings": "present" if has_findings else "MISSING", "report": "present" if has_report else "MISSING"}


def missing_artifacts(findings: object, report: object) -> str | None:
    """The contract's words, `Critical artifacts missing: findings=MISSING report=present`; None where nothing is."""
    presence = artifact_presence(findings, report)
    if "MISSING" not in presence.values():
        return None
    return "Critical artifacts missing: " + " ".join(f"{name}={state}" for name, state in presence.items())


def encode_cursor(created_at: datetime, row_id: str) -> str:
    """Where a page ended, as an opaque word that is safe in a URL."""
    return base64.urlsafe_b64encode(f"{created_at.astimezone(UTC).isoformat()} {row_id}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    """The way back. Raises InvalidCursor."""
    try:
        words = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        moment, _, row_id = words.partition(" ")
        created_at = datetime.fromisoformat(moment)
        if created_at.utcoffset() != timedelta(0) or not row_id.isascii() or not row_id.isprintable():
            raise InvalidCursor
    except (binascii.Error, ValueError) as error:
        raise InvalidCursor from error
    return created_at, row_id
