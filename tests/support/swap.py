"""A model swapped under load: 200 short jobs on two workers, and then everything that can come in between.

`python tests/support/swap.py --jobs 200` (`make swap`). Prints what happened as JSON; fails where a job was lost,
begun again for no reason, or measured by two models.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from chaos import session, submit, wait
from footage import half_size_frames, write
from ports import free_port
from versions import converted, entered
from world import World, world

from models.errors import StoreUnavailable
from models.model_catalogue import ModelCatalogue
from models.model_versions import ModelRef
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
        command = [sys.executable, "-m", "frontfoot", "models", *arguments]
        return subprocess.run(command, env=self.place.api.environment, capture_output=True, check=False).returncode

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
        "SELECT status, resolved_model, attempt, history, started_at, completed_at, quick_results, deep_results, "
        "deep_enabled, error_code FROM video_analysis_jobs WHERE id = ANY(%s)",
        list(jobs),
    )
    assert len(rows) == len(jobs)
    ended = []
    for status, resolved, attempt, history, started, completed, quick, deep, deep_enabled, code in rows:
        assert status == "done", (status, code)
        documents = [document for document in (quick, deep) if document]
        assert len(documents) == (2 if deep_enabled else 1)
        named = {f"{document['model']['name']}@{document['model']['version']}" for document in documents}
        assert named == {resolved}, f"measured by {named}, said to be by {resolved}"
        explained = tuple(entry["error_code"] for entry in history or ())
        assert len(explained) == attempt - 1
        frames = sum(document["receipt"]["inferred"] for document in documents)
        ended.append(
            Ended(
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


def under_load(site: Site, count: int) -> dict[str, Any]:
    """A promotion when a third of the jobs is done."""
    jobs = site.submit(count)
    _until(lambda: site.done(jobs) >= count // 3)
    moment = site.place.query("SELECT now()")[0][0]
    began = time.monotonic()
    assert site.command("promote", SECOND) == 0
    site.wait_for(site.all_run(SECOND))
    swapped = site.place.query("SELECT now()")[0][0]
    took_s = round(time.monotonic() - began, 1)
    ended = account_of(site, jobs)
    models = untouched(ended)
    assert set(models) == {FIRST, SECOND}
    return {
        "jobs": count,
        "models": models,
        "from_promote_to_both_s": took_s,
        "before": _pace(ended, min(job.started_at for job in ended), moment),
        "during": _pace(ended, moment, swapped),
        "after": _pace(ended, swapped, max(job.completed_at for job in ended)),
    }


def _pace(ended: Sequence[Ended], begin: datetime, end: datetime) -> dict[str, float]:
    """Of the jobs that ended in this time."""
    jobs, seconds = [job for job in ended if begin <= job.completed_at < end], (end - begin).total_seconds()
    took = [(job.completed_at - job.started_at).total_seconds() for job in jobs]
    return {
        "seconds": round(seconds, 1),
        "jobs": len(jobs),
        "frames_per_s": round(sum(job.frames for job in jobs) / seconds, 1),
        "job_s_median": round(median(took), 2),
        "job_s_longest": round(max(took), 2),
    }


def back(site: Site) -> dict[str, Any]:
    """The model before is still warm."""
    jobs = site.submit(6)
    assert site.command("rollback") == 0
    seconds = site.wait_for(site.all_run(FIRST))
    return {"after_the_command_s": seconds, "models": untouched(account_of(site, jobs))}


def refused(site: Site) -> dict[str, Any]:
    """A version whose artifact was changed in the store: everything stays, and the workers say why."""
    jobs = site.submit(6)
    assert site.command("promote", BROKEN) == 0
    site.wait_for(lambda words: len(words) == 2 and all(word.state == "failed" for word in words))
    words = site.words()
    assert {(word.model, word.error_code) for word in words} == {(FIRST, "weights_rejected")}
    models = untouched(account_of(site, jobs))
    assert set(models) == {FIRST}
    assert site.command("rollback") == 0
    site.wait_for(site.all_run(FIRST))
    return {"models": models, "because": words[0].error_message}


def killed(site: Site) -> dict[str, Any]:
    """kill -9 of a worker while it loads the next model; it is started again."""
    jobs = site.submit(16)
    _until(lambda: site.done(jobs) >= 2)
    assert site.command("promote", SECOND) == 0
    victim = site.place.workers[0]
    assert victim.process is not None
    pid = str(victim.process.pid)
    site.wait_for(lambda words: any(word.state == "loading" and pid in word.worker_id for word in words))
    victim.kill()
    victim.start()
    seconds = site.wait_for(site.all_run(SECOND))
    ended = account_of(site, jobs)
    explained = Counter(reason for job in ended for reason in job.explained)
    assert set(explained) <= {"lease_expired"}, explained
    return {"both_run_it_after_s": seconds, "models": dict(Counter(job.model for job in ended)), "explained": explained}


def two_at_once(site: Site) -> dict[str, Any]:
    """Two operators promote two versions at the same moment."""
    jobs = site.submit(16)
    codes: list[int] = []
    both = [
        threading.Thread(target=lambda model=model: codes.append(site.command("promote", model)))
        for model in (THIRD, FOURTH)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert codes == [0, 0]
    meant = str(ModelCatalogue(site.storage.database).aliases()["production"])
    seconds = site.wait_for(site.all_run(meant))
    moves = ModelCatalogue(site.storage.database).history("production")
    models = untouched(account_of(site, jobs))
    return {
        "moves": [f"{move.before} → {move.after}" for move in moves[-2:]],
        "both_run": meant,
        "after_s": seconds,
        "models": models,
    }


def while_the_database_restarts(site: Site) -> dict[str, Any]:
    """The promotion is tried until it is taken."""
    jobs = site.submit(16)
    _until(lambda: site.done(jobs) >= 2)
    catalogue, tries = ModelCatalogue(site.storage.database), Counter[str]()

    def promote() -> None:
        time.sleep(0.2)
        while not tries["taken"]:
            try:
                catalogue.promote(ModelRef.parse(SECOND), by="swap")
                tries["taken"] += 1
            except StoreUnavailable:
                tries["refused"] += 1
                time.sleep(0.1)

    operator = threading.Thread(target=promote)
    operator.start()
    site.place.postgres.restart(signal.SIGINT)  # on this thread, with which the server ends
    operator.join()
    seconds = site.wait_for(site.all_run(SECOND))
    ended = account_of(site, jobs)
    return {
        "tries": dict(tries),
        "both_run_it_after_s": seconds,
        "models": dict(Counter(job.model for job in ended)),
        "explained": dict(Counter(reason for job in ended for reason in job.explained)),
    }


def without_room(site: Site) -> dict[str, Any]:
    """One GPU, which one actor takes: jobs wait in the queue, and what cannot be loaded leaves what was there."""
    jobs = site.submit(24)
    _until(lambda: site.done(jobs) >= 2)
    assert site.command("promote", SECOND) == 0
    empty_s = site.wait_for(lambda words: words[0].state == "emptying" and words[0].model is None)
    seconds = site.wait_for(site.all_run(SECOND))
    models = untouched(account_of(site, jobs))
    assert set(models) == {FIRST, SECOND}
    assert site.command("promote", BROKEN) == 0
    site.wait_for(lambda words: words[0].state == "failed" and words[0].model == SECOND)
    assert set(untouched(account_of(site, site.submit(2)))) == {SECOND}
    return {
        "stopped_claiming_after_s": empty_s,
        "runs_it_after_another_s": seconds,
        "models": models,
        "said": [text for text in _said(site) if text.startswith("No room")],
    }


def run(count: int, folder: Path, cache: Path, sample: Path) -> dict[str, Any]:
    """All of it, one after the other."""
    clips = [write(folder / f"clip{start}.mp4", half_size_frames(sample, start, start + 16)) for start in (60, 100)]
    account: dict[str, Any] = {}
    # Few jobs at once, so that many are left for the second model.
    few = {"FRONTFOOT_CLIPS_PER_ACTOR": "2"}
    with _site(folder, cache, clips, workers=2, **few) as site:
        scenes: tuple[Callable[[], dict[str, Any]], ...] = (
            lambda: {"under_load": under_load(site, count)},
            lambda: {"rollback": back(site)},
            lambda: {"refused": refused(site)},
            lambda: {"killed": killed(site)},
            lambda: {"two_at_once": two_at_once(site)},
            lambda: {"database_restarts": while_the_database_restarts(site)},
        )
        for scene in scenes:
            account |= scene()
            print(json.dumps(account), file=sys.stderr)  # noqa: T201
        failed = [text for text in _said(site) if text.startswith("Job attempt failed")]
        assert not failed, failed
    with _one_gpu(folder / "ray.log") as address:
        # A folder: Ray's node was there before the S3 server, and knows nothing of its keys.
        gpu = {
            "FRONTFOOT_RAY_ADDRESS": address,
            "FRONTFOOT_ACTOR_GPUS": "1",
            "FRONTFOOT_BACKEND": "openvino",
            "FRONTFOOT_STORE": "folder",
        }
        (folder / "gpu").mkdir()
        with _site(folder / "gpu", cache, clips, workers=1, RAY_AUTH_MODE="disabled", **few, **gpu) as site:
            account["without_room"] = without_room(site)
    return account


def _said(site: Site) -> list[str]:
    """What the workers' logs say."""
    return [str(record.get("message", "")) for worker in site.place.workers for record in worker.records()]


