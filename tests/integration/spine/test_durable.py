"""A job that cannot get lost: poison, a frozen actor, a late failure, a wake-up. One real actor with eight places."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from footage import Image, write
from silence import silent_url
from workers import OWNER, Bench

from inference.actor import ClipProgress
from inference.errors import ExtractionCanceled
from inference.extract import ExtractRequest
from inference.sources import LinkedClip, LocalClip
from models.artifacts import artifact_key
from models.jobs import JobDetail
from models.requests import AnalysisRequest
from models.storage import StorageOptions
from pipeline.cluster import Cluster

pytestmark = [pytest.mark.ray, pytest.mark.model]

REQUEST = AnalysisRequest(analysis_mode="fielding")
QUICK_ONLY = REQUEST.model_copy(update={"deep_enabled": False})


@pytest.fixture(scope="module")
def clip(footage: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second and a half of a woman who walks."""
    return write(tmp_path_factory.mktemp("durable") / "clip.mp4", footage[60:105])


@pytest.fixture(scope="module")
def short(footage: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of her."""
    return write(tmp_path_factory.mktemp("durable") / "short.mp4", footage[60:76])


def _bench(cluster: Cluster, options: StorageOptions) -> Iterator[Bench]:
    storage = options.open()
    yield Bench(options=options, storage=storage, cluster=cluster)
    storage.close()


@pytest.fixture
def once(sqlite_url: str, tmp_path: Path, cluster: Cluster) -> Iterator[Bench]:
    """A worker's place where a job has one attempt."""
    yield from _bench(cluster, StorageOptions(database_url=sqlite_url, folder=tmp_path / "artifacts", max_attempts=1))


@pytest.fixture
def on_postgres(postgres_url: str, tmp_path: Path, cluster: Cluster) -> Iterator[Bench]:
    yield from _bench(cluster, StorageOptions(database_url=postgres_url, folder=tmp_path / "artifacts"))


def _wait_for(reached: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _actor(bench: Bench) -> Any:
    return bench.cluster.serving.pool.members[0].actor


def _actor_pid() -> int:
    """The process that Ray named after the actor's class."""
    (pid,) = [
        child.pid for child in psutil.Process().children(recursive=True) if "PoseActor" in " ".join(child.cmdline())
    ]
    return pid


def _progress(bench: Bench, job_id: str) -> ClipProgress:
    """Of the job's present attempt in the actor; nothing while that does not answer."""
    try:
        key = f"{job_id}/{bench.job(job_id).attempt}"
        found: ClipProgress = ray.get(_actor(bench).progress.remote(key), timeout=1.0)
    except ray.exceptions.RayError:
        return ClipProgress()
    return found


def _codes(job: JobDetail) -> list[str]:
    return [attempt["error_code"] for attempt in job.history]


@contextmanager
def _poisonous(bench: Bench, job_id: str) -> Iterator[list[int]]:
    """The job's clip kills its actor whenever it is inferred there. Yields how many clips each death found."""
    found: list[int] = []
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(0.02):
            if _progress(bench, job_id).share > 0:
                found.append(ray.get(_actor(bench).status.remote(), timeout=5).clips)
                os.kill(_actor_pid(), signal.SIGKILL)
                _wait_for(lambda: not _progress(bench, job_id).share)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def test_a_poison_clip_fails_alone_and_its_neighbours_finish(once: Bench, clip: Path) -> None:
    *neighbours, poison = [once.submit(clip, QUICK_ONLY) for _ in range(3)]
    with _poisonous(once, poison) as clips_at_death, once.working():
        ended, *innocent = once.finish([poison, *neighbours])
    assert (ended.status, ended.error_code) == ("failed", "actor_died")
    assert clips_at_death[0] > 1
    assert clips_at_death[1:] == [1], "after that it had an actor to itself"
    assert _codes(ended) == ["actor_died", "actor_died"], "the first was not charged, the second was its only attempt"
    assert [job.status for job in innocent] == ["done"] * 2
    assert {tuple(_codes(job)) for job in innocent} <= {(), ("actor_died",)}
    assert any(job.crashes for job in innocent)
    for job in innocent:
        assert job.crashes == len(job.history)
        assert (job.attempt, job.max_attempts) == (1 + job.crashes, 1 + job.crashes), "it cost none of theirs"


def test_a_frozen_actor_is_given_up_and_started_again(embedded: Bench, clip: Path) -> None:
    ids = [embedded.submit(clip, QUICK_ONLY) for _ in range(2)]
    with embedded.working(stall_s=20.0):
        # Both are claimed long before the actor has its first frames; that both have some at one moment is not certain.
        _wait_for(lambda: any(_progress(embedded, job_id).share > 0 for job_id in ids))
        assert {embedded.job(job_id).status for job_id in ids} == {"quick_running"}
        frozen = _actor_pid()
        os.kill(frozen, signal.SIGSTOP)
        jobs = embedded.finish(ids, timeout_s=240.0)
    assert not psutil.pid_exists(frozen)
    assert [job.status for job in jobs] == ["done", "done"]
    assert sorted(code for job in jobs for code in _codes(job)) in (["actor_died", "stalled"], ["stalled", "stalled"])


def test_a_retry_after_a_late_failure_infers_nothing_again(embedded: Bench, clip: Path) -> None:
    calm = embedded.submit(clip, REQUEST)
    with embedded.working():
        (expected,) = embedded.finish([calm])
    before = _frames_inferred(embedded)

    job_id = embedded.submit(clip, REQUEST)
    job = embedded.job(job_id)
    # A folder where the deep results should go: the store fails at the very end of the first attempt.
    in_the_way = embedded.options.folder / artifact_key(job.s3_key or "", job_id, 1, "deep_results.json")
    in_the_way.mkdir(parents=True)
    with embedded.working():
        _wait_for(lambda: bool(embedded.job(job_id).history))
        after_first = _frames_inferred(embedded)
        (job,) = embedded.finish([job_id])

    assert (job.status, job.attempt, _codes(job)) == ("done", 2, ["store_unavailable"])
    assert after_first > before
    assert _frames_inferred(embedded) == after_first
    for name in (
        "quick_results.json",
        "deep_results.json",
        "report.html",
        "report.pdf",
        "report.md",
        "overlay.mp4",
        "poses.parquet",
    ):
        assert _artifact(embedded, job, name) == _artifact(embedded, expected, name), name
    kept = embedded.options.folder / artifact_key(job.s3_key or "", job_id, 1, "x").replace("1/x", "checkpoints")
    assert not kept.exists(), "nobody needs them any more"


def test_another_clip_under_the_same_key_is_inferred(embedded: Bench, clip: Path, short: Path) -> None:
    job_id = embedded.submit(clip, QUICK_ONLY)
    job = embedded.job(job_id)
    in_the_way = embedded.options.folder / artifact_key(job.s3_key or "", job_id, 1, "quick_results.json")
    in_the_way.mkdir(parents=True)
    with embedded.working():
        _wait_for(lambda: bool(embedded.job(job_id).history))
        embedded.storage.store.put_file("local", job.s3_key or "", short)
        (job,) = embedded.finish([job_id])
    stored = embedded.storage.queue.results(OWNER, job_id).quick_results
    assert job.status == "done"
    assert stored is not None
    assert stored["receipt"]["decoded"] == 16


def test_a_burst_is_claimed_without_waiting_for_the_next_look(on_postgres: Bench, short: Path) -> None:
    with on_postgres.working(poll_s=60.0):
        time.sleep(0.5)  # it has looked, and found nothing
        ids = [on_postgres.submit(short, QUICK_ONLY) for _ in range(8)]
        jobs = on_postgres.finish(ids, timeout_s=45)
    assert [job.status for job in jobs] == ["done"] * 8


def test_a_clip_that_is_still_being_fetched_can_be_canceled(embedded: Bench) -> None:
    actor = _actor(embedded)
    with silent_url() as url:
        _, note = actor.extract.remote("silent", LinkedClip(url=url, size_limit=10), ExtractRequest(), None)
        _wait_for(lambda: any(status.clips for status in embedded.cluster.statuses()))
        began = time.monotonic()
        ray.get(actor.cancel.remote("silent"))
        with pytest.raises(ExtractionCanceled):
            ray.get(note, timeout=10)
        assert time.monotonic() - began < 2.0


def test_a_cancel_that_overtakes_its_clip_counts(embedded: Bench, short: Path) -> None:
    actor = _actor(embedded)
    ray.get(actor.cancel.remote("overtaken"))
    _, note = actor.extract.remote("overtaken", LocalClip(path=short), ExtractRequest(), None)
    with pytest.raises(ExtractionCanceled):
        ray.get(note, timeout=10)


def _frames_inferred(bench: Bench) -> int:
    return sum(status.batches.frames for status in bench.cluster.statuses())


def _artifact(bench: Bench, job: JobDetail, name: str) -> bytes:
    key = artifact_key(job.s3_key or "", job.id, job.attempt, name)
    return b"".join(bench.storage.store.open(bench.storage.store.bucket, key).chunks)
