"""Every job that is done, whoever owns it: for an operator who looks at a whole store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, tuple_

from models.database import Database
from models.errors import InvalidTransition, NotFound
from models.jobs import Job
from models.requests import Mode
from models.rows import WITHOUT_DOCUMENTS, job_value
from models.tables import VideoAnalysisJob, VideoSession

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
