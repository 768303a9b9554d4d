"""A canary over many athletes on two workers, PostgreSQL and S3, and what can come in between.

`python tests/support/canary_scenes.py --athletes 40` (`make canary`). Prints what happened as JSON; fails where a job
was lost, begun again for no reason, measured by two models, or by another one than its athlete's.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from chaos import session, submit
from failing_models import blind, raising
from footage import half_size_frames, write
from model_site import FIRST, SECOND, THIRD, Ended, Site, account_of, site_with, until, untouched
from versions import entered
from world import Child, children, name_of

from models.canaries import Canaries
from models.canary import LIMIT, PROMOTED, Canary

BLIND, RAISING = "blind@1", "raising@1"
FEW = 16
"""Athletes of the scenes after the first."""


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """Two workers, and athletes with a session each."""

    site: Site
    folder: Path
    athletes: Mapping[str, str]
    """Session id → whose."""

    @property
    def canaries(self) -> Canaries:
        return Canaries(self.site.storage.database)

    def few(self) -> list[str]:
        """Sessions of some athletes."""
        return list(self.athletes)[:FEW]

    def submit(self, sessions: Sequence[str], each: int = 1) -> list[str]:
        """So many jobs of each, one athlete after the other, quick ones and deep ones in turn."""
        name, rounds = f"canary-{time.monotonic_ns()}", [one for _ in range(each) for one in sessions]
        return [
            submit(self.site.place, (one, number % 2 == 1), f"{name}-{number}", 0) for number, one in enumerate(rounds)
        ]

    def begin(self, model: str, share: float, **limits: float) -> Canary:
        """By the command; returns once both workers run it."""
        path = self.folder / "limits.toml"
        path.write_text("".join(f"{name} = {value}\n" for name, value in limits.items()))
        self.site.answer("canary", model, "--share", str(share), "--limits", str(path))
        self.both_run(model)
        canary = self.canaries.active()
        assert canary is not None
        return canary

    def both_run(self, model: str) -> float:
        """Seconds until both workers give its athletes' jobs to the canary."""
        return self.site.wait_for(
            lambda words: (
                len(words) == 2 and all((word.canary, word.canary_state) == (model, "ready") for word in words)
            )
        )

    def gone(self) -> float:
        """Seconds until each worker has the actor of one model alone."""
        began = time.monotonic()
        until(lambda: [len(actors(worker)) for worker in self.site.place.workers] == [1, 1])
        return round(time.monotonic() - began, 1)

    def end(self) -> None:
        assert self.site.command("canary", "--end", "--reason", "the scene is over") == 0
        self.gone()

    def its(self, canary: Canary, sessions: Sequence[str]) -> set[str]:
        """The sessions of athletes whom the canary takes."""
        return {one for one in sessions if canary.takes(f"coach:jane player:{self.athletes[one]}")}


def actors(worker: Child) -> list[psutil.Process]:
    """A worker's pose actors, the oldest first."""
    assert worker.process is not None
    found = [one for one in children(worker.process.pid) if "ray::PoseActor" in name_of(one)]
    return sorted(found, key=lambda one: one.create_time())


def met(ended: Sequence[Ended]) -> dict[str, set[str]]:
    """Session → the models that its jobs were measured by."""
    found: dict[str, set[str]] = defaultdict(set)
    for job in ended:
        found[job.session_id].add(job.model)
    return found


def told(ended: Sequence[Ended]) -> dict[str, Any]:
    """What became of jobs of which some were begun again."""
    return {
        "models": dict(Counter(job.model for job in ended)),
        "attempts": dict(Counter(job.attempt for job in ended)),
        "explained": dict(Counter(reason for job in ended for reason in job.explained)),
        "athletes_of_both": sum(len(models) > 1 for models in met(ended).values()),
    }


def sticky(scenes: Scenes) -> dict[str, Any]:
    """Many athletes, two jobs each: always by the same model, whichever worker has them."""
    share, sessions = 0.4, list(scenes.athletes)
    canary = scenes.begin(SECOND, share)
    its = scenes.its(canary, sessions)
    ended = account_of(scenes.site, scenes.submit(sessions, each=2))
    models = untouched(ended)
    assert met(ended) == {one: {SECOND if one in its else FIRST} for one in sessions}
    workers = defaultdict(set)
    for job in ended:
        workers[job.session_id].add(job.worker_id)
    said = _judged(scenes, models)
    assert {(word["canary"], word["canary_state"]) for word in said["workers"]} == {(SECOND, "ready")}
    assert len(said["workers"]) == 2
    scenes.site.answer("canary", "--end", "--reason", "the scene is over")
    dropped_s = scenes.gone()
    after = untouched(account_of(scenes.site, scenes.submit(scenes.few())))
    assert set(after) == {FIRST}
    return {
        "athletes": len(sessions),
        "asked": share,
        "its": round(len(its) / len(sessions), 3),
        "jobs": models,
        "by_both_workers": {
            "its": sum(len(workers[one]) == 2 for one in its),
            "others": sum(len(workers[one]) == 2 for one in set(sessions) - its),
        },
        "figures": said["canary"]["figures"],
        "dropped_on_both_after_s": dropped_s,
        "after_its_end": after,
    }


