"""A worker measures some athletes by a canary and the others by what serves, until the canary breaks a limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from footage import Image, write
from versions import converted, entered
from workers import OWNER, Bench

from frontfoot.following import FollowedAlias
from models.canaries import Canaries
from models.canary import LIMIT, Limits
from models.requests import AnalysisRequest
from models.worker_models import WorkerModels
from pipeline.housekeeping import HousekeepingOptions

pytestmark = [pytest.mark.ray, pytest.mark.model]

BUILT_IN, NEXT = "yolo11n-pose@1", "net@2"


@pytest.fixture
def clip(footage: list[Image], tmp_path: Path) -> Path:
    return write(tmp_path / "clip.mp4", footage[60:76])


# Of two stores this one costs no more, and there workers lock rows and hear of moves.
@pytest.mark.parametrize("storage_options", ["postgresql+s3"], indirect=True)
def test_a_canary_that_breaks_a_limit_goes_by_itself(
    bench: Bench, bench_alias: FollowedAlias, model_cache: Path, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    canaries, register = Canaries(bench.storage.database), WorkerModels(bench.storage.database)
    ref = entered(bench.storage, NEXT, converted(model_cache))
    request = AnalysisRequest(analysis_mode="fielding", deep_enabled=False)
    first = bench.cluster.serving
    with bench.working(models=bench_alias, housekeeping=HousekeepingOptions(canary_s=0.2)):
        # No model is a thousand times as fast as itself.
        canary = canaries.begin(ref, share=0.5, by="jane", limits=Limits(jobs_min=2, time_ratio_max=0.001))
        wait_until(lambda: [word.canary_state for word in register.list()] == ["ready"])
        names = list(map(str, range(20)))
        its = [name for name in names if canary.takes(f"coach:jane player:{name}")][:2]
        others = [name for name in names if not canary.takes(f"coach:jane player:{name}")][:2]
        jobs = bench.finish([bench.submit(clip, request, player=player) for player in (*its, *others)])
        assert [job.resolved_model for job in jobs] == [NEXT, NEXT, BUILT_IN, BUILT_IN]
        for job in jobs:
            assert (job.status, job.attempt) == ("done", 1)
            document = bench.storage.queue.results(OWNER, job.id).quick_results
            assert document is not None
            assert f"{document['model']['name']}@{document['model']['version']}" == job.resolved_model

        wait_until(lambda: canaries.active() is None)
        (over,) = canaries.list()
        assert over.ended_by == LIMIT
        assert over.reason is not None
        assert over.reason.startswith("time_ratio is ")
        assert over.figures is not None
        assert (over.figures.jobs, over.figures.jobs_beside, over.figures.found_ratio) == (2, 2, pytest.approx(1.0))
        wait_until(lambda: bench.cluster.generations == (first,))
        (again,) = bench.finish([bench.submit(clip, request, player=its[0])])
        assert again.resolved_model == BUILT_IN
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [line for line in said if line.startswith("Canary rolled back: ")] == [
        f"Canary rolled back: model={NEXT} serves={BUILT_IN} {over.reason}"
    ]


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)
