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
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from footage import half_size_frames, write
from model_site import BROKEN, FIRST, FOURTH, SECOND, THIRD, Ended, Site, account_of, said, site_with, until, untouched
from ports import free_port
from swap_memory import without_memory

from models.errors import StoreUnavailable
from models.model_catalogue import ModelCatalogue
from models.model_versions import ModelRef


def under_load(site: Site, count: int) -> dict[str, Any]:
    """A promotion when a third of the jobs is done."""
    jobs = site.submit(count)
    until(lambda: site.done(jobs) >= count // 3)
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
    until(lambda: site.done(jobs) >= 2)
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
    until(lambda: site.done(jobs) >= 2)
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
    until(lambda: site.done(jobs) >= 2)
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
        "said": [text for text in said(site) if text.startswith("No room")],
    }


def run(count: int, folder: Path, cache: Path, sample: Path) -> dict[str, Any]:
    """All of it, one after the other."""
    clips = [write(folder / f"clip{start}.mp4", half_size_frames(sample, start, start + 16)) for start in (60, 100)]
    account: dict[str, Any] = {}
    # Few jobs at once, so that many are left for the second model.
    few = {"FRONTFOOT_CLIPS_PER_ACTOR": "2"}
    with site_with(folder, cache, clips, workers=2, **few) as site:
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
        failed = [text for text in said(site) if text.startswith("Job attempt failed")]
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
        with site_with(folder / "gpu", cache, clips, workers=1, RAY_AUTH_MODE="disabled", **few, **gpu) as site:
            account["without_room"] = without_room(site)
    (folder / "memory").mkdir()
    account["without_memory"] = without_memory(folder / "memory", cache, clips, **few)
    return account


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
        until(lambda: "Ray runtime started" in log.read_text())
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()  # `ray stop` would end everybody's Ray
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


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
