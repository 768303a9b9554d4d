"""What goes over the wire. The words are the contract's; an unknown field of a request is an error."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from api import examples
from models.jobs import Job, JobDetail, JobResults, JobStatus, Owner, Session, SessionStatus
from models.requests import AnalysisRequest, Mode, View

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""Text that every database can keep: PostgreSQL has no NUL."""


def _example(**values: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [values]})


def _values(record: Session | Job | Owner | JobResults) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _columns(record: Session | Job) -> dict[str, Any]:
    return _values(record) | _values(record.owner)


class SessionCreate(BaseModel):
    """A coaching video to come."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [examples.SESSION_CREATE]})

    title: Annotated[Text, Field(min_length=1, max_length=255)]
    notes: Annotated[Text, Field(max_length=10_000)] | None = None
    session_type: Mode
    camera_view: View | None = None
    player_ids: Annotated[list[Annotated[Text, Field(min_length=1, max_length=255)]], Field(max_length=100)] = []


class SessionRead(BaseModel):
    """One coaching video and who owns it."""

    model_config = _example(**examples.SESSION)

    id: str
    owner_type: str
    owner_id: str
    title: str
    notes: str | None
    session_type: str
    camera_view: str | None
    player_ids: list[str]
    s3_bucket: str | None
    s3_key: str | None
    file_size_bytes: int | None
    status: SessionStatus
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, session: Session) -> Self:
        """Write a session down."""
        return cls.model_validate(_columns(session))


class SessionPage(BaseModel):
    """Sessions, the newest first."""

    model_config = _example(sessions=[examples.SESSION], next_cursor=None)

    sessions: list[SessionRead]
    next_cursor: str | None = Field(description="Hand it back as `cursor` for the next page; null on the last one.")


class JobCreate(AnalysisRequest):
    """One analysis of the session's video. `analysis_mode` never defaults; `camera_view` defaults to the session's."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.JOBS_CREATE})

    priority: Annotated[int, Field(ge=-100, le=100, description="Higher runs first.")] = 0


class JobSummary(BaseModel):
    """A job without its documents, as lists show it."""

    model_config = _example(**examples.JOB_SUMMARY)

    id: str
    session_id: str
    owner_type: str
    owner_id: str
    analysis_mode: str | None
    camera_view: str | None
    sample_fps: float | None
    include_frames: bool
    deep_enabled: bool
    priority: int
    model: str | None = Field(description="Catalogue name; null is the operator's default.")
    options: dict[str, Any]
    s3_bucket: str | None
    s3_key: str | None
    status: JobStatus
    stage: str
    progress_pct: int
    attempt: int
    max_attempts: int
    available_at: datetime = Field(description="Not begun before this moment: a retry waits.")
    cancel_requested_at: datetime | None
    error_code: str | None
    error_message: str | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    quick_started_at: datetime | None
    quick_completed_at: datetime | None
    deep_started_at: datetime | None
    deep_completed_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> Self:
        """Write a job down, its columns as they are."""
        return cls.model_validate(_columns(job))


class JobPage(BaseModel):
    """Jobs, the newest first."""

    model_config = _example(jobs=[examples.JOB_SUMMARY], next_cursor=None)

    jobs: list[JobSummary]
    next_cursor: str | None = Field(description="Hand it back as `cursor` for the next page; null on the last one.")


class JobRead(JobSummary):
    """A job with its findings and reports at the top level: a client needs to parse no blob."""

    model_config = _example(**examples.JOB)

    quick_findings: dict[str, Any] | None
    quick_report: dict[str, Any] | None
    deep_findings: dict[str, Any] | None
    deep_report: dict[str, Any] | None
    quick_results_s3_key: str | None
    deep_results_s3_key: str | None


class JobWithResults(JobRead):
    """A job with its whole result documents, for `?include=results`."""

    model_config = _example(**examples.JOB, quick_results=None, deep_results=None, results=None)

    quick_results: dict[str, Any] | None
    deep_results: dict[str, Any] | None
    results: dict[str, Any] | None = Field(description='The legacy pair: `{"quick": …, "deep": …}`.')

    @classmethod
    def with_results(cls, job: JobDetail, results: JobResults) -> Self:
        """Write a job down with its result documents beside its columns."""
        return cls.model_validate(_columns(job) | _values(results))


class Artifact(BaseModel):
    """One file that a job left."""

    name: str
    size_bytes: int
    media_type: str
    url: str = Field(description="Path to fetch it from, with the same token.")


class ArtifactList(BaseModel):
    """The files that a job's winning attempt left."""

    model_config = _example(artifacts=[examples.ARTIFACT])

    artifacts: list[Artifact]


class Health(BaseModel):
    """The process answers (`live`), or can do its work too (`ready`)."""

    model_config = _example(status="ready", version="0.1.0")

    status: Literal["live", "ready"]
    version: str
