"""Swaps of a worker that lives in a control group of its own, as in a container, with little memory left in it.

`python tests/support/swap_memory.py` plays these scenes alone; `make swap` plays them last. They need root.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
from control_groups import ControlGroup, control_group
from footage import half_size_frames, write
from model_site import BROKEN, FIRST, SECOND, THIRD, Site, account_of, said, site_with, until, untouched
from world import children, name_of

MIB = 2**20
PLENTY = 64 * 2**30
SPARE = 60 * MIB
"""Less than an actor takes that loads a model."""


def without_memory(folder: Path, cache: Path, clips: Sequence[Path], **settings: str) -> dict[str, Any]:
    """All scenes of it, with one worker; or why there are none."""
    with ExitStack() as stack:
        try:
            group = stack.enter_context(control_group(f"frontfoot-swap-{os.getpid()}"))
        except OSError as error:
            return {"skipped": f"no control group can be made here: {error}"}
        opened = site_with(folder, cache, clips, workers=1, within=group.within, **settings)
        site = stack.enter_context(opened)
        untouched(account_of(site, site.submit(4)))
        account: dict[str, Any] = {"killed_while_it_loads": killed_while_it_loads(site, group)}
        print(json.dumps(account), file=sys.stderr)  # noqa: T201
        return account | {"not_enough_for_two": drained_first(site, group)}


def killed_while_it_loads(site: Site, group: ControlGroup) -> dict[str, Any]:
    """There was enough when it was looked at, and a moment later not: the kernel ends the new actor, and no other."""
    (serving,) = actors(site)
    jobs = site.submit(12)
    until(lambda: site.done(jobs) >= 2)
    assert site.command("promote", SECOND) == 0
    until(lambda: any(_loads(actor) for actor in actors(site)))
    group.limit(group.used + SPARE)
    until(lambda: group.killed > 0)
    group.limit(PLENTY)
    noticed_s = site.wait_for(lambda words: words[0].state == "failed" and words[0].model == FIRST)
    shown = site.output("show", SECOND)
    seconds = site.wait_for(site.all_run(SECOND))
    models = untouched(account_of(site, jobs))
    assert serving.is_running()
    assert group.killed == 1
    assert set(untouched(account_of(site, site.submit(2)))) == {SECOND}
    return {
        "noticed_after_s": noticed_s,
        "shown": shown.splitlines()[-1],
        "runs_it_after_another_s": seconds,
        "models": models,
    }


def drained_first(site: Site, group: ControlGroup) -> dict[str, Any]:
    """Enough for what these jobs take at most and half an actor: the old model goes first; for a broken one it is back.

    A fresh worker, for the last one keeps a second model warm.
    """
    (worker,) = site.place.workers
    worker.end()
    worker.start()
    site.wait_for(site.all_run(SECOND))
    with _peak(group) as peak:
        untouched(account_of(site, site.submit(8)))
        jobs = site.submit(20)
        until(lambda: site.done(jobs) >= 4)
    (serving,) = actors(site)
    resident, killed = serving.memory_info().rss, group.killed
    limit = peak[0] + resident // 2
    group.limit(limit)
    assert site.command("promote", THIRD) == 0
    empty_s = site.wait_for(lambda words: words[0].state == "emptying" and words[0].model is None)
    with site.place.client() as http:
        ready = http.get("/health/ready").json()
    shown = site.output("show", THIRD).splitlines()[-1]  # a moment later: the last job may have ended
    seconds = site.wait_for(site.all_run(THIRD))
    models = untouched(account_of(site, jobs))
    assert set(models) == {SECOND, THIRD}
    assert ready["workers"]["emptying"] == 1, ready  # and for a while the ended worker's word
    assert "waits for running jobs to end" in shown or "loads" in shown, shown
    assert site.command("promote", BROKEN) == 0
    back_s = site.wait_for(lambda words: words[0].state == "failed" and words[0].model == THIRD)
    assert set(untouched(account_of(site, site.submit(2)))) == {THIRD}
    assert group.killed == killed
    return {
        "before_mib": peak[0] // MIB,
        "actor_mib": resident // MIB,
        "limit_mib": limit // MIB,
        "stopped_claiming_after_s": empty_s,
        "runs_it_after_another_s": seconds,
        "models": models,
        "ready": ready,
        "shown": shown,
        "said": [text for text in said(site) if text.startswith("No room")],
        "broken_and_back_s": back_s,
    }


def actors(site: Site) -> list[psutil.Process]:
    """The processes of the worker's pose actors, the oldest first."""
    worker = site.place.workers[0].process
    assert worker is not None
    return sorted(
        (process for process in children(worker.pid) if "ray::PoseActor" in name_of(process)), key=lambda one: one.pid
    )


def _loads(actor: psutil.Process) -> bool:
    """Whether it has begun to, and has had no clip yet: the kernel is to end it before all others."""
    try:
        return int(Path(f"/proc/{actor.pid}/oom_score_adj").read_text()) == 1000
    except OSError:  # it is no more
        return False


@contextmanager
def _peak(group: ControlGroup) -> Iterator[list[int]]:
    """The most that was used while the block ran, in bytes, once it has ended."""
    peak, over = [group.used], threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            peak[0] = max(peak[0], group.used)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield peak
    finally:
        over.set()
        looking.join()


def main() -> None:
    """On demand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="Folder for the logs; made and kept.")
    parser.add_argument("--cache", type=Path, help="Folder of converted weights; by default a fresh one.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="swap-memory-") as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        sample = Path(".samples/demo.mp4")
        clips = [write(folder / f"clip{start}.mp4", half_size_frames(sample, start, start + 16)) for start in (60, 100)]
        cache = arguments.cache or Path(temporary) / "cache"
        account = without_memory(folder, cache, clips, FRONTFOOT_CLIPS_PER_ACTOR="2")
    print(json.dumps(account, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
