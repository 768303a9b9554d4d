"""The ORM rows about models. Only the modules of `models/` about models, and the migrations, see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables import Row


class ModelVersionRow(Row):
    """One registered version of a model. Written once; only `retired_at` ever changes."""

    __tablename__ = "model_versions"
    __table_args__ = (Index("ix_model_versions_artifact_sha256", "artifact_sha256"),)

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[str] = mapped_column(String(32), primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    source_sha256: Mapped[str] = mapped_column(String(64))
    format: Mapped[str] = mapped_column(String(32))
    input_sizes: Mapped[dict[str, Any]]
    skeleton: Mapped[dict[str, Any]]
    licence: Mapped[str | None] = mapped_column(String(100))
    notes: Mapped[str | None] = mapped_column(Text)
    report: Mapped[dict[str, Any]]
    artifact_bucket: Mapped[str] = mapped_column(String(255))
    artifact_key: Mapped[str] = mapped_column(String(500))
    artifact_sha256: Mapped[str] = mapped_column(String(64))
    created_by: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]


class AliasMoveRow(Row):
    """One move of an alias. The last one says what the alias means; an alias without any was never moved."""

    __tablename__ = "model_alias_moves"

    alias: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1 in the order of the moves: of two at once, one finds its number taken."""
    kind: Mapped[str] = mapped_column(String(16))
    """`promote` or `rollback`."""
    from_name: Mapped[str | None] = mapped_column(String(64))
    from_version: Mapped[str | None] = mapped_column(String(32))
    to_name: Mapped[str] = mapped_column(String(64))
    to_version: Mapped[str] = mapped_column(String(32))
    moved_by: Mapped[str] = mapped_column(String(255))
    moved_at: Mapped[datetime]
    forced: Mapped[bool] = mapped_column(Boolean)
    reason: Mapped[str | None] = mapped_column(Text)


class ModelComparisonRow(Row):
    """What a comparison of two versions came to. Written once; the newest of a pair is what a promotion refers to."""

    __tablename__ = "model_comparisons"
    __table_args__ = (Index("ix_model_comparisons_pair", "a", "b", "compared_at"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    a: Mapped[str] = mapped_column(String(100))
    """`name@version` of what was there."""
    b: Mapped[str] = mapped_column(String(100))
    """Of what might replace it."""
    totals: Mapped[dict[str, Any]]
    compared_by: Mapped[str] = mapped_column(String(255))
    compared_at: Mapped[datetime]


class WorkerModelRow(Row):
    """What one worker last said of its model: see `worker_models.WorkerModel`."""

    __tablename__ = "worker_models"

    worker_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    follows: Mapped[str | None] = mapped_column(String(64))
    model: Mapped[str | None] = mapped_column(String(100))
    state: Mapped[str] = mapped_column(String(16))
    wanted: Mapped[str | None] = mapped_column(String(100))
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    said_at: Mapped[datetime]
    # From `z2b6e1a9d4c7` on.
    canary: Mapped[str | None] = mapped_column(String(100))
    canary_state: Mapped[str | None] = mapped_column(String(16))


class ModelTrialRow(Row):
    """A finished job measured once more, by another version: what came of it, beside the job and not in it."""

    __tablename__ = "model_trials"
    __table_args__ = (Index("ix_model_trials_turn", "model", "why", "state", "created_at", "job_id"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("video_analysis_jobs.id", ondelete="CASCADE"), primary_key=True)
    model: Mapped[str] = mapped_column(String(100), primary_key=True)
    """`name@version` that measures it this time."""
    why: Mapped[str] = mapped_column(String(16))
    """`shadow` or `rerun`."""
    state: Mapped[str] = mapped_column(String(16))
    """`waiting`, `running`, `done`, or `failed` with its code."""
    created_at: Mapped[datetime]
    attempts: Mapped[int]
    lease_token: Mapped[str | None] = mapped_column(String(36))
    lease_expires_at: Mapped[datetime | None]
    base: Mapped[str | None] = mapped_column(String(100))
    """`name@version` that had measured the job by then; None: nobody knows, or nothing was compared."""
    base_key: Mapped[str | None] = mapped_column(String(500))
    """Where the job's results were with which these were compared; they stay there."""
    results_key: Mapped[str | None] = mapped_column(String(500))
    """Where this version's are, of the job's last stage."""
    error_code: Mapped[str | None] = mapped_column(String(64))
    comparison: Mapped[dict[str, Any] | None]
    """What differs: one clip of a comparison of models."""
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    replaced_at: Mapped[datetime | None]
    """When these became the job's results."""


class CanaryRow(Row):
    """A version that measures a share of the athletes: see `canary.Canary`. An alias has one at a time."""

    __tablename__ = "model_canaries"
    __table_args__ = (
        Index(
            "uq_model_canaries_active",
            "alias",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
            sqlite_where=text("ended_at IS NULL"),
        ),
        Index("ix_model_canaries_started_at", "started_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    alias: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(100))
    """`name@version`."""
    base: Mapped[str] = mapped_column(String(100))
    """Of what the alias meant when it began."""
    share: Mapped[float]
    limits: Mapped[dict[str, Any]]
    forced: Mapped[bool] = mapped_column(Boolean)
    started_at: Mapped[datetime]
    started_by: Mapped[str] = mapped_column(String(255))
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None] = mapped_column(String(255))
    reason: Mapped[str | None] = mapped_column(Text)
    judged_at: Mapped[datetime | None]
    figures: Mapped[dict[str, Any] | None]
    """What the canary came to beside `base`, as of then."""