def _judged(scenes: Scenes, models: Mapping[str, int]) -> dict[str, Any]:
    """What `--status` says once a look has seen all these jobs."""
    said: dict[str, Any] = {}

    def all_seen() -> bool:
        said.update(scenes.site.answer("canary", "--status"))
        assert said["canary"]["ended_at"] is None, said
        figures = said["canary"]["figures"] or {}
        return (figures.get("jobs"), figures.get("jobs_beside")) == (models[SECOND], models[FIRST])

    until(all_seen)
    assert (said["canary"]["figures"]["failures"], said["canary"]["figures"]["nobody_more"]) == (0, 0)
    return said


def wrong(scenes: Scenes, model: str, code: str, **limits: float) -> dict[str, Any]:
    """A version that goes wrong with every clip: it goes by itself, and no coach hears of it."""
    canary = scenes.begin(model, 0.5, **limits)
    its = scenes.its(canary, scenes.few())
    first = scenes.submit(scenes.few())
    began = time.monotonic()
    until(lambda: scenes.canaries.active() is None)
    seconds = round(time.monotonic() - began, 1)
    dropped_s = scenes.gone()
    ended = account_of(scenes.site, first)
    assert {job.model for job in ended} == {FIRST}
    assert {job.session_id for job in ended if job.attempt > 1} <= its
    assert {reason for job in ended for reason in job.explained} == {code}
    assert max(job.attempt for job in ended) == 2
    after = untouched(account_of(scenes.site, scenes.submit(scenes.few())))
    assert set(after) == {FIRST}
    (over,) = scenes.canaries.list(model)
    assert over.ended_by == LIMIT
    lines = [
        [text for text in _messages(worker) if text.startswith(f"Canary rolled back: model={model} ")]
        for worker in scenes.site.place.workers
    ]
    assert sorted(map(len, lines)) == [0, 1], lines
    return {
        "rolled_back_after_s": seconds,
        "because": over.reason,
        "by": [worker.name for worker, said in zip(scenes.site.place.workers, lines, strict=True) if said],
        "dropped_on_both_after_s": dropped_s,
        **told(ended),
        "jobs_after": after,
    }


def _messages(worker: Child) -> list[str]:
    return [str(record.get("message", "")) for record in worker.records()]


def actor_killed(scenes: Scenes) -> dict[str, Any]:
    """kill -9 of the canary's actor of one worker, with jobs in it."""
    scenes.begin(SECOND, 0.5)
    victim = scenes.site.place.workers[0]
    jobs = scenes.submit(scenes.few(), each=2)
    until(lambda: _running(scenes, victim) >= 2)
    actors(victim)[-1].kill()
    ended = account_of(scenes.site, jobs)
    explained = {reason for job in ended for reason in job.explained}
    assert explained == {"actor_died"}, explained
    seconds = scenes.both_run(SECOND)
    again = untouched(account_of(scenes.site, scenes.submit(scenes.few())))
    scenes.end()
    return {**told(ended), "both_run_it_then_s": seconds, "jobs_after": again}


def _running(scenes: Scenes, worker: Child) -> int:
    """The canary's jobs that this worker has."""
    assert worker.process is not None
    rows = scenes.site.place.query(
        "SELECT count(*) FROM video_analysis_jobs WHERE resolved_model = %s AND status IN ('quick_running', "
        "'deep_running') AND worker_id LIKE %s",
        SECOND,
        f"%-{worker.process.pid}-%",
    )
    return int(rows[0][0])


def worker_killed(scenes: Scenes) -> dict[str, Any]:
    """kill -9 of a worker that has jobs of both models; it is started again."""
    canary = scenes.begin(SECOND, 0.5)
    victim = scenes.site.place.workers[0]
    jobs = scenes.submit(scenes.few(), each=2)
    until(lambda: _running(scenes, victim) >= 1)
    victim.kill()
    victim.start()
    seconds = scenes.both_run(SECOND)
    ended = account_of(scenes.site, jobs)
    explained = {reason for job in ended for reason in job.explained}
    assert explained <= {"lease_expired"}, explained
    again = account_of(scenes.site, scenes.submit(scenes.few()))
    its = scenes.its(canary, scenes.few())
    assert met(again) == {one: {SECOND if one in its else FIRST} for one in scenes.few()}
    scenes.end()
    return {"both_run_it_after_s": seconds, **told(ended), "jobs_after": untouched(again)}


