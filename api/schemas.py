"""What goes over the wire. The words are the contract's; an unknown field of a request is an error."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Literal, Self, cast
from uuid import UUID

from pydantic import MISSING, BaseModel, ConfigDict, Field, model_validator

from api import examples, representation
from models.batches import Batch
from models.jobs import STAGES, Job, Owner, Session, SessionStatus
from models.requests import AnalysisRequest, JobExtras, Mode, View
from models.sessions import SessionChanges
from models.worker_models import WorkerState

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""Text that every database can keep: PostgreSQL has no NUL."""
PlayerIds = Annotated[list[Annotated[Text, Field(min_length=1, max_length=255)]], Field(max_length=100)]


def _example(**values: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [values]})


def _values(record: Session | Owner) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _columns(record: Session) -> dict[str, Any]:
    return _values(record) | _values(record.owner)


class SessionCreate(BaseModel):
    """A coaching video to come."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [examples.SESSION_CREATE]})

    title: Annotated[Text, Field(min_length=1, max_length=255)]
    notes: Annotated[Text, Field(max_length=10_000)] | None = None
    session_type: Mode
    camera_view: View | None = None
    player_ids: PlayerIds = []
    source_uri: Annotated[str, Field(max_length=1100)] | None = Field(
        None, description="A video that is in the store already: `s3://bucket/key`, in a bucket that may be read."
    )


class SessionUpdate(BaseModel):
    """What to say anew about a session: what is absent stays, null clears."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [examples.SESSION_UPDATE]})

    title: Annotated[Text, Field(min_length=1, max_length=255)] | MISSING = MISSING
    notes: Annotated[Text, Field(max_length=10_000)] | MISSING | None = MISSING
    session_type: Mode | MISSING = MISSING
    camera_view: View | MISSING | None = MISSING
    player_ids: PlayerIds | MISSING | None = MISSING

    def changes(self) -> SessionChanges:
        """What was said."""
        said = self.model_dump()
        if said.get("player_ids", ...) is None:
            said["player_ids"] = []
        return cast("SessionChanges", said)


class UploadInitiate(BaseModel):
    """A video that is about to be uploaded."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [examples.UPLOAD_INITIATE]})

    session_id: UUID
    size_bytes: Annotated[int, Field(gt=0, description="Exactly so many will come.")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = Field(
        None, description="Of the whole file, in hexadecimal digits; checked before the video is taken."
    )
    content_type: Annotated[Text, Field(max_length=255)] | None = Field(
        None, description="What the file is said to be; its content decides."
    )
    filename: Annotated[Text, Field(max_length=255)] | None = Field(None, description="Only its extension is kept.")


class UploadPart(BaseModel):
    """One PUT of exactly `size_bytes` bytes."""

    number: int = Field(description="From 1, in the order of the file.")
    size_bytes: int
    url: str


class UploadRead(BaseModel):
    """How to send the video: one PUT to `url`, or one PUT a part; then `complete`."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.UPLOAD, examples.UPLOAD_IN_PARTS]})

    upload_id: UUID
    session_id: UUID
    method: Literal["PUT"]
    url: str | None = Field(description="For the whole file; without a host it is one of this API. Needs no token.")
    parts: list[UploadPart] | None = Field(description="For a big file, instead of `url`.")
    headers: dict[str, str] = Field(description="Send these with each PUT.")
    expires_at: datetime = Field(description="The links work until then, and an upload not completed is deleted then.")


class UploadedPart(BaseModel):
    """A part that was sent."""

    model_config = ConfigDict(extra="forbid")

    number: Annotated[int, Field(ge=1, le=10_000)]
    etag: Annotated[Text, Field(min_length=1, max_length=255, description="The `ETag` of the PUT's answer.")]


class UploadComplete(BaseModel):
    """Everything was sent."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": examples.UPLOAD_COMPLETE})

    upload_id: UUID
    parts: Annotated[list[UploadedPart], Field(min_length=1, max_length=10_000)] | None = Field(
        None, description="The parts that make the file; null: all that arrived."
    )


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


class JobCreate(AnalysisRequest, JobExtras):
    """One analysis of the session's video. `analysis_mode` never defaults; `camera_view` defaults to the session's."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.JOBS_CREATE})

    priority: Annotated[int, Field(ge=-100, le=100, description="Higher runs first.")] = 0


class BatchLine(JobCreate):
    """One line of a batch: an analysis of a session that is there, or of a video for which it makes a session."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.BATCH_LINES})

    session_id: UUID | None = None
    source_uri: Annotated[str, Field(max_length=1100)] | None = None
    """`s3://bucket/key`, instead of `session_id`; whether something is there is seen when the job runs."""
    title: Annotated[Text, Field(min_length=1, max_length=255)] | None = None
    """Of the session that is made; defaults to the file's name."""
    notes: Annotated[Text, Field(max_length=10_000)] | None = None
    session_type: Mode | None = None
    """Of the session that is made; defaults to `analysis_mode`."""
    player_ids: Annotated[tuple[Annotated[Text, Field(min_length=1, max_length=255)], ...], Field(max_length=100)] = ()

    @model_validator(mode="after")
    def _check_session(self) -> Self:
        if (self.session_id is None) == (self.source_uri is None):
            raise ValueError("give either session_id or source_uri")
        if self.session_id is not None and self.model_fields_set & {"title", "notes", "session_type", "player_ids"}:
            raise ValueError("title, notes, session_type and player_ids describe a session that source_uri makes")
        return self


