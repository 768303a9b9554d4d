"""A small production with a catalogue, on which models are swapped; and what became of its jobs, checked."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from chaos import session, submit, wait
from versions import converted, entered
from world import World, world

from models.s3 import S3Options
from models.storage import Storage, StorageOptions
from models.worker_models import WorkerModel, WorkerModels

FIRST, SECOND, THIRD, FOURTH, BROKEN = "yolo11n-pose@1", "net@2", "net@3", "net@4", "net@5"
PATIENCE_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Site:
    """A small production with a catalogue, and clips to send."""

    place: World
    storage: Storage
    cases: Sequence[tuple[str, bool]]

    def submit(self, count: int) -> list[str]:
        """So many jobs, deep ones and quick ones in turn."""
        name = f"swap-{time.monotonic_ns()}"
        return [
            submit(self.place, self.cases[number % len(self.cases)], f"{name}-{number}", 0) for number in range(count)
        ]

    def command(self, *arguments: str) -> int:
        """`frontfoot models …` as an operator runs it; its exit code."""
        return self._ran(*arguments).returncode

    def answer(self, *arguments: str) -> dict[str, Any]:
        """The same where it must go well; what it says as JSON."""
        ran = self._ran(*arguments, "--json")
        assert ran.returncode == 0, ran.stderr
        found: dict[str, Any] = json.loads(ran.stdout)
        return found

    def output(self, *arguments: str) -> str:
        """What it prints for people."""
        return self._ran(*arguments).stdout

    def _ran(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "frontfoot", "models", *arguments]
        return subprocess.run(command, env=self.place.api.environment, capture_output=True, text=True, check=False)

    def words(self) -> list[WorkerModel]:
        """What the workers that live say."""
        pids = {str(worker.process.pid) for worker in self.place.workers if worker.process is not None}
        return [word for word in WorkerModels(self.storage.database).list() if word.worker_id.split("-")[-2] in pids]

    def wait_for(self, reached: Callable[[list[WorkerModel]], bool]) -> float:
        """Seconds until what the workers say is so."""
        began = time.monotonic()
        while not reached(words := self.words()):
            assert time.monotonic() < began + PATIENCE_S, words
            time.sleep(0.1)
        return round(time.monotonic() - began, 1)

    def all_run(self, model: str) -> Callable[[list[WorkerModel]], bool]:
        """Whether every worker gives new jobs this model."""
        workers = len(self.place.workers)
        return lambda words: (
            len(words) == workers and all(word.state == "ready" and word.model == model for word in words)
        )

    def done(self, jobs: Sequence[str]) -> int:
        rows = self.place.query(
            "SELECT count(*) FROM video_analysis_jobs WHERE id = ANY(%s) AND status = 'done'", list(jobs)
        )
        return int(rows[0][0])


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A job that is done, checked: one model measured all of it."""

    session_id: str
    worker_id: str
    model: str
    attempt: int
    explained: tuple[str, ...]
    """Why each earlier attempt ended."""
    started_at: datetime
    completed_at: datetime
    frames: int
    """That were inferred for it."""


def account_of(site: Site, jobs: Sequence[str]) -> list[Ended]:
    """Wait for the end of all these and check each."""
    wait(site.place, list(jobs), strike=None)
    rows = site.place.query(
        "SELECT session_id, worker_id, status, resolved_model, attempt, history, started_at, completed_at, "
        "quick_results, deep_results, deep_enabled, error_code FROM video_analysis_jobs WHERE id = ANY(%s)",
        list(jobs),
    )
    assert len(rows) == len(jobs)
    ended = []
    for session_id, worker, status, resolved, attempt, history, started, completed, quick, deep, has_deep, code in rows:
        assert status == "done", (status, code)
        documents = [document for document in (quick, deep) if document]
        assert len(documents) == (2 if has_deep else 1)
        named = {f"{document['model']['name']}@{document['model']['version']}" for document in documents}
        assert named == {resolved}, f"measured by {named}, said to be by {resolved}"
        explained = tuple(entry["error_code"] for entry in history or ())
        assert len(explained) == attempt - 1
        frames = sum(document["receipt"]["inferred"] for document in documents)
        ended.append(
            Ended(
                session_id=session_id,
                worker_id=worker,
                model=resolved,
                attempt=attempt,
                explained=explained,
                started_at=started,
                completed_at=completed,
                frames=frames,
            )
        )
    return ended


def untouched(ended: Sequence[Ended]) -> dict[str, int]:
    """Nobody was begun again; how many each model measured."""
    assert all(job.attempt == 1 for job in ended), Counter(job.explained for job in ended)
    return dict(Counter(job.model for job in ended))


def said(site: Site) -> list[str]:
    """What the workers' logs say."""
    return [str(record.get("message", "")) for worker in site.place.workers for record in worker.records()]


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S * 4
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@contextmanager
def site_with(
    folder: Path, cache: Path, clips: Sequence[Path], *, workers: int, within: Sequence[str] = (), **settings: str
) -> Iterator[Site]:
    """Workers that run the built-in model, and a catalogue of four more, one of them broken; `within` as of `Child`."""
    with world(folder, cache, workers=workers, seed=1, within=within, **settings) as place:
        given = place.api.environment
        s3 = S3Options(
            bucket=given["FRONTFOOT_S3_BUCKET"],
            endpoint_url=given["FRONTFOOT_S3_ENDPOINT_URL"],
            region=given["AWS_DEFAULT_REGION"],
            access_key_id=given["AWS_ACCESS_KEY_ID"],
            secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        )
        options = StorageOptions(
            database_url=place.database_url,
            folder=folder / "data" / "artifacts",
            s3=s3 if given["FRONTFOOT_STORE"] == "s3" else None,
        )
        with closing(options.open()) as storage:
            sessions = [session(place, clip) for clip in clips]
            site = Site(place=place, storage=storage, cases=[(one, deep) for one in sessions for deep in (False, True)])
            site.wait_for(site.all_run(FIRST))
            content = converted(cache)  # the workers have done it by now
            for version in (SECOND, THIRD, FOURTH):
                entered(storage, version, content)
            entered(storage, BROKEN, content, stored=content[:-1])
            yield site
