"""What a worker claims, and when. Queue, pool and threads are real; a job takes its seat and waits to be let go."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from queueing import BOWLING, session_with_upload

from inference.actor import ActorStatus
from inference.batcher import BatchStats
from inference.poses import ModelInfo
from inference.spans import ROOM
from models.errors import StoreUnavailable
from models.jobs import ClaimedJob, Owner
from models.storage import StorageOptions
from pipeline import worker as worker_module
from pipeline.pool import Pool, Wish
from pipeline.stages import Limits
from pipeline.worker import Worker, WorkerOptions

JANE = Owner(owner_type="coach", owner_id="jane")
MODEL = ModelInfo(name="m", version="1", sha256="0", backend="torch", precision="fp32", runtime="torch 2")
POLL_S = 0.1


class Bench:
    """A worker whose only actor has room for two whole clips."""

    def __init__(self, options: StorageOptions) -> None:
        self.storage = options.open()
        self.queue = self.storage.queue
        self.pool = Pool(2 * ROOM)
        self.pool.fill(["actor"])
        (member,) = self.pool.members
        self.pool.answered(member, 0, ActorStatus(model=MODEL, clips=0, batches=BatchStats()))
        self.seated: dict[str, threading.Event] = {}
        """Jobs in the actor → what lets them go."""
        self.claims: list[int | None] = []
        """What each claim was to be above."""
        self.no_claim = threading.Lock()
        """Held, so that several jobs are there before the next claim."""
        self.generation = SimpleNamespace(
            threshold=self.pool.threshold,
            model=MODEL.ref,
            expected=None,
            hold=lambda: self.holds.append("a job"),
            release=lambda: self.holds.remove("a job"),
        )
        self.holds: list[str] = []
        """One for each job that holds the generation."""
        self.serving: Any = self.generation
        self.beside: list[Any] = []
        """A canary's generation."""
        cluster: Any = SimpleNamespace(
            capacity=self.pool.capacity,
            statuses=list,
            generations=(),
            serving=self.generation,
            entered=lambda canary: nullcontext((self.serving, *self.beside) if self.serving else ()),
            holds=list,
            hold=lambda model, entered: entered[0].hold() or entered[0],
        )
        worker_options = WorkerOptions(poll_s=POLL_S, grace_s=5.0)
        self.worker = Worker(storage_options=options, cluster=cluster, limits=Limits(), options=worker_options)
        self.worker._runner = SimpleNamespace(run=self._job)  # type: ignore[assignment]
        claim = self.worker._storage.queue.claim

        def noted(worker_id: str, *, above: int | None = None, **others: Any) -> ClaimedJob | None:
            self.claims.append(above)
            with self.no_claim:
                return claim(worker_id, above=above, **others)

        self.worker._storage.queue.claim = noted  # type: ignore[method-assign]

    def submit(self, *priorities: int) -> list[str]:
        session_id = session_with_upload(self.queue, JANE)
        return [self.queue.submit(JANE, session_id, BOWLING, priority).id for priority in priorities]

    def wait_for(self, *job_ids: str) -> None:
        """Until these are in the actor, and nobody else is."""
        wait_until(lambda: set(self.seated) == set(job_ids))

    def end(self, job_id: str) -> None:
        self.seated[job_id].set()

    def status(self, job_id: str) -> str:
        return self.queue.get(JANE, job_id).status

    def _job(self, claimed: ClaimedJob, generation: Any, hand_back: threading.Event) -> None:
        assert generation is self.generation
        seat = self.pool.take(Wish(priority=claimed.job.priority), check=lambda silent_s: None)
        self.seated[claimed.id] = threading.Event()
        while not self.seated[claimed.id].wait(0.01) and not hand_back.is_set():
            pass
        del self.seated[claimed.id]
        self.pool.leave(seat)


