"""The model catalogue, as it goes over the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api import examples
from models.canary import Canary, Figures, Limits
from models.model_versions import PRODUCTION, AliasMove, ModelFormat, ModelVersion, MoveKind
from models.worker_models import CanaryState, WorkerModel, WorkerState


class AliasMoveRead(BaseModel):
    """An alias began to mean another version."""

    alias: str
    number: int
    kind: MoveKind
    before: str | None = Field(serialization_alias="from", description="`name@version`; null where it meant nothing.")
    after: str = Field(serialization_alias="to")
    moved_by: str = Field(description="Who, as the system or the token names them.")
    moved_at: datetime
    forced: bool
    reason: str | None

    @classmethod
    def of(cls, move: AliasMove) -> AliasMoveRead:
        """A move as it is shown."""
        return cls(
            alias=move.alias,
            number=move.number,
            kind=move.kind,
            before=None if move.before is None else str(move.before),
            after=str(move.after),
            moved_by=move.moved_by,
            moved_at=move.moved_at,
            forced=move.forced,
            reason=move.reason,
        )


class WorkerModelRead(BaseModel):
    """What a worker says of the model that it runs."""

    worker_id: str
    follows: str | None = Field(description="The alias; null: it stays with what it loaded when it started.")
    model: str | None = Field(description="`name@version` that new jobs get there; null while they wait.")
    state: WorkerState = Field(
        description="`loading` `wanted`; `emptying`: no job is claimed until those that run have ended; `failed`: "
        "`wanted` could not be loaded, so `model` stays."
    )
    wanted: str | None = Field(description="What the alias means, where that is another one.")
    error_code: str | None = Field(description="Why `wanted`, or else `canary`, could not be loaded the last time.")
    error_message: str | None
    canary: str | None = Field(description="`name@version` that is to measure a share of the athletes.")
    canary_state: CanaryState | None = Field(
        description="`ready`: it does, on this worker; else all jobs get `model` there. `no_room`: for two at once."
    )

    @classmethod
    def of(cls, word: WorkerModel) -> WorkerModelRead:
        """A worker's word as it is shown."""
        return cls(**asdict(word))


class CanaryRead(BaseModel):
    """A version that measures a share of the athletes, or did."""

    model: str = Field(description="`name@version`.")
    alias: str
    beside: str = Field(description="What the others get.")
    share: float = Field(description="Of the athletes.")
    limits: Limits
    started_at: datetime
    started_by: str
    forced: bool
    ended_at: datetime | None = Field(description="Null: active.")
    ended_by: str | None = Field(description="Who; `limit`: it fell behind and was rolled back.")
    reason: str | None
    judged_at: datetime | None
    figures: Figures | None = Field(description="What its jobs came to, as of then.")

    @classmethod
    def of(cls, canary: Canary) -> CanaryRead:
        """A canary as it is shown."""
        same = "alias share limits started_at started_by forced ended_at ended_by reason judged_at figures"
        values = {name: getattr(canary, name) for name in same.split()}
        return cls(model=str(canary.model), beside=str(canary.base), **values)


class ModelSummary(BaseModel):
    """One version of a pose model. It never changes; only whether it is retired does."""

    model: str = Field(description="`name@version`.")
    aliases: list[str] = Field(description="Those that mean it now.")
    state: Literal["ready", "retired"]
    format: ModelFormat
    precision: str | None = Field(description="The only one that it runs in; null: the fastest of a machine.")
    skeleton: str
    source_sha256: str = Field(description="Of the weights as they came, before any conversion.")
    licence: str | None
    created_by: str
    created_at: datetime | None = Field(description="Null: built in.")
    retired_at: datetime | None

    @classmethod
    def of(cls, version: ModelVersion, aliases: list[str]) -> ModelSummary:
        """A version as lists show it."""
        return cls(**_summary(version, aliases))


class ModelRead(ModelSummary):
    """A version with everything that is known of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.MODEL]})

    source: str
    notes: str | None
    input_sizes: dict[str, Any]
    keypoints: list[str]
    report: dict[str, Any] = Field(description="What conversion and the keypoint contract measured.")
    moves: list[AliasMoveRead] = Field(description="Of every alias that ever meant it, by alias and number.")
    canaries: list[CanaryRead] = Field(description="Its times as one, the newest first.")
    workers: list[WorkerModelRead] = Field(description="Those that run it, or should.")

    @classmethod
    def of_version(
        cls,
        version: ModelVersion,
        aliases: list[str],
        *,
        moves: list[AliasMove],
        canaries: Sequence[Canary],
        workers: Sequence[WorkerModel],
    ) -> ModelRead:
        """A version in full."""
        return cls(
            **_summary(version, aliases),
            source=version.source,
            notes=version.notes,
            input_sizes=dict(version.input_sizes),
            keypoints=list(version.skeleton["keypoints"]),
            report=dict(version.report),
            moves=[AliasMoveRead.of(move) for move in moves],
            canaries=[CanaryRead.of(canary) for canary in canaries],
            workers=[WorkerModelRead.of(word) for word in workers if word.concerns(str(version.ref))],
        )


class ModelList(BaseModel):
    """The whole catalogue."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.MODELS]})

    models: list[ModelSummary]
    aliases: dict[str, str] = Field(description="What each alias means now.")
    canaries: list[CanaryRead] = Field(description="The newest first, 50 at most.")
    workers: list[WorkerModelRead] = Field(description="Those that were heard of within two minutes.")


class AliasRead(BaseModel):
    """An alias, what it means, and every move of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.ALIAS]})

    alias: str
    model: str = Field(description="`name@version`.")
    moves: list[AliasMoveRead] = Field(description="The first one first.")


class Promotion(BaseModel):
    """Which version an alias is to mean."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [examples.PROMOTION]})

    model: str = Field(max_length=97, description="`name@version`.")
    force: bool = Field(False, description="Even where skeleton or policy are against it; this is recorded.")
    reason: str | None = Field(None, max_length=1000)


class Rollback(BaseModel):
    """Why an alias goes back to what it meant before."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [examples.ROLLBACK]})

    reason: str | None = Field(None, max_length=1000)


ALIAS_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
REFERENCE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,96}$"
ALIAS_EXAMPLE = PRODUCTION


def _summary(version: ModelVersion, aliases: list[str]) -> dict[str, Any]:
    return {
        "model": str(version.ref),
        "aliases": aliases,
        "state": version.state,
        "format": version.format,
        "precision": version.precision,
        "skeleton": version.skeleton["name"],
        "source_sha256": version.source_sha256,
        "licence": version.licence,
        "created_by": version.created_by,
        "created_at": version.created_at,
        "retired_at": version.retired_at,
    }