class JobError(BaseModel):
    """Why a job, or an attempt at it, failed."""

    code: str = Field(description="Stable word for programs.")
    message: str
    retryable: bool | None = Field(description="Whether the same may go well another time; null where nobody knows.")


class JobAttempt(BaseModel):
    """One attempt at a job."""

    attempt: int
    status: str = Field(
        description="`running`, or how it ended.", examples=["running", "failed", "handed_back", "done", "canceled"]
    )
    ended_at: datetime | None
    error: JobError | None


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
    model: str | None = Field(description="What was asked for; null is what the worker runs.")
    resolved_model: str | None = Field(
        description="`name@version` that it meant when the job was last begun, or whose results replaced those since."
    )
    options: dict[str, Any]
    s3_bucket: str | None
    s3_key: str | None
    status: str = Field(
        description="More states may come: go by `is_terminal` to know whether to go on waiting.",
        json_schema_extra={"x-extensible-enum": list(STAGES)},
    )
    stage: str
    progress_pct: int
    is_terminal: bool = Field(description="Whether the job has ended. It stays right where you do not know `status`.")
    retry_after_ms: int | None = Field(description="When to ask again; null when there is nothing to wait for.")
    attempt: int
    max_attempts: int
    available_at: datetime = Field(description="Not begun before this moment: a retry waits.")
    cancel_requested_at: datetime | None
    error_code: str | None
    error_message: str | None
    error: JobError | None = Field(description="Why the job failed; null while it has not.")
    attempts: list[JobAttempt] = Field(description="The oldest first; those that ended and the one that runs.")
    tags: list[str]
    metadata: dict[str, str] = Field(description="What the caller attached.")
    webhook_url: str | None
    webhook_events: list[str]
    batch_id: str | None
    created_at: datetime
    updated_at: datetime
    progress_updated_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    quick_started_at: datetime | None
    quick_completed_at: datetime | None
    deep_started_at: datetime | None
    deep_completed_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> Self:
        """Write a job down."""
        return cls.model_validate(representation.summary(job))


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
    queue_position: int | Literal["1000+"] | None = Field(
        description="Roughly whose turn it is, 1 being next: up to 1000, and beyond that the word `1000+`. "
        "Null unless the job is queued."
    )
    eta_s: int | None = Field(description="Seconds until the job is done, roughly; null where nobody can say.")
    quick_results: dict[str, Any] | None = Field(None, description="Only with `include=quick_results`.")
    deep_results: dict[str, Any] | None = Field(None, description="Only with `include=deep_results`.")
    results: dict[str, Any] | None = Field(
        None, description='The pair `{"quick": …, "deep": …}`. Only with `include=results`, which brings all three.'
    )


class LineError(BaseModel):
    """One field of a line that is not as it must be."""

    field: str
    code: str
    detail: str


class RejectedLine(BaseModel):
    """A line that became no job."""

    line: int = Field(description="Counted from 1, empty lines included.")
    code: str = Field(description="The code that a single request would have got.")
    detail: str
    errors: list[LineError]


class BatchSummary(BaseModel):
    """Many jobs that were asked for by one call."""

    model_config = _example(**examples.BATCH_SUMMARY)

    id: str
    created_at: datetime
    lines: int
    accepted: int = Field(description="Lines that became a job; the others are rejected.")
    cancel_requested_at: datetime | None


class BatchRead(BatchSummary):
    """A batch, the lines that were rejected, and how far its jobs are."""

    model_config = _example(**examples.BATCH)

    is_terminal: bool = Field(description="Whether none of its jobs will change any more.")
    counts: dict[str, int] = Field(description="Jobs in each state; those that were deleted are in none.")
    rejected: list[RejectedLine]

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Write a batch down."""
        return cls.model_validate(batch, from_attributes=True)


class BatchPage(BaseModel):
    """Batches, the newest first."""

    model_config = _example(batches=[examples.BATCH_SUMMARY], next_cursor=None)

    batches: list[BatchSummary]
    next_cursor: str | None = Field(description="Hand it back as `cursor` for the next page; null on the last one.")


class Artifact(BaseModel):
    """One file that a job left."""

    name: str
    size_bytes: int
    media_type: str
    url: str = Field(
        description="A link that needs no token: whoever has it has the file. Absolute, or a path on this server."
    )
    expires_at: datetime = Field(description="The link works until then; list again for a new one.")


class ArtifactList(BaseModel):
    """The files that a job's winning attempt left."""

    model_config = _example(artifacts=[examples.ARTIFACT])

    artifacts: list[Artifact]


class Health(BaseModel):
    """The process answers (`live`), or can do its work too (`ready`)."""

    model_config = _example(status="ready", version="0.8.0")

    status: Literal["live", "ready"]
    version: str


class Readiness(Health):
    """`ready`, and what the workers say of their models: an API takes jobs whatever they do."""

    model_config = _example(status="ready", version="0.8.0", workers={"ready": 3, "emptying": 1})

    workers: dict[WorkerState, int] = Field(
        description="How many are `ready`, `loading` another model, `emptying` (one model has to go before the next "
        "can come: until then jobs wait), or `failed` to load what they should. Silent ones are not counted."
    )
