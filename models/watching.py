"""What is asked again and again for everybody who waits for a job: has it changed?"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select

from models.database import Database
from models.jobs import TERMINAL, Job
from models.tables import VideoAnalysisJob

_CHUNK = 1000
"""Ids in one statement."""


class JobState(NamedTuple):
    """What of a job may change and can be seen: two equal ones look the same to its owner."""

    status: str
    stage: str
    progress_pct: int
    attempt: int
    cancel_requested_at: datetime | None
    quick_completed_at: datetime | None
    updated_at: datetime

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended."""
        return self.status in TERMINAL


def state_of(job: Job) -> JobState:
    """The state of a job that was read whole."""
    return JobState._make(getattr(job, name) for name in JobState._fields)


class JobStates:
    """Reads the states of many jobs at once, whosever they are: for a process that has looked who may see them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, job_ids: Collection[str]) -> dict[str, JobState]:
        """The states by id; a job that is not there is not in it. One statement for every thousand jobs."""
        row, ids = VideoAnalysisJob, list(job_ids)
        columns = [getattr(row, name) for name in JobState._fields]
        found = {}
        with self._database.transaction(read_only=True) as transaction:
            for first in range(0, len(ids), _CHUNK):
                chunk = ids[first : first + _CHUNK]
                for job_id, *values in transaction.execute(select(row.id, *columns).where(row.id.in_(chunk))):
                    found[job_id] = JobState._make(values)
        return found
