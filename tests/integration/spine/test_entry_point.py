"""A model that an installed package brings, in a worker's Ray actors: the docs' worked example."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from distributions import example_code, install
from footage import Image, write
from versions import entered
from workers import OWNER, Bench

from frontfoot.following import FollowedAlias
from inference import entry_points
from inference.artifact import Manifest, pack
from inference.catalog import DEFAULT_MODEL, catalogued
from inference.conversion import openvino_model
from models.model_catalogue import ModelCatalogue
from models.requests import AnalysisRequest
from models.worker_models import WorkerModel, WorkerModels

pytestmark = [pytest.mark.ray, pytest.mark.model]

BUILT_IN, BROUGHT = "yolo11n-pose@1", "mine@3"


def test_what_an_installed_package_brings_measures_where_it_is_installed(
    embedded: Bench,
    alias: FollowedAlias,
    site_packages: Path,
    model_cache: Path,
    footage: list[Image],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.refusals.RETRY_S", 1.0)
    catalogue, register = ModelCatalogue(embedded.storage.database), WorkerModels(embedded.storage.database)
    operators = tmp_path / "operators"
    put_example(operators, model_cache)
    monkeypatch.syspath_prepend(operators)
    installed = entry_points.find("my-pose")
    manifest = Manifest(head="rows", one_at_a_time=False, coarse=False, precision="fp32", installed=installed)
    ref = entered(embedded.storage, BROUGHT, pack(None, manifest))
    clip = write(tmp_path / "clip.mp4", footage[60:76])
    request = AnalysisRequest(analysis_mode="fielding", deep_enabled=False)

    def worker_says(expected: Callable[[WorkerModel], bool]) -> WorkerModel:
        deadline = time.monotonic() + 60
        while not ((said := register.list()) and expected(said[0])):
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
        return said[0]

    with embedded.working(models=alias):
        catalogue.promote(ref, by="jane")
        word = worker_says(lambda word: word.state == "failed")
        assert (word.model, word.wanted, word.error_code) == (BUILT_IN, BROUGHT, "weights_rejected")
        assert "there is no entry point 'my-pose'" in (word.error_message or "")
        put_example(site_packages, model_cache)
        worker_says(lambda word: word.state == "ready" and word.model == BROUGHT)
        (job,) = embedded.finish([embedded.submit(clip, request)])
    assert (job.status, job.attempt, job.resolved_model) == ("done", 1, BROUGHT)
    document = embedded.storage.queue.results(OWNER, job.id).quick_results
    assert document is not None
    said = document["model"]
    assert (said["backend"], said["precision"], said["runtime"]) == ("entrypoint", "fp32", "my-pose 1.0")


def put_example(folder: Path, cache: Path) -> None:
    """Install the worked example into a folder, with the built-in weights out of the cache."""
    network = openvino_model(catalogued(DEFAULT_MODEL), cache)
    weights = {f"my_pose/network{end}": network.with_suffix(end).read_bytes() for end in (".xml", ".bin")}
    files = {"my_pose/__init__.py": example_code().encode(), **weights}
    install(folder, files, name="my-pose", version="1.0", entry_points={"my-pose": "my_pose:load"})
