"""Every job that is done, whoever owns it: for an operator who looks at a whole store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text, tuple_

from models.database import Database
from models.errors import InvalidTransition, NotFound
from models.jobs import Job, Owner
from models.requests import Mode
from models.rows import WITHOUT_DOCUMENTS, job_value
from models.tables import HAS_FILES, VideoAnalysisJob, VideoSession

PAGE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class DoneJob:
    """A job with its last results, and whom its session is about."""

    job: Job
    player_ids: tuple[str, ...]
    session_title: str
    results: Mapping[str, Any]
    """Of its last stage."""
    results_key: str
    """Where they are in the store; the job's other files are beside them."""

    @property
    def athlete(self) -> str:
        """Whose analysis it is, as far as anybody said."""
        return athlete_of(self.job.owner, self.player_ids)


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedJob:
    """A job that is done, and when that was."""

    id: str
    completed_at: datetime


def athlete_of(owner: Owner, player_ids: Sequence[str]) -> str:
    """`coach:jane player:7`; a session that names nobody is one of its owner's."""
    return " ".join([f"{owner.owner_type}:{owner.owner_id}", *(f"player:{name}" for name in player_ids)])


class DoneJobs:
    """Reads only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ids(self) -> Iterator[str]:
        """The ids of all jobs that are done, the oldest first; no transaction is open between two pages."""
        row = VideoAnalysisJob
        rows = select(row.created_at, row.id).where(row.status == "done").order_by(row.created_at, row.id).limit(PAGE)
        page = rows
        while True:
            with self._database.transaction(read_only=True) as transaction:
                found = transaction.execute(page).all()
            yield from (row_id for _, row_id in found)
            if len(found) < PAGE:
                return
            page = rows.where(tuple_(row.created_at, row.id) > tuple_(*found[-1]))

    def ended(self, since: datetime) -> Iterator[EndedJob]:
        """Those that ended at a moment or later and have their files, in the order of their ends. Pages as `ids`."""
        row = VideoAnalysisJob
        rows = select(row.id, row.completed_at).where(text(HAS_FILES), row.completed_at >= since, row.status == "done")
        rows = rows.order_by(row.completed_at, row.id).limit(PAGE)
        page = rows
        while True:
            with self._database.transaction(read_only=True) as transaction:
                found = [EndedJob(id=one.id, completed_at=one.completed_at) for one in transaction.execute(page)]
            yield from found
            if len(found) < PAGE:
                return
            page = rows.where(tuple_(row.completed_at, row.id) > tuple_(found[-1].completed_at, found[-1].id))

    def newest(self, mode: Mode | None = None, since: datetime | None = None) -> Iterator[Job]:
        """The newest first: of one mode, or made at a moment or later. Pages as `ids`; no results are read."""
        row = VideoAnalysisJob
        order = (row.created_at.desc(), row.id.desc())
        rows = select(row).options(*WITHOUT_DOCUMENTS).where(row.status == "done").order_by(*order).limit(PAGE)
        if mode is not None:
            rows = rows.where(row.analysis_mode == mode)
        if since is not None:
            rows = rows.where(row.created_at >= since)
        page = rows
        while True:
            with self._database.transaction(read_only=True) as transaction:
                found = [job_value(one) for one in transaction.scalars(page)]
            yield from found
            if len(found) < PAGE:
                return
            page = rows.where(tuple_(row.created_at, row.id) < tuple_(found[-1].created_at, found[-1].id))

    def get(self, job_id: str) -> DoneJob:
        """One of them. Raises NotFound, and InvalidTransition for a job that is not done."""
        with self._database.transaction(read_only=True) as transaction:
            wanted = select(VideoAnalysisJob).where(VideoAnalysisJob.id == job_id)
            row = None if "\0" in job_id or len(job_id) > 36 else transaction.scalar(wanted)
            if row is None:
                raise NotFound
            results, key = row.deep_results, row.deep_results_s3_key
            if results is None or key is None:
                results, key = row.quick_results, row.quick_results_s3_key
            if row.status != "done" or results is None or key is None:
                raise InvalidTransition(f"A job that is {row.status} has no results to derive anew.")
            session = transaction.get(VideoSession, row.session_id)
            return DoneJob(
                job=job_value(row),
                player_ids=() if session is None else tuple(session.player_ids),
                session_title="" if session is None else session.title,
                results=results,
                results_key=key,
            )
