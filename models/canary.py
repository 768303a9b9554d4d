"""A canary: one version measures a share of the athletes, until a limit is broken or somebody ends it.

The values, what is computed of them, and what others do with a canary within their own transactions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session as Transaction

from models.announce import alias_moved
from models.catalogue_tables import CanaryRow
from models.documents import Document
from models.errors import INTERNAL_ERROR
from models.jobs import Owner, OwnerType
from models.limits import Count, Positive, Share, limits_of
from models.model_versions import ModelRef
from models.stored import athlete_of
from models.tables import VideoAnalysisJob, VideoSession
from models.trials import in_sample

MAX_SHARE = 0.5
"""The other athletes are what a canary is judged by."""
LIMIT = "limit"
"""Who ended a canary that broke one."""
PROMOTED = "promoted"
"""The reason where the alias came to mean the canary's version."""
ERRORS = frozenset(
    {
        "actor_died",
        "artifacts_missing",
        "backend_unavailable",
        "cluster_error",
        "frame_accounting",
        "inference_stopped",
        INTERNAL_ERROR,
        "model_contract_broken",
        "out_of_memory",
        "runtime_broken",
        "stalled",
        "weights_rejected",
    }
)
"""What a model may bring about, whatever the clip is; what store, database, stops and callers do is not its fault."""
NOBODY = frozenset({"no_person", "subject_not_found"})


class Kind(Document):
    """Jobs of one discipline with the same last stage that are done, added up: others do not compare with them."""

    jobs: int = 0
    frames: int = 0
    """Inferred ones of the last stage."""
    seconds: float = 0.0
    """Of the last stage from its beginning to its stored result: waiting, measuring and drawing too."""
    found: float = 0.0
    """Frames in which the athlete was seen."""
    measured: int = 0
    """Metrics, of `applicable` ones."""
    applicable: int = 0


class Arm(Document):
    """What came of the jobs that one version measured."""

    jobs: int = 0
    """That are done or failed."""
    errors: int = 0
    """Of them, those with an attempt that failed by no fault of the clip."""
    nobody: int = 0
    """Of them, those with an attempt in which nobody was found, or nobody where the caller had pointed."""
    kinds: dict[str, Kind] = Field(default_factory=dict)


class Figures(Document):
    """A canary beside what serves, in the numbers that limits are about; None: there is nothing to compare."""

    jobs: int
    """Of the canary."""
    jobs_beside: int
    """Of what serves."""
    failures: int
    """The canary's jobs with an attempt that failed by no fault of the clip."""
    errors_more: float | None
    """The share of such jobs, less that of what serves."""
    nobody_more: float | None
    """The share of jobs in which nobody was found, less that of what serves."""
    found_ratio: float | None
    """Frames in which the athlete was seen, over what they would be by what serves."""
    measured_ratio: float | None
    """Metrics that were measured, over what they would be by what serves."""
    time_ratio: float | None
    """Seconds a frame, over those of what serves."""