@contextmanager
def _one_gpu(log: Path) -> Iterator[str]:
    """A Ray node that says that it has a GPU; its address."""
    port = free_port()
    words = f"start --head --port={port} --node-ip-address=127.0.0.1 --num-cpus=4 --num-gpus=1 --block".split()
    program = Path(sys.executable).with_name("ray")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *words, "--include-dashboard=false", "--disable-usage-stats", '--resources={"control": 1}'],
            env={**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _until(lambda: "Ray runtime started" in log.read_text())
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()  # `ray stop` would end everybody's Ray
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@contextmanager
def _site(folder: Path, cache: Path, clips: Sequence[Path], *, workers: int, **settings: str) -> Iterator[Site]:
    """Workers that run the built-in model, and a catalogue of four more, one of them broken."""
    with world(folder, cache, workers=workers, seed=1, **settings) as place:
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


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S * 4
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def main() -> None:
    """On demand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--jobs", type=int, default=200, help="of the first swap; of fewer than 60 none may be left for it"
    )
    parser.add_argument("--keep", type=Path, help="Folder for the logs; made and kept.")
    parser.add_argument("--cache", type=Path, help="Folder of converted weights; by default a fresh one.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="swap-") as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        cache = arguments.cache or Path(temporary) / "cache"
        account = run(arguments.jobs, folder, cache, Path(".samples/demo.mp4"))
    print(json.dumps(account, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
