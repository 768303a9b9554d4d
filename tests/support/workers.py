"""A real worker on a real Ray, and the services around it, as tests drive them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.queue import JobDetail, Owner
from models.requests import AnalysisRequest
from models.storage import Storage, StorageOptions
from pipeline.cluster import Cluster
from pipeline.stages import Limits

if TYPE_CHECKING:
    from pipeline.follow import Models
    from pipeline.housekeeping import HousekeepingOptions

OWNER = Owner(owner_type="coach", owner_id="jane")
TERMINAL = {"done", "failed", "canceled"}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One database and store with a worker that may be started on them."""

    options: StorageOptions
    storage: Storage
    cluster: Cluster

    def submit(self, clip: Path, request: AnalysisRequest, *, priority: int = 0, player: str | None = None) -> str:
        """Put a clip into the store and submit a job on it; returns the job's id."""
        players = [] if player is None else [player]
        session = self.storage.queue.create_session(
            OWNER, title=clip.stem, session_type=request.analysis_mode, player_ids=players
        )
        key = f"sessions/{session.id}/source/clip.mp4"
        self.storage.store.put_file(self.storage.store.bucket, key, clip)
        self.storage.queue.attach_upload(OWNER, session.id, self.storage.store.bucket, key, clip.stat().st_size)
        return self.storage.queue.submit(OWNER, session.id, request, priority).id

    def job(self, job_id: str) -> JobDetail:
        return self.storage.queue.get(OWNER, job_id)

    @contextmanager
    def working(
        self,
        limits: Limits | None = None,
        models: Models | None = None,
        housekeeping: HousekeepingOptions | None = None,
        **options: Any,
    ) -> Iterator[None]:
        """A worker runs for as long as the block does; `options` are those of `WorkerOptions`."""
        # Imported late: it loads ray, which reads its environment when it is loaded.
        from pipeline.worker import Worker, WorkerOptions

        stop = threading.Event()
        worker = Worker(
            storage_options=self.options,
            cluster=self.cluster,
            limits=limits or Limits(),
            options=WorkerOptions(**{"poll_s": 0.1, "grace_s": 20.0, **options}),
            models=models,
            housekeeping=housekeeping,
        )
        thread = threading.Thread(target=worker.run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=60)
            assert not thread.is_alive()

    def finish(self, job_ids: Sequence[str], timeout_s: float = 240.0) -> list[JobDetail]:
        """Wait until all these jobs have ended."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            jobs = [self.job(job_id) for job_id in job_ids]
            if all(job.status in TERMINAL for job in jobs):
                return jobs
            time.sleep(0.2)
        raise AssertionError([(job.id, job.status, job.attempt, job.progress_pct, job.error_code) for job in jobs])


@dataclass(frozen=True, kw_only=True)
class Up:
    """A running `frontfoot up`."""

    process: subprocess.Popen[str]
    url: str
    token: str
    log: Path

    def lines(self) -> list[str]:
        """Its standard output so far."""
        return self.log.read_text().splitlines()

    def records(self) -> list[dict[str, Any]]:
        """The JSON lines among them."""
        return [json.loads(line) for line in self.lines() if line.startswith("{")]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end, after which nothing that it started is left; returns the exit code."""
        family = descendants(self.process.pid)
        self.process.send_signal(number)
        code = self.process.wait(timeout=60)
        assert [pid for pid in family if runs(pid)] == []
        return code


@contextmanager
def up(folder: Path, cache: Path, **environment: str) -> Iterator[Up]:
    """`frontfoot up` in a process group of its own, which is killed when the block ends, whatever happened."""
    log, errors = folder / "up.log", folder / "up.err"
    with log.open("w") as output, errors.open("w") as error_output:
        process = subprocess.Popen(
            [sys.executable, "-m", "frontfoot", "up", "--port", "0", "--data", str(folder / "data")],
            stdout=output,
            stderr=error_output,
            text=True,
            start_new_session=True,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("FRONTFOOT_")},
                "PYTHONUNBUFFERED": "1",
                "FRONTFOOT_CACHE_DIR": str(cache),
                **environment,
            },
        )
    try:
        yield _started(process, log, errors)
    finally:
        for victim in descendants(process.pid):
            os.kill(victim, signal.SIGKILL)
        process.kill()
        process.wait()


def _started(process: subprocess.Popen[str], log: Path, errors: Path) -> Up:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        lines = log.read_text().splitlines()
        token = next((line.removeprefix("Token: ") for line in lines if line.startswith("Token: ")), None)
        if token:
            url = next(line.rpartition(" ")[2] for line in lines if line.startswith("Frontfoot is at "))
            return Up(process=process, url=url, token=token, log=log)
        time.sleep(0.1)
    raise AssertionError(errors.read_text()[-2000:])


def runs(pid: int) -> bool:
    """Whether a process is there; one that has ended may take a moment to be collected."""
    import psutil

    try:
        process = psutil.Process(pid)
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def descendants(pid: int) -> list[int]:
    """Process ids of all that a process started, and they in turn."""
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
