"""A worker follows its alias from one model to the next, and back, while jobs run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from footage import Image, write
from versions import converted, entered
from workers import OWNER, Bench

from frontfoot.following import FollowedAlias
from models.jobs import JobDetail
from models.model_catalogue import ModelCatalogue
from models.model_versions import ModelRef
from models.requests import AnalysisRequest
from models.worker_models import WorkerModel, WorkerModels

pytestmark = [pytest.mark.ray, pytest.mark.model]

BUILT_IN, NEXT, BROKEN = "yolo11n-pose@1", "net@2", "net@3"


def test_jobs_go_on_while_the_model_is_swapped(
    embedded: Bench, alias: FollowedAlias, model_cache: Path, footage: list[Image], tmp_path: Path
) -> None:
    content = converted(model_cache)
    entered(embedded.storage, NEXT, content)
    entered(embedded.storage, BROKEN, content, stored=content[:-1])
    catalogue, register = ModelCatalogue(embedded.storage.database), WorkerModels(embedded.storage.database)
    clip = write(tmp_path / "clip.mp4", footage[60:90])
    first = embedded.cluster.serving

    def submitted(deep: bool, count: int, model: str | None = None) -> list[str]:
        request = AnalysisRequest(analysis_mode="fielding", deep_enabled=deep, model=model)
        return [embedded.submit(clip, request) for _ in range(count)]

    def worker_says(expected: Callable[[WorkerModel], bool]) -> WorkerModel:
        deadline = time.monotonic() + 60
        while not ((said := register.list()) and expected(said[0])):
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
        return said[0]

    with embedded.working(models=alias):
        worker_says(lambda word: word.state == "ready" and word.model == BUILT_IN)
        ids = submitted(deep=True, count=2)
        _wait_until(lambda: any(embedded.job(job_id).status == "deep_running" for job_id in ids))
        catalogue.promote(ModelRef.parse(NEXT), by="jane")
        worker_says(lambda word: word.state == "loading" and word.wanted == NEXT)
        ids += submitted(deep=True, count=1) + submitted(deep=False, count=1, model=NEXT)
        worker_says(lambda word: word.state == "ready" and word.model == NEXT)
        ids += submitted(deep=True, count=1) + submitted(deep=False, count=1)
        jobs = embedded.finish(ids)
        assert {job.resolved_model for job in jobs} == {BUILT_IN, NEXT}
        assert jobs[-1].resolved_model == NEXT
        assert jobs[3].resolved_model == NEXT, "it waited until that was loaded"
        jobs += embedded.finish(submitted(deep=False, count=1, model=BUILT_IN))
        assert jobs[-1].resolved_model == BUILT_IN, "it is still there"

        catalogue.rollback(by="jane")
        began = time.monotonic()
        worker_says(lambda word: word.state == "ready" and word.model == BUILT_IN)
        assert time.monotonic() < began + 4, "it was kept warm"
        assert embedded.cluster.serving is first

        catalogue.promote(ModelRef.parse(BROKEN), by="jane")
        word = worker_says(lambda word: word.state == "failed")
        assert (word.model, word.wanted, word.error_code) == (BUILT_IN, BROKEN, "weights_rejected")
        assert "checksum" in (word.error_message or "")
        assert embedded.cluster.generations == (first,)
        jobs += embedded.finish(submitted(deep=False, count=1))
        assert jobs[-1].resolved_model == BUILT_IN
    for job in jobs:
        assert (job.status, job.attempt) == ("done", 1)
        assert _models_of(embedded, job) == {job.resolved_model}
    assert register.list() == ()
    assert {generation.jobs for generation in embedded.cluster.generations} == {0}


def _models_of(bench: Bench, job: JobDetail) -> set[str]:
    """Every model that any of its results names."""
    results = bench.storage.queue.results(OWNER, job.id)
    documents = (results.quick_results, results.deep_results)
    return {f"{document['model']['name']}@{document['model']['version']}" for document in documents if document}


def _wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)