def database_restarts(scenes: Scenes) -> dict[str, Any]:
    """PostgreSQL restarts while jobs of both models run."""
    canary = scenes.begin(SECOND, 0.5)
    its = scenes.its(canary, scenes.few())
    jobs = scenes.submit(scenes.few(), each=2)
    until(lambda: scenes.site.done(jobs) >= 2)
    scenes.site.place.postgres.restart(signal.SIGINT)
    ended = account_of(scenes.site, jobs)
    assert met(ended) == {one: {SECOND if one in its else FIRST} for one in scenes.few()}
    active = scenes.canaries.active()
    assert active is not None
    assert active.id == canary.id
    seconds = scenes.both_run(SECOND)
    scenes.end()
    return {**told(ended), "both_run_it_then_s": seconds}


def promoted(scenes: Scenes) -> dict[str, Any]:
    """The canary becomes production while jobs of both run: nobody loads it a second time."""
    scenes.begin(THIRD, 0.5)
    sessions = scenes.few()
    jobs = scenes.submit(sessions, each=2)
    until(lambda: scenes.site.done(jobs) >= 4)
    assert scenes.site.command("promote", THIRD, "--force") == 0
    seconds = scenes.site.wait_for(scenes.site.all_run(THIRD))
    models = untouched(account_of(scenes.site, jobs))
    after = untouched(account_of(scenes.site, scenes.submit(sessions)))
    assert set(after) == {THIRD}
    loads = [_messages(worker).count(f"Model loading: model={THIRD}") for worker in scenes.site.place.workers]
    assert loads == [1, 1], loads
    (over,) = scenes.canaries.list(THIRD)
    assert over.reason == PROMOTED
    assert scenes.canaries.active() is None
    words = scenes.site.words()
    assert {(word.model, word.canary) for word in words} == {(THIRD, None)}
    return {"both_serve_it_after_s": seconds, "loads": loads, "models": models, "jobs_after": after}


def run(athletes: int, only: Sequence[str], folder: Path, cache: Path, sample: Path) -> dict[str, Any]:
    """All scenes, or these alone, one after the other."""
    clips = [write(folder / f"clip{start}.mp4", half_size_frames(sample, start, start + 16)) for start in (60, 100)]
    account: dict[str, Any] = {}
    # Few jobs at once, so that both workers have some of everybody.
    with site_with(folder, cache, clips, workers=2, FRONTFOOT_CLIPS_PER_ACTOR="2") as site:
        entered(site.storage, BLIND, blind(cache))
        entered(site.storage, RAISING, raising(cache))
        names = [f"athlete-{number}" for number in range(athletes)]
        sessions = {session(site.place, clips[number % 2], name): name for number, name in enumerate(names)}
        scenes = Scenes(site=site, folder=folder, athletes=sessions)
        acts: Mapping[str, Callable[[], dict[str, Any]]] = {
            "sticky": lambda: sticky(scenes),
            "blind": lambda: wrong(scenes, BLIND, "no_person", jobs_min=4),
            "raising": lambda: wrong(scenes, RAISING, "backend_unavailable", failures_max=3),
            "actor_killed": lambda: actor_killed(scenes),
            "worker_killed": lambda: worker_killed(scenes),
            "database_restarts": lambda: database_restarts(scenes),
            "promoted": lambda: promoted(scenes),
        }
        for name, act in acts.items():
            if only and name not in only:
                continue
            began = time.monotonic()
            account[name] = {**act(), "scene_s": round(time.monotonic() - began, 1)}
            print(json.dumps({name: account[name]}), file=sys.stderr)  # noqa: T201
    return account


def main() -> None:
    """On demand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--athletes", type=int, default=40, help=f"of the first scene, at least {FEW}")
    parser.add_argument("--only", nargs="*", default=(), help="Names of scenes, such as `sticky`.")
    parser.add_argument("--keep", type=Path, help="Folder for the logs; made and kept.")
    parser.add_argument("--cache", type=Path, help="Folder of converted weights; by default a fresh one.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="canary-") as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        cache = arguments.cache or Path(temporary) / "cache"
        account = run(arguments.athletes, arguments.only, folder, cache, Path(".samples/demo.mp4"))
    print(json.dumps(account, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
