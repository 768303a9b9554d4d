"""Who waits for which job. One watcher a process: a thousand waiting clients cost one query every now and then.

On PostgreSQL a notification says which job has changed; its state is read at once. Beneath it, and alone on SQLite, all
watched jobs are read together at every tick: notifications can be lost, and older workers send none. Whoever waits is a
future on the event loop, and holds neither a thread nor a connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from api.problems import Problem
from models.announce import JOBS_CHANNEL
from models.database import Database
from models.errors import NotFound
from models.jobs import Owner
from models.listen import Listener
from models.watching import JobState, JobStates

WATCHES_PER_OWNER = 2_000
"""In this process; one more is refused."""

_NOTIFIED_TICK_S = 2.0
_TICK_S = 0.5
"""Where nobody is notified: SQLite."""
_GATHER_S = 0.02
"""Between two looks: what is heard meanwhile is looked at together."""
_RETRY_AFTER_S = "5"

log = logging.getLogger(__name__)


class Watch:
    """One client's watch over one job."""

    def __init__(self, watcher: Watcher, job_id: str) -> None:
        self._watcher = watcher
        self._job_id = job_id
        self._seen: JobState | None = None
        self._since = 0
        self._news: asyncio.Future[JobState | None] | None = None
        self._heard = False

    async def changed(self, seen: JobState, timeout_s: float) -> JobState | None:
        """The job's state as soon as it is another than `seen`; None when the time is up or the process ends.

        Raises NotFound when the job is gone.
        """
        if self._watcher.closing:
            return None
        self._seen, self._since = seen, self._watcher.looks
        self._news = asyncio.get_running_loop().create_future()
        if self._heard:  # said before we waited, so perhaps after `seen` was read
            self._watcher.look_at({self._job_id})
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                return await self._news
        return None

    def hear(self) -> None:
        """The job is said to have changed."""
        self._heard = True

    def see(self, state: JobState | None, look: int) -> None:
        """What look number `look` found; one that began before the client read the job tells it nothing."""
        if self._news is None or self._news.done() or look <= self._since or state == self._seen:
            return
        self._heard = False
        if state is None:
            self._news.set_exception(NotFound())
        else:
            self._news.set_result(state)

    def release(self) -> None:
        """Let the client go: the process ends."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


class Watcher:
    """Wakes those who wait for jobs. Belongs to the event loop of its first watch; idle until then."""

    def __init__(self, database: Database) -> None:
        notified = database.engine.dialect.name == "postgresql"
        self._database = database
        self._states = JobStates(database)
        self._tick_s = _NOTIFIED_TICK_S if notified else _TICK_S
        self._watches: dict[str, set[Watch]] = {}
        self._held: Counter[Owner] = Counter()
        self._asked: set[str] = set()
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._listener: Listener | None = None
        # Its own: when every thread of the pool serves a request, those who wait are woken all the same.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="watch")
        self.looks = 0
        """How often the database was asked."""
        self.closing = False
        """The process ends: nobody waits any more."""

    @contextmanager
    def watching(self, owner: Owner, job_id: str) -> Iterator[Watch]:
        """A watch over a job, whose owner somebody else has checked. Raises Problem when the owner has too many."""
        if self._held[owner] >= WATCHES_PER_OWNER:
            raise Problem("too_many_waiting", headers={"Retry-After": _RETRY_AFTER_S})
        self._start()
        watch = Watch(self, job_id)
        self._held[owner] += 1
        self._watches.setdefault(job_id, set()).add(watch)
        try:
            yield watch
        finally:
            self._watches[job_id].discard(watch)
            if not self._watches[job_id]:
                del self._watches[job_id]
            self._held[owner] -= 1
            if not self._held[owner]:
                del self._held[owner]

    @property
    def waiting(self) -> int:
        """How many wait now; from any thread."""
        return sum(list(self._held.values()))

    def look_at(self, job_ids: Collection[str]) -> None:
        """Read these jobs soon, if anybody watches them."""
        self._asked.update(job_ids)
        self._wake.set()

    def close(self) -> None:
        """Let everybody go who waits, so that the server can end; from any thread."""
        self.closing = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended, and everybody with it
                self._loop.call_soon_threadsafe(self._release)

    async def stop(self) -> None:
        """Close, and end the threads and the connection."""
        self.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._listener is not None:
            await asyncio.to_thread(self._listener.close)
        self._thread.shutdown(wait=False)

    def _start(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_task(self._run())
            self._listener = Listener(self._database, (JOBS_CHANNEL,), self._on_notify)

    def _release(self) -> None:
        for watches in self._watches.values():
            for watch in watches:
                watch.release()

    def _on_notify(self, _channel: str, job_id: str) -> None:
        """On the listener's thread; no id means that anything may have changed."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._hear, job_id)

    def _hear(self, job_id: str) -> None:
        heard = [job_id] if job_id else list(self._watches)
        for watch in (watch for heard_id in heard for watch in self._watches.get(heard_id, ())):
            watch.hear()
        self.look_at(heard)

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        tick_at = clock()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(tick_at):
                    await self._wake.wait()
            self._wake.clear()
            asked, self._asked = self._asked & self._watches.keys(), set()
            if clock() >= tick_at:
                asked, tick_at = set(self._watches), clock() + self._tick_s
            if asked:
                await self._look(asked)
            await asyncio.sleep(_GATHER_S)

    async def _look(self, job_ids: set[str]) -> None:
        self.looks += 1
        look = self.looks
        try:
            states = await asyncio.get_running_loop().run_in_executor(self._thread, self._states.read, job_ids)
        except Exception:  # whatever it is, the next look may go well, and those who wait have their own time limit
            log.exception("Looking at watched jobs failed")
            return
        for job_id in job_ids:
            for watch in self._watches.get(job_id, ()):
                watch.see(states.get(job_id), look)
