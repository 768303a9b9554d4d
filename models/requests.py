"""What a caller may ask of an analysis: the same words in HTTP, in the job row and as flags of `analyze`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Mode = Literal["batting", "bowling", "wicketkeeping", "fielding"]
View = Literal["side", "front", "behind", "other"]
Handedness = Literal["left", "right"]
Direction = Literal["left", "right"]
Audience = Literal["player", "analyst"]
WebhookEvent = Literal["job.quick_done", "job.done", "job.failed", "job.canceled"]
Tag = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/@-]{0,63}$")]
MetadataKey = Annotated[str, Field(pattern=r"^[^\x00]{1,64}$")]
MetadataValue = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]


class SubjectPoint(BaseModel):
    """A point on the athlete: source pixels at a time of the clip."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    x: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    y: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    time_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]


RULES_BYTES = 64 * 1024
"""Of all texts of an own rule set together: the built-in one has half of that."""


class RulesFile(BaseModel):
    """One TOML file of a coach's own rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.toml$")]
    text: Annotated[str, Field(min_length=1, max_length=RULES_BYTES, pattern=r"^[^\x00]*$")]


class OwnRules(BaseModel):
    """A coach's own rule set as it travels with a request: one file, or `ruleset.toml` and one file a mode or more."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: Annotated[tuple[RulesFile, ...], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def _small_and_distinct(self) -> OwnRules:
        """Check what no single file can know."""
        if len({file.name for file in self.files}) < len(self.files):
            raise ValueError("two files have the same name")
        if sum(len(file.text.encode()) for file in self.files) > RULES_BYTES:
            raise ValueError(f"the files have more than {RULES_BYTES} bytes together")
        return self


class AnalysisOptions(BaseModel):
    """What the caller knows and the picture cannot say. Stored as `options` in the job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    height_m: Annotated[float, Field(gt=0.5, lt=2.6)] | None = None
    slowmo_factor: Annotated[float, Field(ge=1, le=64)] = 1.0
    """Real frames a second = frames a second of the file × this."""
    subject: tuple[SubjectPoint, ...] = ()
    handedness: Handedness | None = None
    direction: Direction | None = None
    """To which side of the picture the athlete goes or looks; along the pitch the view says it."""
    rules: Literal["frontfoot"] | OwnRules | None = None
    """What numbers are held against: the built-in set (also None), or a coach's own."""
    audience: Audience = "player"


class AnalysisRequest(BaseModel):
    """One analysis of one clip. `analysis_mode` never defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    analysis_mode: Mode
    camera_view: View | None = None
    sample_fps: Annotated[float, Field(gt=0, le=240)] | None = None
    include_frames: bool = False
    deep_enabled: bool = True
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$")] | None = None
    """Catalogue name; None is the operator's default. Never a path or URL."""
    options: AnalysisOptions = AnalysisOptions()


class JobExtras(BaseModel):
    """What a caller attaches to a job; none of it changes the analysis."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tags: Annotated[tuple[Tag, ...], Field(max_length=20)] = ()
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=50)] = {}
    """Echoed, never read."""
    webhook_url: Annotated[str, Field(max_length=2000, pattern=r"^https?://[^\s\x00]+$")] | None = None
    webhook_events: tuple[WebhookEvent, ...] = ("job.done", "job.failed", "job.canceled")
    """Sent to `webhook_url`, where there is one."""
