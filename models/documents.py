"""The JSON documents that a job stores: results, findings, report. Field names are the contract's.

Times are seconds of the clip (PTS). A missing number is null, never 0. Documents hold nothing of the job that made them
(no id, no clock), so the same clip, model and request give the same bytes wherever they ran.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.requests import AnalysisOptions, Mode, View

SCHEMA_VERSION = 1

Number = Annotated[float, Field(allow_inf_nan=False)]
Status = Literal["measurable", "degraded", "not_measurable"]
Unit = Literal["deg", "s", "m_per_s", "pct_height", "pct_height_per_s", "per_min", "count", "ratio", "class"]
Level = Literal["low", "medium", "high"]
Basis = Literal["sufficient", "partial", "insufficient"]
FindingType = Literal["technique", "consistency", "change", "strength", "recording"]
ReferenceKind = Literal["regulation", "group_mean", "association", "convention", "self", "none"]
Claim = Literal["likely", "clear"]
SentenceKind = Literal["fact", "advice", "recording", "method"]
"""`fact`: about the athlete, and so about metrics. `advice`: what to do. `recording`: about the clip and who was
followed. `method`: how it was done, and what is never claimed."""


class Document(BaseModel):
    """Base of all documents: frozen, and an unknown field is an error when we write one ourselves."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TimeSpan(Document):
    """A stretch of the clip."""

    start_s: Number
    end_s: Number


class Evidence(Document):
    """Where in the video a number can be checked."""

    spans: tuple[TimeSpan, ...] = ()
    frames: tuple[int, ...] = ()
    """Indices of decoded frames worth looking at, the most telling first."""
    times_s: tuple[Number, ...] = ()
    """The times of `frames`."""


class Metric(Document):
    """One number with how far it may be off. `value` is a string only where `unit` is `class`."""

    value: Number | str | None
    unit: Unit
    expected_error: Number | None = None
    """√(sys² + rand²/n), one standard error, in `unit`."""
    sys: Number | None = None
    rand: Number | None = None
    status: Status
    reason: str | None = None
    """Why it is degraded or not measurable, for a reader."""
    advice: str | None = None
    """The recording that would fix it."""
    n: Annotated[int, Field(ge=0)] = 0
    """Repetitions (or samples, see `method`) behind the value."""
    spread: Number | None = None
    """Standard deviation over repetitions, in `unit`."""
    label: str = ""
    """The metric's name as a coach would say it."""
    method: str = ""
    source: str | None = None
    evidence: Evidence = Evidence()


class Event(Document):
    """A moment: the true time lies within `time_s` ± `half_width_s`."""

    time_s: Number
    half_width_s: Number


class Repetition(Document):
    """One delivery, shot, take or pick-up."""

    index: int
    start_s: Number
    end_s: Number
    events: dict[str, Event] = {}
    steps: tuple[Event, ...] = ()
    metrics: dict[str, Metric] = {}


class Finding(Document):
    """Something a coach can check against the video and act on."""

    id: str
    """Stable within the document: the rule's id, upper case for recording findings."""
    type: FindingType
    metric: str | None
    """Id of the metric behind it; None for a recording finding about the whole clip."""
    title: str
    text: str
    seen: str = ""
    """The beginning of `text`: what was seen, with its number, and in how many repetitions."""
    severity: Level
    confidence: Number | None
    """Excess beyond the reference / expected error."""
    claim: Claim | None
    reference: str | None
    """The reference in words, with its number."""
    reference_kind: ReferenceKind
    evidence: Evidence = Evidence()
    cue: str | None = None
    drill: str | None = None


class Watch(Document):
    """Near a reference but within the error: look, do not judge."""

    id: str
    metric: str
    text: str
    evidence: Evidence = Evidence()


class Coverage(Document):
    """How much of what applies to the mode could be measured."""

    measured: int
    applicable: int


class RuleSetDocument(Document):
    """Which rules the numbers were held against."""

    name: str
    version: int
    sha256: str
    """Of its one file; of several, of the list that `sha256sum` prints of them, by name."""
    extends: str | None = None
    """Name and version of the set that it builds on."""


class Findings(Document):
    """What was found, and on what ground."""

    schema_version: int = SCHEMA_VERSION
    findings: tuple[Finding, ...]
    watches: tuple[Watch, ...] = ()
    overall_level: Level
    coverage: Coverage
    basis: Basis
    compared: tuple[str, ...] = ()
    """Ids of the metrics that some rule could be held against, whatever came out of it."""
    rules: str = "frontfoot"
    """Name and version of the rule set."""
    rule_set: RuleSetDocument | None = None
    """The same with its checksum; null where an older version judged."""


