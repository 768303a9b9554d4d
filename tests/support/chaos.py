"""Many short jobs while everything around them is killed, restarted and stalled; then every job is accounted for.

`python tests/support/chaos.py --jobs 200 --seed 7` (`make chaos`); a small one runs with the tests.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from footage import half_size_frames, write
from world import World, world

TERMINAL = ("done", "failed", "canceled")
PATIENCE_S = 1800.0

Case = tuple[str, bool]
"""Session id, deep or quick-only: what decides a job's documents."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of everything."""

    jobs: int
    workers: int
    calm_s: tuple[float, float]
    """Between two faults: shortest, longest."""
    faults: int | None = None
    """After so many there is peace; None goes on until every job has ended."""
    seed: int


def run(plan: Plan, folder: Path, cache: Path, sample: Path) -> dict[str, Any]:
    """Submit, strike until every job has ended, check. Returns what happened; raises AssertionError."""
    clips = [write(folder / f"clip{start}.mp4", half_size_frames(sample, start, start + 16)) for start in (60, 100)]
    with world(folder, cache, workers=plan.workers, seed=plan.seed) as place:
        started = time.monotonic()
        sessions = [session(place, clip) for clip in clips]
        cases: list[Case] = [(session, deep) for session in sessions for deep in (False, True)]
        calm = {case: submit(place, case, uuid.uuid4().hex, priority=0) for case in cases}
        wait(place, list(calm.values()), strike=None)
        expected = {case: _documents(place, job) for case, job in calm.items()}
        calm_s = time.monotonic() - started

        chance = random.Random(plan.seed)
        asked = [(chance.choice(cases), f"chaos-{number}", chance.randint(-5, 5)) for number in range(plan.jobs)]
        submitted: dict[str, Case] = {}
        struck = time.monotonic()
        striker = Striker(place, plan, struck)
        for case, key, priority in asked:
            striker.perhaps()
            submitted[submit(place, case, key, priority)] = case
        wait(place, list(submitted), strike=striker)
        _settle(place)
        account = check(place, submitted, expected)
        return {
            "seed": plan.seed,
            "jobs": plan.jobs,
            "calm_s": round(calm_s, 1),
            "chaos_s": round(time.monotonic() - struck, 1),
            "faults": dict(Counter(name for _, name in place.faults)),
            "s3_connections_hit": place.proxy.faults,
            **account,
        }


class Striker:
    """Makes the next fault when its time has come."""

    def __init__(self, place: World, plan: Plan, started: float) -> None:
        self._place, self._plan, self._started = place, plan, started
        self._next = time.monotonic() + 1.0

    def perhaps(self) -> None:
        peace = self._plan.faults is not None and len(self._place.faults) >= self._plan.faults
        if not peace and time.monotonic() >= self._next:
            self._place.strike(self._started)
            self._next = time.monotonic() + self._place.chance.uniform(*self._plan.calm_s)


def check(place: World, submitted: dict[str, Case], expected: dict[Case, dict[str, Any]]) -> dict[str, Any]:
    """None lost, none finished twice, none half-written, results as in the calm, every attempt explained."""
    rows = place.query(
        "SELECT id, status, attempt, history, error_code FROM video_analysis_jobs WHERE id = ANY(%s)", list(submitted)
    )
    assert len(rows) == len(submitted)
    total = place.query("SELECT count(*) FROM video_analysis_jobs")[0][0]
    assert total == len(submitted) + len(expected), "a retried request made a second job"

    not_done = [(job, status, code) for job, status, _, _, code in rows if status != "done"]
    assert not not_done, not_done

    audit = place.query("SELECT job_id, what, count(*) FROM audit GROUP BY 1, 2")
    odd = [entry for entry in audit if entry[1:] != ("done", 1)]
    assert not odd, odd

    explained = Counter()
    for job, _, attempt, history, _ in rows:
        ended = [entry["attempt"] for entry in history or ()]
        assert ended == list(range(1, attempt)), (job, attempt, history)
        explained.update(entry["error_code"] for entry in history or ())

    for job, case in submitted.items():
        assert _documents(place, job) == expected[case], f"{job} differs from its calm twin"

    said = Counter(
        record["job_id"]
        for worker in place.workers
        for record in worker.records()
        if str(record.get("message", "")).startswith("[PERSISTED]")
    )
    twice = {job: count for job, count in said.items() if count > 1}
    assert not twice, f"said to be persisted more than once: {twice}"
    return {"attempts": sum(row[2] for row in rows), "explained": dict(explained), "done": len(rows)}


