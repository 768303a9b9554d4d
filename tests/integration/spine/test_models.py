"""The model catalogue from end to end: registered, promoted, loaded, measured with, and never confused."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from altered_models import sha256
from footage import Image, write
from typer.testing import CliRunner
from workers import Bench, up

from frontfoot.cli import app
from inference.catalog import DEFAULT_MODEL, resolve
from models.model_catalogue import ModelCatalogue
from models.model_versions import BUILT_IN, ModelRef, StoredArtifact
from models.requests import AnalysisRequest
from models.storage import StorageOptions
from pipeline.cluster import Cluster

pytestmark = [pytest.mark.ray, pytest.mark.model]

QUICK = AnalysisRequest(analysis_mode="fielding", deep_enabled=False)


def test_no_job_gets_another_model_than_it_asks_for(
    sqlite_url: str, tmp_path: Path, cluster: Cluster, footage: list[Image]
) -> None:
    options = StorageOptions(database_url=sqlite_url, folder=tmp_path / "artifacts", max_attempts=1)
    storage = options.open()
    bench = Bench(options=options, storage=storage, cluster=cluster)
    catalogue = ModelCatalogue(storage.database)
    artifact = StoredArtifact(bucket="local", key="models/a.zip", sha256="a" * 64)
    catalogue.add(replace(BUILT_IN, ref=ModelRef.parse("net@1"), artifact=artifact))
    clip = write(tmp_path / "clip.mp4", footage[60:76])
    asked = (None, "production", "yolo11n-pose", "yolo11n-pose@1", "net@1", "net@2")
    ids = [bench.submit(clip, QUICK.model_copy(update={"model": model})) for model in asked]
    with bench.working():
        jobs = bench.finish(ids)
    ends = {model: (job.status, job.error_code, job.resolved_model) for model, job in zip(asked, jobs, strict=True)}
    done = ("done", None, "yolo11n-pose@1")
    assert ends == {
        **dict.fromkeys(asked[:4], done),
        "net@1": ("failed", "model_not_loaded", "net@1"),
        "net@2": ("failed", "model_unknown", None),
    }
    assert jobs[4].error_message == "The job asks for net@1, which is net@1; this worker runs yolo11n-pose@1."
    storage.close()


def test_what_is_promoted_is_what_measures(tmp_path: Path, model_cache: Path, footage: list[Image]) -> None:
    """By the command line alone: the worker and `analyze` load the registered version and say the same."""
    frontfoot = _frontfoot(tmp_path / "data", model_cache)
    frontfoot("migrate")
    weights = resolve(DEFAULT_MODEL).weights
    made = frontfoot("models", "register", "net@1", str(weights), "--sha256", sha256(weights), "--json")
    conversion = made["artifact"].rpartition("/")[2].removesuffix(".zip")
    verified = frontfoot("models", "verify", "net@1", "--json")
    assert (verified["ok"], verified["sha256"]) == (True, conversion)
    assert verified["contract"] == made["report"]["contract"]
    frontfoot("models", "promote", "net@1", "--json")

    clip = write(tmp_path / "clip.mp4", footage[60:90])
    asked = ("--mode", "bowling", "--view", "side", "--quick-only")
    alone = frontfoot("analyze", str(clip), *asked, "--out", str(tmp_path / "alone"), "--json")
    with up(tmp_path, model_cache) as service:
        client = _frontfoot(tmp_path / "data", model_cache, FRONTFOOT_URL=service.url, FRONTFOOT_TOKEN=service.token)
        job = client("submit", str(clip), *asked, "--wait", "--json")
        client("results", job["id"], "--out", str(tmp_path / "job"), "--json")
        assert service.stop(signal.SIGINT) == 0
    assert (job["model"], job["resolved_model"]) == (None, "net@1")
    model = alone["model"]
    assert (model["name"], model["version"], model["conversion"]) == ("net", "1", conversion)
    assert model["sha256"] == sha256(weights)
    torch = _frontfoot(tmp_path / "data", model_cache, FRONTFOOT_BACKEND="torch")
    answer = torch("analyze", str(clip), *asked, "--out", str(tmp_path / "torch"), "--json")
    assert (answer["model"]["backend"], answer["model"]["conversion"]) == ("torch", conversion)
    assert answer["metrics"].keys() == alone["metrics"].keys()
    stored = json.loads((tmp_path / "job" / "quick_results.json").read_text())
    assert stored["model"] == model
    assert stored["metrics"] == alone["metrics"]


def _frontfoot(data: Path, cache: Path, **environment: str) -> Callable[..., dict[str, Any]]:
    """The command with an environment of its own; it must go well. Returns the JSON that it printed, if any."""
    hidden = dict.fromkeys(name for name in os.environ if name.startswith(("FRONTFOOT_", "DATABASE_URL")))
    settings = {"FRONTFOOT_DATA_DIR": str(data), "FRONTFOOT_CACHE_DIR": str(cache), **environment}

    def run(*arguments: str) -> dict[str, Any]:
        done = CliRunner(env={**hidden, **settings}).invoke(app, arguments)
        assert done.exit_code == 0, done.output
        answer: dict[str, Any] = json.loads(done.stdout) if "--json" in arguments else {}
        return answer

    return run
