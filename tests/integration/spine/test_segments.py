"""A long clip is worked on in segments, by whoever is free, and every segment is kept."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import ray
from footage import Image, write
from workers import OWNER, Bench

from inference.actor import PoseActor
from inference.extract import ExtractorOptions, ExtractRequest, PoseExtractor
from inference.probe import survey
from inference.segments import SegmentRules
from inference.sources import LocalClip
from models.artifacts import artifact_key
from models.jobs import JobDetail
from models.requests import AnalysisRequest
from pipeline.cluster import Cluster
from pipeline.pool import Member
from pipeline.results import json_bytes
from pipeline.run import Analysis, run_pose_metrics_findings_report
from pipeline.stages import Limits

pytestmark = [pytest.mark.ray, pytest.mark.model]

REQUEST = AnalysisRequest(analysis_mode="fielding")
LIMITS = Limits(segments=SegmentRules(min_s=0.6))
NAMES = (
    "quick_results.json",
    "deep_results.json",
    "report.html",
    "report.pdf",
    "report.md",
    "overlay.mp4",
    "poses.parquet",
)


@pytest.fixture(scope="module")
def clip(footage: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of a woman who walks to and fro: six segments."""
    stretch = footage[60:120]
    return write(tmp_path_factory.mktemp("segments") / "clip.mp4", [*stretch, *stretch[::-1]], group=20)


@pytest.fixture(scope="module")
def unsplit(clip: Path, extractor: PoseExtractor) -> Analysis:
    """What one pass makes of it."""
    return run_pose_metrics_findings_report(LocalClip(path=clip), REQUEST, extractor=extractor, limits=LIMITS)


@pytest.fixture(scope="module")
def another(cluster: Cluster, extractor_options: ExtractorOptions) -> Iterator[Any]:
    """An actor that leaves the machine's cores to the tasks."""
    declare: Any = ray.remote
    groups = {"analyse": 8, "control": 4}
    remote = declare(num_cpus=0, max_restarts=-1, max_concurrency=4, concurrency_groups=groups)(PoseActor)
    actor = remote.remote(extractor_options)
    yield actor
    ray.kill(actor)


@pytest.fixture
def second_actor(cluster: Cluster, another: Any) -> Iterator[Any]:
    """One more in the pool."""
    ray.get(another.status.remote())
    cluster.serving.pool.members.append(Member(actor=another))
    yield another
    cluster.serving.pool.members.pop()


def _artifact(bench: Bench, job: JobDetail, name: str) -> bytes:
    key = artifact_key(job.s3_key or "", job.id, job.attempt, name)
    return b"".join(bench.storage.store.open(bench.storage.store.bucket, key).chunks)


def _agrees(bench: Bench, job: JobDetail, unsplit: Analysis) -> None:
    assert (job.status, job.stage, job.progress_pct, job.error_code) == ("done", "DONE", 100, None)
    assert unsplit.deep is not None
    documents = {
        "quick_results.json": json_bytes(unsplit.quick.results),
        "deep_results.json": json_bytes(unsplit.deep.results),
    }
    for name in NAMES:
        assert _artifact(bench, job, name) == {**unsplit.files, **documents}[name], name


def _folder(bench: Bench, job: JobDetail) -> Path:
    return bench.options.folder / artifact_key(job.s3_key or "", job.id, 1, "x").replace("1/x", "checkpoints")


def _kept(bench: Bench, job: JobDetail) -> list[str]:
    """Numbers of the segments that are kept."""
    return sorted(path.stem.rpartition("-")[2] for path in _folder(bench, job).glob("deep-*-?.npz"))