def _documents(place: World, job_id: str) -> dict[str, Any]:
    """All that a job left, in the row and in the store, less what names the job."""
    with place.client() as http:
        job = _patiently(lambda: http.get(f"/analysis-jobs/{job_id}", params={"include": "results"}))
        assert job["status"] == "done", job
        listed = _patiently(lambda: http.get(f"/analysis-jobs/{job_id}/artifacts"))["artifacts"]
        files = {}
        for artifact in listed:
            name = artifact["name"]
            answer = _answer(lambda name=name: http.get(f"/analysis-jobs/{job_id}/artifacts/{name}"))
            assert answer.status_code == 200, answer.text
            files[name] = sha256(answer.content).hexdigest()
            if name.endswith("_results.json"):
                assert json.loads(answer.content) == job[name.removesuffix(".json")], "row and store disagree"
    documents = ("quick_findings", "quick_report", "deep_findings", "deep_report", "quick_results", "deep_results")
    return {"files": files, **{name: job[name] for name in documents}}


def session(place: World, clip: Path, player: str | None = None) -> str:
    body = {"title": clip.stem, "session_type": "fielding", "player_ids": [player] if player else []}
    with place.client() as http:
        session = _patiently(lambda: http.post("/sessions", json=body))
        _patiently(lambda: http.put(f"/sessions/{session['id']}/video", content=clip.read_bytes()))
        return str(session["id"])


def submit(place: World, case: Case, key: str, priority: int) -> str:
    session, deep = case
    # Of a fielder of whom nobody says where the camera stands there are the fewest plots to draw.
    body = {"analysis_mode": "fielding", "deep_enabled": deep, "priority": priority}
    with place.client() as http:
        job = _patiently(
            lambda: http.post(f"/sessions/{session}/analysis-jobs", json=body, headers={"Idempotency-Key": key})
        )
    return str(job["id"])


def _answer(ask: Any) -> httpx.Response:
    """Ask until somebody answers: an API that was killed, a database that restarts, a store that stalls."""
    deadline = time.monotonic() + 120
    while True:
        try:
            answer: httpx.Response = ask()
            if answer.status_code < 500:
                return answer
            assert answer.status_code == 503, answer.text
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "nobody answers"
        time.sleep(0.2)


def _patiently(ask: Any) -> dict[str, Any]:
    answer = _answer(ask)
    assert answer.is_success, answer.text
    document: dict[str, Any] = answer.json()
    return document


def wait(place: World, jobs: Sequence[str], strike: Striker | None) -> None:
    deadline = time.monotonic() + PATIENCE_S
    shown = 0.0
    while True:
        counts = dict(
            place.query("SELECT status, count(*) FROM video_analysis_jobs WHERE id = ANY(%s) GROUP BY 1", list(jobs))
        )
        if sum(counts.get(status, 0) for status in TERMINAL) == len(jobs):
            return
        if time.monotonic() > shown + 15:
            shown = time.monotonic()
            print(counts, dict(Counter(name for _, name in place.faults)), file=sys.stderr)  # noqa: T201
        assert time.monotonic() < deadline, counts
        for child in (place.api, *place.workers):
            assert child.process is not None
            assert child.process.poll() is None, f"{child.name} ended by itself; see its log"
        if strike:
            strike.perhaps()
        time.sleep(0.3)


def _settle(place: World) -> None:
    """Everything is whole again before it is looked at."""
    place.proxy.set("pass")
    with place.client() as http:
        _answer(lambda: http.get("/health/ready"))


def main() -> None:
    """The long one, on demand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--keep", type=Path, help="Folder for the logs; made and kept.")
    arguments = parser.parse_args()
    plan = Plan(jobs=arguments.jobs, workers=arguments.workers, calm_s=(4.0, 12.0), seed=arguments.seed)
    print(f"seed={plan.seed}", file=sys.stderr)  # noqa: T201
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        account = run(plan, folder, Path(temporary) / "cache", Path(".samples/demo.mp4"))
    print(json.dumps(account, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