class Limits(BaseModel):
    """How far a canary may fall behind what serves. Field names are figure and direction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    jobs_min: Annotated[int, Field(ge=1)] = 20
    """Of either: with fewer nothing is judged but `failures`."""
    failures_max: Count = 5
    errors_more_max: Share = 0.05
    nobody_more_max: Share = 0.05
    found_ratio_min: Positive = 0.95
    measured_ratio_min: Positive = 0.9
    time_ratio_max: Positive = 1.5

    def broken(self, figures: Figures) -> tuple[str, ...]:
        """A line for every limit that is passed, such as `time_ratio is 2.1, at most 1.5 is allowed`."""
        enough = min(figures.jobs, figures.jobs_beside) >= self.jobs_min
        lines = []
        for limit in limits_of(self):
            value = getattr(figures, limit.figure)
            judged = limit.figure == "failures" or (enough and limit.figure != "jobs")
            if judged and value is not None and limit.passed_by(value):
                lines.append(f"{limit.figure} is {value:.4g}, {limit} is allowed")
        return tuple(lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class Canary:
    """One canary, active or over."""

    id: str
    alias: str
    model: ModelRef
    base: ModelRef
    """What the alias meant when it began: the other athletes get that."""
    share: float
    """Of the athletes, 0..`MAX_SHARE`."""
    limits: Limits
    started_at: datetime
    started_by: str
    forced: bool
    ended_at: datetime | None = None
    """None: active."""
    ended_by: str | None = None
    """Who, or `limit`."""
    reason: str | None = None
    judged_at: datetime | None = None
    figures: Figures | None = None
    """As of then."""

    def __post_init__(self) -> None:
        """Check the share; raises ValueError."""
        if not 0 < self.share <= MAX_SHARE:
            raise ValueError(
                f"a canary's share is above 0 and at most {MAX_SHARE:g}: the others are what it is held to"
            )

    def takes(self, athlete: str) -> bool:
        """Whether this athlete is measured by it: always the same ones, and a larger share holds those of a smaller."""
        return in_sample(athlete, self.share)


def figures(ours: Arm, theirs: Arm) -> Figures:
    """A canary's jobs beside those of what serves.

    Ratios are over what the other version would give on the canary's own mixture of kinds: athletes of one share may
    bowl more than the others. Kinds that one of the two lacks are left out.
    """
    return Figures(
        jobs=ours.jobs,
        jobs_beside=theirs.jobs,
        failures=ours.errors,
        errors_more=_more(ours.errors, ours.jobs, theirs.errors, theirs.jobs),
        nobody_more=_more(ours.nobody, ours.jobs, theirs.nobody, theirs.jobs),
        found_ratio=_ratio(ours.kinds, theirs.kinds, "found", "frames"),
        measured_ratio=_ratio(ours.kinds, theirs.kinds, "measured", "applicable"),
        time_ratio=_ratio(ours.kinds, theirs.kinds, "seconds", "frames"),
    )


def _more(ours: int, of_ours: int, theirs: int, of_theirs: int) -> float | None:
    return ours / of_ours - theirs / of_theirs if of_ours and of_theirs else None


def _ratio(ours: Mapping[str, Kind], theirs: Mapping[str, Kind], what: str, of: str) -> float | None:
    seen = expected = 0.0
    for name, kind in ours.items():
        other = theirs.get(name)
        if other is not None and getattr(other, of):
            seen += getattr(kind, what)
            expected += getattr(kind, of) * getattr(other, what) / getattr(other, of)
    return seen / expected if expected else None


def active_row(transaction: Transaction, alias: str, *, locked: bool = False) -> CanaryRow | None:
    """The alias's canary."""
    row = CanaryRow
    active = select(row).where(row.alias == alias, row.ended_at.is_(None))
    return transaction.scalar(active.with_for_update() if locked else active)


def end_canary(transaction: Transaction, alias: str, *, by: str, reason: str | None, now: datetime) -> CanaryRow | None:
    """End the alias's canary, if there is one, and tell the workers."""
    row = active_row(transaction, alias, locked=True)
    if row is not None:
        row.ended_at, row.ended_by, row.reason = now, by, reason
        alias_moved(transaction, alias)
    return row


def model_beside(transaction: Transaction, job: VideoAnalysisJob, canary: Canary, runs: str | None) -> str | None:
    """What a job gets that asks for none in particular, by a worker that has loaded this canary beside `runs`.

    A job that was claimed before keeps its model, unless that was a canary's which is over. What the canary failed once
    it does not get again.
    """
    row, ours = CanaryRow, str(canary.model)
    active = transaction.scalar(select(row.id).where(row.id == canary.id, row.ended_at.is_(None))) is not None
    if job.resolved_model is not None and (active or job.resolved_model != ours):
        return job.resolved_model
    if not active or failed_by(job, ours):
        return runs
    players = transaction.scalar(select(VideoSession.player_ids).where(VideoSession.id == job.session_id))
    return ours if canary.takes(athlete_key(job, players or [])) else runs


def failed_by(job: VideoAnalysisJob, model: str | None) -> bool:
    """Whether an attempt with this model failed in a way that a model may bring about."""
    return any(
        entry.get("model") == model and entry.get("error_code") in ERRORS | NOBODY for entry in job.history or ()
    )


def athlete_key(job: VideoAnalysisJob, player_ids: list[str]) -> str:
    """Whose job it is: its owner's name for the session's first player, or the session where it names nobody."""
    owner = Owner(owner_type=cast("OwnerType", job.owner_type), owner_id=job.owner_id)
    return athlete_of(owner, player_ids[:1]) if player_ids else job.session_id


def canary_value(row: CanaryRow) -> Canary:
    """What leaves of a row."""
    return Canary(
        id=row.id,
        alias=row.alias,
        model=ModelRef.parse(row.model),
        base=ModelRef.parse(row.base),
        share=row.share,
        limits=Limits.model_validate(row.limits),
        started_at=row.started_at,
        started_by=row.started_by,
        forced=row.forced,
        ended_at=row.ended_at,
        ended_by=row.ended_by,
        reason=row.reason,
        judged_at=row.judged_at,
        figures=None if row.figures is None else Figures.model_validate(row.figures),
    )
