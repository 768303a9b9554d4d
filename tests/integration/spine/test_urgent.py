"""An urgent job while bulk fills the only actor: claimed, seated and served as if there were none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from footage import Image, write
from workers import OWNER, TERMINAL, Bench

from inference.spans import ROOM
from models.jobs import JobDetail
from models.requests import AnalysisRequest

pytestmark = [pytest.mark.ray, pytest.mark.model]

REQUEST = AnalysisRequest(analysis_mode="fielding")


@pytest.fixture
def one_place(embedded: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A worker whose actor has room for one whole clip."""
    monkeypatch.setattr(embedded.cluster.serving.pool, "_room", ROOM)
    return embedded


def test_an_urgent_job_overtakes_the_bulk_that_runs_and_that_which_waits(
    one_place: Bench, footage: list[Image], tmp_path: Path
) -> None:
    stretch = footage[60:180]
    to_and_fro = [*stretch, *stretch[::-1]] * 4
    # At 120 a second there is much for DEEP to do, and little for QUICK before it.
    times_ms = [1000 * number // 120 for number in range(len(to_and_fro))]
    long_clip = write(tmp_path / "long.mp4", to_and_fro, times_ms=times_ms)
    running = one_place.submit(long_clip, REQUEST)
    short = write(tmp_path / "short.mp4", footage[60:76])
    with one_place.working():
        _wait_for_deep(one_place, running)
        waiting = one_place.submit(short, REQUEST)
        urgent = one_place.submit(short, REQUEST, priority=5)
        (job,) = one_place.finish([urgent])
        bulk = [one_place.job(job_id) for job_id in (running, waiting)]
        for job_id in (running, waiting):
            one_place.storage.queue.cancel(OWNER, job_id)
        one_place.finish([running, waiting])
    assert (job.status, job.attempt) == ("done", 1)
    assert [other.status for other in bulk] == ["deep_running", "queued"]


def _wait_for_deep(bench: Bench, job_id: str) -> JobDetail:
    deadline = time.monotonic() + 90
    while not ((job := bench.job(job_id)).status == "deep_running" and job.progress_pct > 50):
        assert job.status not in TERMINAL
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return job
