"""The one transaction in which what another version measured becomes a finished job's results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from models.catalogue_tables import ModelTrialRow
from models.database import Database, shared_now
from models.errors import ArtifactsMissing, InvalidTransition
from models.jobs import missing_artifacts
from models.rows import WITHOUT_DOCUMENTS, lock
from models.tables import VideoAnalysisJob, VideoSession
from models.trials import Trial


@dataclass(frozen=True, kw_only=True, slots=True)
class NewResult:
    """One stage's results, and where they are stored."""

    document: Mapping[str, Any]
    """Whole, with `findings` and `report` in it."""
    s3_key: str


def replace_results(
    database: Database,
    trial: Trial,
    quick: NewResult,
    deep: NewResult | None,
    *,
    clock: Callable[[], datetime] | None = None,
) -> None:
    """The job shows these results from now on, and says which version made them; its old ones stay in the store.

    State, attempts, times of the work and webhooks are as they were: nothing was run anew for the caller. Raises
    InvalidTransition where the job is gone, or its results are not those with which the trial was compared, and
    ArtifactsMissing where the guardrails refuse the new ones. Then nothing has changed.
    """
    for result in (quick, deep):
        missing = result and missing_artifacts(result.document.get("findings"), result.document.get("report"))
        if missing:
            raise ArtifactsMissing(missing)
    job = VideoAnalysisJob
    session_id = select(job.session_id).where(job.id == trial.job_id).scalar_subquery()
    with database.transaction() as transaction:
        transaction.execute(lock(select(VideoSession.id).where(VideoSession.id == session_id)))  # first, as everywhere
        row = transaction.scalar(lock(select(job).where(job.id == trial.job_id).options(*WITHOUT_DOCUMENTS)))
        found = transaction.get(ModelTrialRow, (trial.job_id, trial.model), with_for_update=True)
        if row is None or found is None or row.status != "done" or row.deep_enabled is (deep is None):
            raise InvalidTransition("The job is not what it was when it was measured.")
        key = row.deep_results_s3_key or row.quick_results_s3_key
        if key != trial.outcome.base_key or found.results_key != trial.outcome.results_key:
            raise InvalidTransition("The job has other results than those with which the new ones were compared.")
        row.quick_results, row.quick_results_s3_key = dict(quick.document), quick.s3_key
        row.quick_findings, row.quick_report = dict(quick.document["findings"]), dict(quick.document["report"])
        if deep is not None:
            row.deep_results, row.deep_results_s3_key = dict(deep.document), deep.s3_key
            row.deep_findings, row.deep_report = dict(deep.document["findings"]), dict(deep.document["report"])
        row.results = {"quick": dict(quick.document), "deep": dict(deep.document) if deep else None}
        row.resolved_model = trial.model
        row.updated_at = found.replaced_at = shared_now(transaction, clock)
