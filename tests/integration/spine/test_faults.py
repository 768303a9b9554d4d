"""What happens around a clip: a dead actor, a cancel, a stop. The worker lives on and nothing is lost."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from footage import Image, write
from workers import OWNER, Bench

from models.queue import JobDetail
from models.requests import AnalysisRequest

pytestmark = [pytest.mark.ray, pytest.mark.model]

REQUEST = AnalysisRequest(analysis_mode="fielding")


@pytest.fixture(scope="module")
def long_clip(footage: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The woman walks to and fro: 16 seconds, enough work for a strike to land in it on an idle machine."""
    stretch = footage[60:180]
    return write(tmp_path_factory.mktemp("long") / "clip.mp4", [*stretch, *stretch[::-1]] * 2)


def _wait_for(bench: Bench, job_id: str, reached: Callable[[JobDetail], bool]) -> JobDetail:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        job = bench.job(job_id)
        if reached(job):
            return job
        time.sleep(0.05)
    raise AssertionError((job.status, job.progress_pct, job.error_code))


def _deep_is_under_way(job: JobDetail) -> bool:
    return job.status == "deep_running" and job.progress_pct > 52


def _actor_process() -> psutil.Process:
    """The process that Ray named after the actor's class."""
    own = psutil.Process()
    (actor,) = [child for child in own.children(recursive=True) if "PoseActor" in " ".join(child.cmdline())]
    return actor


def test_a_job_whose_actor_dies_is_tried_again_and_ends_well(embedded: Bench, long_clip: Path) -> None:
    job_id = embedded.submit(long_clip, REQUEST)
    with embedded.working():
        _wait_for(embedded, job_id, _deep_is_under_way)
        os.kill(_actor_process().pid, signal.SIGKILL)
        waiting = _wait_for(embedded, job_id, lambda job: job.status == "queued")
        assert waiting.quick_report is not None, "a valid quick result stays readable meanwhile"
        (job,) = embedded.finish([job_id])
    assert (job.status, job.attempt, job.error_code) == ("done", 2, None)
    assert [attempt["error_code"] for attempt in job.history] == ["actor_died"]
    assert job.deep_results_s3_key is not None
    assert f"/{job_id}/2/" in job.deep_results_s3_key


def _break_the_runtime(actor: Any) -> None:
    """Runs in the actor: from now on its OpenVINO returns, without an error, what it found before."""

    class Deaf:
        def __init__(self, request: Any) -> None:
            self.get_output_tensor = request.get_output_tensor

        def infer(self, inputs: object) -> None:
            pass

    backend = actor._extractor._estimator._backend
    for idle in (network._idle for network in backend._networks.values()):
        for request in [idle.get(timeout=20) for _ in range(backend.servers)]:
            idle.put(Deaf(request))


def test_an_actor_whose_runtime_broke_is_replaced_and_its_job_ends_well(embedded: Bench, long_clip: Path) -> None:
    import ray

    # By value: the actor's process does not know this module.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    job_id = embedded.submit(long_clip, REQUEST)
    with embedded.working():
        _wait_for(embedded, job_id, _deep_is_under_way)
        broken = _actor_process().pid
        embedded.cluster.serving.pool.members[0].actor.__ray_call__.remote(
            _break_the_runtime
        )  # it may not live to answer
        (job,) = embedded.finish([job_id])
    assert (job.status, job.attempt, job.error_code) == ("done", 2, None)
    assert [attempt["error_code"] for attempt in job.history] == ["actor_died"]
    assert _actor_process().pid != broken


def test_an_actor_that_is_gone_for_good_is_replaced(embedded: Bench, footage: list[Image], tmp_path: Path) -> None:
    import ray

    gone = embedded.cluster.serving.pool.members[0].actor
    ray.kill(gone, no_restart=True)
    deadline = time.monotonic() + 60
    while not embedded.cluster.capacity() or embedded.cluster.serving.pool.members[0].actor is gone:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    job_id = embedded.submit(write(tmp_path / "clip.mp4", footage[60:76]), REQUEST)
    with embedded.working():
        (job,) = embedded.finish([job_id])
    assert (job.status, job.attempt) == ("done", 1)


def test_a_running_job_can_be_canceled_and_the_actor_is_free_again(embedded: Bench, long_clip: Path) -> None:
    job_id = embedded.submit(long_clip, REQUEST)
    with embedded.working():
        _wait_for(embedded, job_id, _deep_is_under_way)
        embedded.storage.queue.cancel(OWNER, job_id)
        (job,) = embedded.finish([job_id], timeout_s=10)
        _wait_until_idle(embedded)
    assert (job.status, job.stage) == ("canceled", "CANCELED")
    assert (job.deep_findings, job.deep_results_s3_key) == (None, None)


def test_a_stopping_worker_hands_back_what_it_cannot_finish_at_no_cost_of_an_attempt(
    embedded: Bench, long_clip: Path
) -> None:
    from pipeline.stages import Limits
    from pipeline.worker import Worker, WorkerOptions

    job_id = embedded.submit(long_clip, REQUEST)
    stop = threading.Event()
    worker = Worker(
        storage_options=embedded.options,
        cluster=embedded.cluster,
        limits=Limits(),
        options=WorkerOptions(poll_s=0.1, grace_s=0.5),
    )
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    _wait_for(embedded, job_id, _deep_is_under_way)
    stop.set()
    thread.join(timeout=20)
    assert not thread.is_alive()

    job = embedded.job(job_id)
    assert (job.status, job.error_code) == ("queued", None)
    assert job.max_attempts - job.attempt == 3, "three attempts are left"
    _wait_until_idle(embedded)
    with embedded.working():  # that it then ends as any other, the dead actor's job shows
        _wait_for(embedded, job_id, _deep_is_under_way)
        embedded.storage.queue.cancel(OWNER, job_id)
        embedded.finish([job_id], timeout_s=10)
        _wait_until_idle(embedded)


def _wait_until_idle(bench: Bench) -> None:
    deadline = time.monotonic() + 20
    while any(status.clips for status in bench.cluster.statuses()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
