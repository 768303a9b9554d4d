"""Jobs, read for their answers: one SELECT each, shared by those whom the same change has woken."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence

from starlette.concurrency import run_in_threadpool

from api.representation import Shown, show
from models.database import Database
from models.jobs import Owner
from models.outlook import Forecaster
from models.reading import Blob, JobReader
from models.watching import JobState


class JobViews:
    """Reads single jobs as they are shown. Nobody sees another owner's: that is NotFound."""

    def __init__(self, database: Database) -> None:
        self._reader = JobReader(database)
        self._forecaster = Forecaster(database)
        self._shared: dict[Hashable, asyncio.Task[Shown]] = {}

    async def read(self, owner: Owner, job_id: str, blobs: Sequence[Blob] = ()) -> Shown:
        """The job as it is now. Raises NotFound."""
        return await run_in_threadpool(self._read, owner, job_id, blobs)

    async def read_changed(self, owner: Owner, job_id: str, state: JobState, blobs: Sequence[Blob] = ()) -> Shown:
        """The job as it is since it came to `state`: read once for all who ask while it is being read.

        Raises NotFound.
        """
        key = (owner, job_id, state, tuple(blobs))
        if key not in self._shared:
            self._shared[key] = asyncio.create_task(self.read(owner, job_id, blobs))
            self._shared[key].add_done_callback(lambda task: self._forget(key, task))
        return await asyncio.shield(self._shared[key])

    def owner_of(self, job_id: str) -> Owner:
        """Whose job it is, for whoever shows something that its owner signed. Raises NotFound."""
        return self._reader.owner_of(job_id)

    def _forget(self, key: Hashable, task: asyncio.Task[Shown]) -> None:
        del self._shared[key]
        if not task.cancelled():
            task.exception()  # those who waited for it have it, and if all of them left nobody misses it

    def _read(self, owner: Owner, job_id: str, blobs: Sequence[Blob]) -> Shown:
        stored = self._reader.read(owner, job_id, blobs)
        return show(stored, self._forecaster.outlook(stored.job))