def _wait_for(reached: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _frames(actor: Any) -> int:
    frames: int = ray.get(actor.status.remote()).batches.frames
    return frames


def _is_fresh(actor: Any) -> bool:
    """Whether it has started again, and answers."""
    with suppress(ray.exceptions.RayError):
        return _frames(actor) == 0
    return False


def _kill(actor: Any) -> None:
    pid: int = ray.get(actor.__ray_call__.remote(lambda _: os.getpid()))
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("storage_options", ["postgresql+s3"], indirect=True)
def test_all_free_actors_work_on_a_long_clip_and_it_comes_out_as_in_one_pass(
    bench: Bench, clip: Path, unsplit: Analysis, second_actor: Any
) -> None:
    first = bench.cluster.serving.pool.members[0].actor
    before = _frames(first), _frames(second_actor)
    job_id = bench.submit(clip, REQUEST)
    seen: list[float] = []
    with bench.working(LIMITS):
        _wait_for(lambda: bench.job(job_id).status == "deep_running")
        while bench.job(job_id).status == "deep_running":
            seen.append(bench.job(job_id).progress_pct)
            time.sleep(0.05)
        (job,) = bench.finish([job_id])
    _agrees(bench, job, unsplit)
    assert _frames(first) - before[0] > 60, "three segments of twenty frames, and QUICK"
    assert _frames(second_actor) - before[1] > 60, "the other three"
    assert seen == sorted(seen)


def test_after_a_crash_only_the_missing_segments_are_inferred(
    embedded: Bench, clip: Path, unsplit: Analysis, extractor: PoseExtractor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    job_id = embedded.submit(clip, REQUEST)
    job = embedded.job(job_id)
    with embedded.working(LIMITS):
        _wait_for(lambda: len(_kept(embedded, job)) >= 3)
        _kill(embedded.cluster.serving.pool.members[0].actor)
        (job,) = embedded.finish([job_id])
    assert [attempt["error_code"] for attempt in job.history] == ["actor_died"]
    _agrees(embedded, job, unsplit)
    assert not _folder(embedded, job).exists()
    (line,) = [record for record in caplog.records if record.getMessage().startswith("Segments of an earlier attempt")]
    used = vars(line)["segments"]
    assert used in {3, 4, 5}
    assert vars(line)["of"] == 6
    again = _frames(embedded.cluster.serving.pool.members[0].actor)  # a new actor counts from 0, and QUICK was kept
    before = extractor.batcher.stats().frames
    extractor.extract(clip, ExtractRequest(segments=LIMITS.segments))
    assert again < 0.7 * (extractor.batcher.stats().frames - before)


def test_a_canceled_clip_stops_in_every_actor(embedded: Bench, clip: Path, second_actor: Any) -> None:
    job_id = embedded.submit(clip, REQUEST)
    job = embedded.job(job_id)
    with embedded.working(LIMITS):
        _wait_for(lambda: bool(_kept(embedded, job)))
        embedded.storage.queue.cancel(OWNER, job_id)
        (job,) = embedded.finish([job_id], timeout_s=15)
        actors = [member.actor for member in embedded.cluster.serving.pool.members]
        _wait_for(lambda: all(ray.get(actor.status.remote()).clips == 0 for actor in actors), timeout_s=10)
        assert all(not member.seats for member in embedded.cluster.serving.pool.members)
    assert (job.status, job.stage) == ("canceled", "CANCELED")


def test_a_helper_that_dies_leaves_its_segments_to_the_others(
    embedded: Bench, clip: Path, unsplit: Analysis, second_actor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    lines: list[logging.LogRecord] = []
    for _ in range(3):  # it may have done its part before it is struck, and then nobody notices
        before = _frames(second_actor)
        job_id = embedded.submit(clip, REQUEST)
        with embedded.working(LIMITS):
            _wait_for(lambda least=before: _frames(second_actor) > least)
            ray.kill(second_actor, no_restart=False)
            (job,) = embedded.finish([job_id])
        assert (job.attempt, len(job.history)) == (1, 0)
        _agrees(embedded, job, unsplit)
        lines = [record for record in caplog.records if record.getMessage().startswith("Helping actor died")]
        if lines:
            break
        _wait_for(lambda: _is_fresh(second_actor))
    (line,) = lines
    assert vars(line)["segments"] in {1, 2, 3}


def test_a_clip_whose_segments_are_unsure_is_extracted_as_a_whole(
    embedded: Bench, footage: list[Image], extractor: PoseExtractor, tmp_path: Path
) -> None:
    """Intra refresh: what looks like a key frame is whole only a second later."""
    options = {"preset": "veryfast", "x264-params": "intra-refresh=1:keyint=20:bframes=0"}
    clip = write(tmp_path / "clip.mp4", footage[60:120], group=20, options=options)
    assert len(survey(clip, rules=LIMITS.segments).segments) > 2
    alone = run_pose_metrics_findings_report(LocalClip(path=clip), REQUEST, extractor=extractor, limits=LIMITS)
    job_id = embedded.submit(clip, REQUEST)
    with embedded.working(LIMITS):
        (job,) = embedded.finish([job_id])
    _agrees(embedded, job, alone)
