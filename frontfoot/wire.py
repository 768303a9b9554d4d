"""What the API answers with, as types: names and kinds for editors and mypy. Fields may be added, states too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict


class Session(TypedDict):
    """One coaching video and who owns it."""

    id: str
    title: str
    notes: str | None
    session_type: str
    camera_view: str | None
    player_ids: list[str]
    s3_bucket: str | None
    s3_key: str | None
    file_size_bytes: int | None
    status: str
    created_at: str
    updated_at: str


class JobError(TypedDict):
    """Why a job failed."""

    code: str
    message: str
    retryable: bool


class _JobState(TypedDict):
    id: str
    session_id: str
    analysis_mode: str | None
    status: str
    """A state that this client does not know is one that goes on, unless `is_terminal` says otherwise."""
    stage: str
    progress_pct: int
    attempt: int
    error_code: str | None
    error_message: str | None
    created_at: str
    updated_at: str


class Job(_JobState, total=False):
    """One analysis of one session. What may be absent depends on the server's version and on `include`."""

    is_terminal: bool
    retry_after_ms: int | None
    progress_updated_at: str | None
    queue_position: int | str | None
    eta_s: float | None
    attempts: list[dict[str, Any]]
    error: JobError | None
    priority: int
    model: str | None
    resolved_model: str | None
    tags: list[str]
    metadata: dict[str, str]
    webhook_url: str | None
    webhook_events: list[str]
    batch_id: str | None
    started_at: str | None
    completed_at: str | None
    quick_findings: dict[str, Any] | None
    quick_report: dict[str, Any] | None
    deep_findings: dict[str, Any] | None
    deep_report: dict[str, Any] | None
    quick_results_s3_key: str | None
    deep_results_s3_key: str | None
    quick_results: dict[str, Any] | None
    deep_results: dict[str, Any] | None
    results: dict[str, Any] | None


class Artifact(TypedDict):
    """One file that a job left."""

    name: str
    size_bytes: int
    media_type: str
    url: str


class Batch(TypedDict, total=False):
    """Many jobs submitted by one call."""

    id: str
    lines: int
    accepted: int
    rejected: list[dict[str, Any]]
    counts: dict[str, int]
    created_at: str


class ProgressPoint(TypedDict):
    """A metric in one session; no value where it could not be measured there."""

    session: int
    """Its place among the sessions, from 0."""
    value: float | str | None
    expected_error: float | None
    n: int
    status: str


class ProgressStep(TypedDict):
    """A metric from one session to another."""

    before: int
    after: int
    verdict: str
    delta: float | None
    threshold: float | None
    """The size that a change must exceed."""
    reasons: Sequence[str]
    """Why the two cannot be compared."""


class MetricProgress(TypedDict):
    """One metric over all sessions."""

    metric: str
    label: str
    unit: str
    points: Sequence[ProgressPoint]
    steps: Sequence[ProgressStep]
    overall: ProgressStep | None
    """From the first session that shows it to the last; None where fewer than two do."""


class _ProgressSession(TypedDict):
    label: str
    date: str | None
    view: str | None
    off_square_deg: float | None
    real_fps: float | None
    model: str
    handedness: str | None
    repetitions: int


class ProgressSession(_ProgressSession, total=False):
    """One session, as far as comparing needs it; of stored ones also whose results these are."""

    session_id: str
    job_id: str


class Discipline(TypedDict):
    """Everything that can be followed in one discipline, the oldest session first."""

    mode: str
    sessions: Sequence[ProgressSession]
    metrics: Sequence[MetricProgress]


class LeftOut(TypedDict):
    """Results of a session that names the player and cannot be followed."""

    session_id: str
    job_id: str
    reason: str


class PlayerProgress(TypedDict):
    """A player over the caller's sessions. Empty `disciplines`: nothing is done yet."""

    player_id: str
    disciplines: list[Discipline]
    left_out: list[LeftOut]
    older: bool
    """Whether the player has sessions before these."""
