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
from models.model_versions import ModelRef
from models.requests import AnalysisRequest
from models.worker_models import WorkerModel, WorkerModels

pytestmark = [pytest.mark.ray, pytest.mark.model]

BUILT_IN, BROUGHT = "yolo11n-pose@1", "mine@3"


@pytest.fixture
def wheel(model_cache: Path) -> Callable[[Path], None]:
    """`wheel(folder)` installs the worked example there, with the built-in weights out of the cache."""
    network = openvino_model(catalogued(DEFAULT_MODEL), model_cache)
    weights = {f"my_pose/network{end}": network.with_suffix(end).read_bytes() for end in (".xml", ".bin")}
    files = {"my_pose/__init__.py": example_code().encode(), **weights}
    return lambda folder: install(
        folder, files, name="my-pose", version="1.0", entry_points={"my-pose": "my_pose:load"}
    )


@pytest.fixture
def install_for_ray(wheel: Callable[[Path], None], site_packages: Path) -> Callable[[], None]:
    return lambda: wheel(site_packages)


@pytest.fixture
def brought(
    embedded: Bench, wheel: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModelRef:
    """The version in the catalogue, as somebody registers it who has the wheel."""
    wheel(tmp_path / "operators")
    monkeypatch.syspath_prepend(tmp_path / "operators")
    installed = entry_points.find("my-pose")
    manifest = Manifest(head="rows", one_at_a_time=False, coarse=False, precision="fp32", installed=installed)
    monkeypatch.setattr("pipeline.refusals.RETRY_S", 1.0)
    return entered(embedded.storage, BROUGHT, pack(None, manifest))


@pytest.fixture
def clip(footage: list[Image], tmp_path: Path) -> Path:
    return write(tmp_path / "clip.mp4", footage[60:76])


def test_what_a_package_brings_measures_once_it_is_installed(
    embedded: Bench, alias: FollowedAlias, brought: ModelRef, clip: Path, install_for_ray: Callable[[], None]
) -> None:
    catalogue, register = ModelCatalogue(embedded.storage.database), WorkerModels(embedded.storage.database)
    request = AnalysisRequest(analysis_mode="fielding", deep_enabled=False)

    def worker_says(expected: Callable[[WorkerModel], bool]) -> WorkerModel:
        deadline = time.monotonic() + 60
        while not ((said := register.list()) and expected(said[0])):
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
        return said[0]

    with embedded.working(models=alias):
        catalogue.promote(brought, by="jane")
        word = worker_says(lambda word: word.state == "failed")
        assert (word.model, word.wanted, word.error_code) == (BUILT_IN, BROUGHT, "weights_rejected")
        assert "there is no entry point 'my-pose'" in (word.error_message or "")
        install_for_ray()
        worker_says(lambda word: word.state == "ready" and word.model == BROUGHT)
        (job,) = embedded.finish([embedded.submit(clip, request)])
    assert (job.status, job.attempt, job.resolved_model) == ("done", 1, BROUGHT)
    document = embedded.storage.queue.results(OWNER, job.id).quick_results
    assert document is not None
    said = document["model"]
    assert (said["backend"], said["precision"], said["runtime"]) == ("entrypoint", "fp32", "my-pose 1.0")
