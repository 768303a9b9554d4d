"""Which model a job gets of the worker that claims it, and whether it had better wait for another one.

All within the transaction of the claim.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session as Transaction

from models.canary import ERRORS, NOBODY, Canary, active_row, failed_by, model_beside
from models.catalogue_tables import CanaryRow
from models.model_catalogue import current, left_by_rollback, meant
from models.tables import VideoAnalysisJob
from models.worker_models import heard


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """The models that a worker has for the job that it claims; each is `name@version`."""

    runs: str | None = None
    """What a job gets that asks for none, or for the alias that the worker follows: the worker may still be loading
    what that has meant for moments."""
    follows: str | None = None
    """That alias; None: it stays with what it loaded when it started."""
    holds: Collection[str] = ()
    """All that are loaded, for jobs that mean these very versions."""
    canary: Canary | None = None
    """The one that is loaded beside `runs`, and measures its athletes instead."""

    def left_to(self, asked: str | None) -> bool:
        """Whether a request whose `model` is `asked` leaves it to the worker."""
        return asked in {None, self.follows}


def at_once(offer: Offer) -> Any:
    """What the claim's own statement writes into `resolved_model`: enough for most jobs; see `settle_model`."""
    row = VideoAnalysisJob
    kept = (row.resolved_model.in_(offer.holds), row.resolved_model)
    return case(kept, (row.model_name.is_(None), None if offer.canary else offer.runs), else_=None)


def settle_model(transaction: Transaction, job: VideoAnalysisJob, offer: Offer) -> None:
    """Write into the job which model it gets; None where what it asks for does not exist.

    `at_once` has left there the model of an earlier claim, where the worker still holds that: then it is kept.
    """
    if offer.left_to(job.model_name):
        _take_what_there_is(transaction, job, offer)
    elif job.resolved_model is None and job.model_name is not None:
        job.resolved_model = meant(transaction, job.model_name, offer.runs)


def _take_what_there_is(transaction: Transaction, job: VideoAnalysisJob, offer: Offer) -> None:
    kept = job.resolved_model
    if kept not in {None, offer.runs} and offer.follows and left_by_rollback(transaction, offer.follows, str(kept)):
        job.resolved_model = None  # a rollback says that this version is not wanted, warm as it may be
    if offer.canary is not None:
        job.resolved_model = model_beside(transaction, job, offer.canary, offer.runs)
    else:
        job.resolved_model = job.resolved_model or offer.runs


def canary_may_be_to_blame(transaction: Transaction, job: VideoAnalysisJob, code: str) -> bool:
    """Whether a job that fails like this was a canary's, so that what serves is to have a try at it.

    Of one that has ended meanwhile too, but not of one that serves by now; once in a job's life, and not of a job that
    is to be canceled.
    """
    if job.cancel_requested_at is not None or code not in ERRORS | NOBODY or failed_by(job, job.resolved_model):
        return False
    row = CanaryRow
    since = or_(row.ended_at.is_(None), row.ended_at >= job.started_at)
    by_it = row.model == job.resolved_model, row.alias == func.coalesce(job.model_name, row.alias)
    aliases = transaction.scalars(select(row.alias).where(*by_it, since).distinct())
    return any(str(current(transaction, alias)) != job.resolved_model for alias in aliases)


def had_better_wait(transaction: Transaction, job: VideoAnalysisJob, offer: Offer, now: datetime) -> bool:
    """Whether the job asks for a version that this worker lacks, and that one which lives runs or is about to."""
    model = job.resolved_model
    if model is None or offer.left_to(job.model_name) or model in {offer.runs, *offer.holds}:
        return False
    words = heard(transaction, now)
    if any(word.gives(model) for word in words):
        return True
    # Whoever says nothing of it may not have looked yet since its alias moved to it, or since it became a canary.
    unaware = {word.follows for word in words if word.follows is not None and not word.concerns(model)}
    return any(_is_meant(transaction, alias, model) for alias in unaware)


def _is_meant(transaction: Transaction, alias: str, model: str) -> bool:
    canary = active_row(transaction, alias)
    return str(current(transaction, alias)) == model or (canary is not None and canary.model == model)