class Sentence(Document):
    """A sentence of the report, and where in the video it can be checked."""

    before: str = ""
    """The Markdown between the sentence before and this one: a space, new lines, `- `, `### 1. `."""
    text: Annotated[str, Field(min_length=1, pattern=r"^\S[^\n]*$")]
    """Markdown within one line; `**…**` closes in the sentence that opens it."""
    kind: SentenceKind
    metrics: tuple[str, ...] = ()
    """Ids of the metrics that it speaks of; never empty for a `fact`."""
    finding: str | None = None
    """Id of the finding or watch that it belongs to."""
    evidence: Evidence = Evidence()
    """Where to look: of its metrics, or of the repetitions or the athlete that it speaks of."""

    @model_validator(mode="after")
    def _stands_on_something(self) -> Sentence:
        """Refuse a fact about the athlete that no metric is behind."""
        if self.kind == "fact" and not self.metrics:
            raise ValueError(f"states a fact, and no metric is behind it: {self.text}")
        return self


class ReportSection(Document):
    """A part of the report, Markdown."""

    id: str
    title: str
    text: str
    metrics: tuple[str, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    """The same text: `before` and `text` of each, one after the other, are `text` byte for byte."""

    @model_validator(mode="after")
    def _same_text(self) -> ReportSection:
        """Check that the sentences say what the text says."""
        if self.sentences and "".join(one.before + one.text for one in self.sentences) != self.text:
            raise ValueError(f"the sentences of section {self.id} are not its text")
        return self


class Report(Document):
    """What a coach reads. `text` is Markdown and opens with `**Overall Assessment**:`.

    `text` is that opening, the text of the first section with its first letter in lower case, then of every other
    section `## ` + title and its text, all with a blank line between, and a new line at the end.
    """

    schema_version: int = SCHEMA_VERSION
    text: Annotated[str, Field(min_length=1)]
    sections: Annotated[tuple[ReportSection, ...], Field(min_length=1)]


class ClipDocument(Document):
    """The source as decoded; of poses that came as a file, what they say of it."""

    width: int
    height: int
    duration_s: Number
    fps: Number
    rotation: int
    sha256: str | None
    """Of the clip's file. Null, as `container` and `codec`, where no clip was there: see `Results.poses`."""
    container: str | None
    codec: str | None


class PosesDocument(Document):
    """The file of poses that an analysis began with."""

    sha256: str


class ModelDocument(Document):
    """The model behind every keypoint."""

    name: str
    sha256: str
    backend: str
    precision: str
    version: str
    runtime: str
    conversion: str | None = None
    """SHA-256 of the converted model from the catalogue that was loaded; None: converted from the weights there."""


class ReceiptDocument(Document):
    """Where every decoded frame went; of poses that came as a file, `decoded` counts the frames in it."""

    decoded: int
    inferred: int
    skipped: dict[str, int]
    broken: int = 0
    truncated: bool = False
    gaps: tuple[TimeSpan, ...] = ()


class ViewDocument(Document):
    """From where the camera looks, relative to the pitch."""

    value: View | None
    source: Literal["caller", "estimate", "unknown"]
    confidence: Number


class DetectedDocument(Document):
    """Something that the caller may say and that else the picture shows."""

    value: str | None
    source: Literal["caller", "estimate", "unknown"]
    confidence: Number


class SubjectDocument(Document):
    """Whom the report judges, and how sure that is."""

    source: Literal["caller", "automatic"]
    confidence: Number
    people: int
    """People followed in the clip; one who was out of sight for long may count twice."""
    visible_share: Number
    """Share of inferred frames in which the athlete was seen."""
    box: tuple[Number, Number, Number, Number]
    """x1 y1 x2 y2 in the frame at `time_s`: who it is."""
    time_s: Number


class FramesDocument(Document):
    """Keypoints of every inferred frame, only where the job asked for them (`include_frames`)."""

    keypoint_names: tuple[str, ...]
    frame_indices: tuple[int, ...]
    timestamps_s: tuple[Number, ...]
    keypoints: tuple[tuple[tuple[Number | None, Number | None], ...], ...]
    confidence: tuple[tuple[Number | None, ...], ...]


class Results(Document):
    """`results.json`, and `quick_results` and `deep_results` in the row."""

    schema_version: int = SCHEMA_VERSION
    code_version: str
    stage: Literal["quick", "deep"]
    clip: ClipDocument
    poses: PosesDocument | None = None
    """Only where the analysis began with a file of poses: then there were no pictures to look at."""
    model: ModelDocument
    receipt: ReceiptDocument
    mode: Mode
    options: AnalysisOptions | None = None
    """What the caller said beside mode and view; null in documents of earlier versions."""
    view: ViewDocument
    off_square_deg: Number | None = None
    """Degrees between the athlete's way and the picture's plane, 0..90; null where the way is too short to tell."""
    real_fps: Number | None = None
    """Distinct frames a second × slow-motion factor; null in documents of earlier versions."""
    subject: SubjectDocument
    detected: dict[str, DetectedDocument] = {}
    """`handedness` (left, right) and `direction` (left, right, towards, away: which way the athlete goes or looks)."""
    repetitions: tuple[Repetition, ...] = ()
    metrics: dict[str, Metric]
    findings: Findings
    report: Report
    frames: FramesDocument | None = None
