"""A thousand clients that wait at once: what they cost while nothing happens, and how soon they hear of a change."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from api_server import PREFIX, client, problem
from fastapi import FastAPI
from serving import serving
from statements import selects

from api import watch
from api.app import create_app
from models.database import Database
from models.folder import FolderStore
from models.jobs import Job, Owner
from models.queue import JobQueue
from models.requests import AnalysisRequest

WAITING = 1000
JANE = Owner(owner_type="coach", owner_id="jane")
TOKEN = "token-of-jane-0001"


@dataclass(frozen=True, kw_only=True)
class Crowded:
    """A served application of its own, and a queue that another process could have."""

    app: FastAPI
    database: Database
    url: str
    elsewhere: JobQueue

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def submitted(self) -> Job:
        session = self.elsewhere.create_session(JANE, title="Nets", session_type="bowling")
        self.elsewhere.attach_upload(JANE, session.id, "local", f"sessions/{session.id}/source/clip.mp4", 100)
        return self.elsewhere.submit(JANE, session.id, AnalysisRequest(analysis_mode="bowling"))

    def watching(self) -> int:
        """How many clients wait: they have their first look behind them."""
        watches = [watch for watches in self.app.state.services.watcher._watches.values() for watch in watches]
        return sum(watch._news is not None for watch in watches)


@pytest.fixture
def crowded(database_url: str, tmp_path: Path) -> Iterator[Crowded]:
    database, elsewhere = Database(database_url), Database(database_url)
    app = create_app(
        database=database,
        queue=JobQueue(database),
        store=FolderStore(tmp_path / "store"),
        owners={TOKEN: JANE},
        models={"yolo11n-pose"},
        version="1.2.3",
    )
    with serving(app) as url:
        yield Crowded(app=app, database=database, url=url, elsewhere=JobQueue(elsewhere))
    database.close()
    elsewhere.close()


async def ask(port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request, and wait for nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {PREFIX}{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    return reader, writer


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[float, bytes]:
    """When the whole answer was there, and its first line."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    at = time.monotonic()
    writer.close()
    return at, head.partition(b"\r\n")[0]


def lasting_threads() -> list[str]:
    """All but those of the pool that serves whoever does not wait."""
    return sorted(thread.name for thread in threading.enumerate() if "AnyIO" not in thread.name)


async def until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_a_thousand_wait_for_one_job(crowded: Crowded) -> None:
    job = crowded.submitted()
    path = f"/analysis-jobs/{job.id}"

    async def run() -> None:
        one = await ask(crowded.port, f"{path}?wait=60")
        await until(lambda: crowded.watching() == 1)
        threads = lasting_threads()
        replies = [one, *[await ask(crowded.port, f"{path}?wait=60") for _ in range(WAITING - 1)]]
        await until(lambda: crowded.watching() == WAITING)
        watcher = crowded.app.state.services.watcher
        with selects(crowded.database) as asked:
            looks, begun = watcher.looks, time.monotonic()
            await asyncio.sleep(2.2)
            ticks = (time.monotonic() - begun) / watcher._tick_s
        assert len(asked) == watcher.looks - looks <= ticks + 1, asked
        assert lasting_threads() == threads
        assert crowded.database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]

        with selects(crowded.database) as asked:
            changed_at = time.monotonic()
            await asyncio.to_thread(crowded.elsewhere.cancel, JANE, job.id)
            ends = await asyncio.gather(*(answered(*reply) for reply in replies))
        assert {line for _, line in ends} == {b"HTTP/1.1 200 OK"}
        assert len(asked) <= 5, asked  # the look that found it, and the job: read once for all
        assert max(at for at, _ in ends) - changed_at < 3
        await until(lambda: crowded.watching() == 0)

    asyncio.run(run())


def test_many_jobs_are_looked_at_together(crowded: Crowded) -> None:
    jobs = [crowded.submitted() for _ in range(30)]

    async def run() -> None:
        replies = [await ask(crowded.port, f"/analysis-jobs/{job.id}?wait=60") for job in jobs]
        await until(lambda: crowded.watching() == len(jobs))
        with selects(crowded.database) as asked:
            await asyncio.sleep(2.1)
        assert 0 < len(asked) <= 6
        # Only whom it concerns is woken.
        await asyncio.to_thread(crowded.elsewhere.cancel, JANE, jobs[7].id)
        await answered(*replies.pop(7))
        assert crowded.watching() == len(jobs) - 1
        for _, writer in replies:
            writer.close()
        await until(lambda: crowded.watching() == 0)
        with selects(crowded.database) as asked:
            await asyncio.sleep(1)
        assert asked == []  # nobody waits, nobody asks

    asyncio.run(run())


def test_too_many_are_refused(crowded: Crowded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "WATCHES_PER_OWNER", 2)
    path = f"/analysis-jobs/{crowded.submitted().id}"

    async def run() -> None:
        waiting = [await ask(crowded.port, f"{path}?wait=60"), await ask(crowded.port, f"{path}/events")]
        await until(lambda: crowded.watching() == 2)
        with client(crowded.url, TOKEN) as jane:
            for refused in (jane.get(path, params={"wait": 5}), jane.get(f"{path}/events")):
                problem(refused, 429, "too_many_waiting")
                assert int(refused.headers["retry-after"]) > 0
            assert jane.get(path).status_code == 200  # who does not wait is not concerned
        for _, writer in waiting:
            writer.close()
        await until(lambda: crowded.watching() == 0)

    asyncio.run(run())


def test_the_server_ends_while_clients_wait(database_url: str, tmp_path: Path) -> None:
    others = set(threading.enumerate())  # those of the application that all tests share
    database = Database(database_url)
    queue = JobQueue(database)
    app = create_app(
        database=database,
        queue=queue,
        store=FolderStore(tmp_path / "store"),
        owners={TOKEN: JANE},
        models=set(),
        version="1.2.3",
    )

    async def run() -> None:
        with serving(app) as url:
            crowded = Crowded(app=app, database=database, url=url, elsewhere=queue)
            path = f"/analysis-jobs/{crowded.submitted().id}"
            stream = await ask(crowded.port, f"{path}/events")
            wait = await ask(crowded.port, f"{path}?wait=60")
            await until(lambda: crowded.watching() == 2)
            begun = time.monotonic()
        # As it is, and the stream closed by its own end.
        assert (await answered(*wait))[1] == b"HTTP/1.1 200 OK"
        assert (await stream[0].read()).endswith(b"0\r\n\r\n")
        stream[1].close()
        assert time.monotonic() - begun < 2

    # The server stops while this loop stands still: it has a thread of its own.
    asyncio.run(run())
    database.close()
    left = {thread.name for thread in set(threading.enumerate()) - others}
    assert not left & {"listen", "watch_0"}