@pytest.fixture
def bench(sqlite_url: str, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(StorageOptions(database_url=sqlite_url, folder=tmp_path))
    stop, hand_back = threading.Event(), threading.Event()
    thread = threading.Thread(target=bench.worker.run, args=(stop, hand_back))
    thread.start()
    yield bench
    stop.set()
    hand_back.set()
    thread.join(timeout=10)
    assert not thread.is_alive()
    bench.storage.close()


def wait_until(reached: Any, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_an_urgent_job_is_claimed_and_seated_while_bulk_fills_the_actor(bench: Bench) -> None:
    bulk = bench.submit(0, 0, 0)
    wait_until(lambda: len(bench.seated) == 2)
    running = list(bench.seated)
    (waiting,) = set(bulk) - set(running)
    (urgent,) = bench.submit(5)
    bench.wait_for(*running, urgent)
    assert bench.status(waiting) == "queued", "no more bulk than there is room for"
    with bench.no_claim:
        more = bench.submit(5, 5, 7)
    wait_until(lambda: more[2] in bench.seated)
    time.sleep(3 * POLL_S)
    assert set(bench.seated) == {*running, urgent, more[2]}, "twice the room is the most"
    bench.end(running[0])
    wait_until(lambda: len(bench.seated) == 3)
    assert set(bench.seated) == {running[1], urgent, more[2]}, "urgent jobs have all the room that they may take"
    bench.end(urgent)
    wait_until(lambda: any(job_id in bench.seated for job_id in more[:2]))
    assert bench.status(waiting) == "queued"


def test_a_full_worker_looks_for_urgent_jobs_once_a_poll_whatever_wakes_it(bench: Bench) -> None:
    running = bench.submit(0, 0)
    bench.wait_for(*running)
    wait_until(lambda: 0 in bench.claims)
    bench.claims.clear()
    began = time.monotonic()
    while time.monotonic() < began + 5 * POLL_S:
        bench.worker._work.set()
        bench.worker._room.set()
        time.sleep(0.002)
    assert set(bench.claims) == {0}
    assert 1 <= len(bench.claims) <= 6


def test_a_worker_full_of_the_most_urgent_claims_nothing(bench: Bench) -> None:
    running = bench.submit(5, 5, 0, 0)[:2]
    bench.wait_for(*running)
    wait_until(lambda: 5 in bench.claims)
    time.sleep(2 * POLL_S)
    bench.wait_for(*running)
    bench.end(running[0])
    wait_until(lambda: len(bench.seated) == 2 and running[0] not in bench.seated)


def test_with_a_canary_beside_what_serves_jobs_are_claimed_only_while_both_have_room(bench: Bench) -> None:
    """Nobody knows whose the next job is."""
    full = threading.Event()
    full.set()
    bench.beside.append(SimpleNamespace(threshold=lambda running: math.inf if full.is_set() else -math.inf))
    time.sleep(2 * POLL_S)
    bench.claims.clear()
    job = bench.submit(0)
    time.sleep(3 * POLL_S)
    assert bench.claims == []
    full.clear()
    bench.wait_for(*job)


def test_a_database_that_is_away_does_not_end_a_full_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    running = bench.submit(0, 0)
    bench.wait_for(*running)
    queue = bench.worker._storage.queue
    tried = threading.Event()

    def away(worker_id: str, **others: Any) -> None:
        tried.set()
        raise StoreUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(queue, "claim", away)
        assert tried.wait(10)
    (urgent,) = bench.submit(1)
    bench.wait_for(*running, urgent)


def test_while_no_model_serves_jobs_wait_in_the_queue(bench: Bench) -> None:
    """And those that run hold the one that did."""
    (running,) = bench.submit(0)
    bench.wait_for(running)
    bench.serving = None
    (waiting,) = bench.submit(5)
    time.sleep(3 * POLL_S)
    assert bench.status(waiting) == "queued"
    assert len(bench.holds) == 1
    bench.end(running)
    wait_until(lambda: not bench.holds)
    bench.serving = bench.generation
    bench.wait_for(waiting)
    assert len(bench.holds) == 1


def test_jobs_that_mean_another_model_are_claimed_no_faster_than_it_takes_them(bench: Bench) -> None:
    pool = Pool(2 * ROOM)
    pool.fill(["actor"])
    pool.answered(pool.members[0], 0, ActorStatus(model=MODEL, clips=0, batches=BatchStats()))
    other = SimpleNamespace(pool=pool, jobs=0, release=lambda: None)

    def hold(model: str | None, otherwise: Any) -> Any:
        other.jobs += 1
        return other

    cluster: Any = bench.worker._cluster
    cluster.generations, cluster.hold = (bench.generation, other), hold
    bench.worker._runner = SimpleNamespace(run=lambda claimed, generation, hand_back: hand_back.wait())  # type: ignore[assignment]
    jobs = bench.submit(*[0] * 9)
    wait_until(lambda: other.jobs == 2 * pool.seats() + 1)
    time.sleep(3 * POLL_S)
    assert other.jobs == 5
    assert [bench.status(job) for job in jobs].count("queued") == 4


def test_an_actor_that_starts_again_under_another_model_holds_up_nobody(bench: Bench) -> None:
    pool = Pool(2 * ROOM)
    pool.fill(["actor"])  # which does not answer
    other = SimpleNamespace(pool=pool, jobs=1)
    cluster: Any = bench.worker._cluster
    cluster.generations = (bench.generation, other)
    with bench.worker._lock:
        bench.worker._running[threading.Thread()] = worker_module._Running(cast("Any", other), 0)
    (job,) = bench.submit(0)
    bench.wait_for(job)
    with bench.worker._lock:
        bench.worker._running = {
            thread: one for thread, one in bench.worker._running.items() if one.generation is bench.generation
        }
