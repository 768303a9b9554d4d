"""What came of a canary's jobs beside the others', and its end where a limit is broken. Any process may look."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, case, or_, select
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.orm import Session as Transaction

from models.canary import ERRORS, LIMIT, NOBODY, Arm, Canary, Kind, canary_value, end_canary, figures
from models.catalogue_tables import CanaryRow
from models.database import Database, shared_now
from models.tables import VideoAnalysisJob

NEWEST = 200
"""Jobs of either version that are looked at: a canary is judged by what it does now."""


class CanaryJudge:
    """Safe to share between threads; `clock` replaces the database's, for tests."""

    def __init__(self, database: Database, *, every_s: float, clock: Callable[[], datetime] | None = None) -> None:
        """Of all processes that ask, one looks in `every_s`."""
        self._database = database
        self._every = timedelta(seconds=every_s)
        self._clock = clock

    def judge(self) -> Canary | None:
        """Look at the canary whose turn it is. Returns it where it broke a limit: then it has ended."""
        row = CanaryRow
        with self._database.transaction() as transaction:
            now = shared_now(transaction, self._clock)
            due = or_(row.judged_at.is_(None), row.judged_at <= now - self._every)
            turn = select(row).where(row.ended_at.is_(None), due).limit(1).with_for_update(skip_locked=True)
            found = transaction.scalar(turn)
            if found is None:
                return None
            canary = canary_value(found)
            came_to = figures(*_arms(transaction, canary))
            found.judged_at, found.figures = now, came_to.model_dump()
            broken = canary.limits.broken(came_to)
            if not broken:
                return None
            end_canary(transaction, canary.alias, by=LIMIT, reason="; ".join(broken), now=now)
            return canary_value(found)


def _arms(transaction: Transaction, canary: Canary) -> tuple[Arm, Arm]:
    """Of the canary and of what serves: jobs that ended since it began, the newest ones.

    Only small values leave the database, no results. A job that one version failed and another ended counts for both.
    """
    models = str(canary.model), str(canary.base)
    row = VideoAnalysisJob
    ended = _jobs().where(row.completed_at >= canary.started_at)
    by_each = [ended.where(row.resolved_model == model, row.status.in_(["done", "failed"])) for model in models]
    failed_once = ended.where(row.history.is_not(None))
    found = {job.id: job for rows in (*by_each, failed_once) for job in _run(transaction, rows)}
    ours, theirs = (_arm(found.values(), model) for model in models)
    return ours, theirs


def _run(transaction: Transaction, rows: Select[Any]) -> Iterable[Any]:
    return transaction.execute(rows.order_by(VideoAnalysisJob.completed_at.desc()).limit(NEWEST)).all()


def _jobs() -> Select[Any]:
    row = VideoAnalysisJob

    def of_last_stage(deep: InstrumentedAttribute[Any], quick: InstrumentedAttribute[Any], *path: str) -> Any:
        return case((row.deep_enabled, deep[path].as_float()), else_=quick[path].as_float())

    return select(
        row.id,
        row.status,
        row.analysis_mode,
        row.deep_enabled,
        row.resolved_model,
        row.history,
        row.quick_started_at,
        row.quick_completed_at,
        row.deep_started_at,
        row.deep_completed_at,
        of_last_stage(row.deep_results, row.quick_results, "receipt", "inferred").label("frames"),
        of_last_stage(row.deep_results, row.quick_results, "subject", "visible_share").label("seen"),
        of_last_stage(row.deep_findings, row.quick_findings, "coverage", "measured").label("measured"),
        of_last_stage(row.deep_findings, row.quick_findings, "coverage", "applicable").label("applicable"),
    )


def _arm(jobs: Iterable[Any], model: str) -> Arm:
    """What came of the jobs of `_jobs` that this version measured, or failed to."""
    count = errors = nobody = 0
    kinds: dict[str, Kind] = {}
    for job in jobs:
        codes = {entry.get("error_code") for entry in job.history or () if entry.get("model") == model}
        ended_it = job.resolved_model == model and job.status in {"done", "failed"}
        if not ended_it and not codes & (ERRORS | NOBODY):
            continue
        count += 1
        errors += bool(codes & ERRORS)
        nobody += bool(codes & NOBODY)
        if ended_it and job.status == "done" and job.frames is not None:
            name = f"{job.analysis_mode} {'deep' if job.deep_enabled else 'quick'}"
            kinds[name] = _with(kinds.get(name, Kind()), job)
    return Arm(jobs=count, errors=errors, nobody=nobody, kinds=kinds)


def _with(kind: Kind, job: Any) -> Kind:
    began, ended = (
        (job.deep_started_at, job.deep_completed_at)
        if job.deep_enabled
        else (job.quick_started_at, job.quick_completed_at)
    )
    return Kind(
        jobs=kind.jobs + 1,
        frames=kind.frames + int(job.frames),
        seconds=kind.seconds + (ended - began).total_seconds(),
        found=kind.found + job.frames * (job.seen or 0.0),
        measured=kind.measured + int(job.measured or 0),
        applicable=kind.applicable + int(job.applicable or 0),
    )
