"""`frontfoot up` as its users meet it: many clips at once, its log, its end."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from footage import Image, half_size_frames, write
from workers import descendants, up

from frontfoot.client import FrontfootClient
from inference.extract import ExtractorOptions, PoseExtractor, load_extractor
from models.requests import AnalysisRequest
from pipeline import stages
from pipeline.stages import Limits

pytestmark = [pytest.mark.ray, pytest.mark.model]

CLIPS = 10
"""More than an actor has room for."""
# Of a fielder of whom nobody says where the camera stands there are the fewest plots to draw.
REQUEST = AnalysisRequest(analysis_mode="fielding", include_frames=True)


@pytest.fixture(scope="module")
def extractor(model_cache: Path) -> Iterator[PoseExtractor]:
    loaded = load_extractor(ExtractorOptions(threads=2, cache_dir=model_cache))
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def footage(sample_clip: Path) -> list[Image]:
    """The woman walks."""
    return half_size_frames(sample_clip, 60, 60 + 4 * CLIPS + 12)


def _alone(clip: Path, extractor: PoseExtractor) -> dict[str, Any]:
    """The deep keypoints that a clip gets when nothing else runs."""
    limits = Limits()
    quick = extractor.extract(clip, stages.extract_request("quick", REQUEST, limits, None))
    deep = extractor.extract(clip, stages.extract_request("deep", REQUEST, limits, quick))
    measurements = stages.measure_poses(deep, REQUEST, "deep")
    findings = stages.judge(measurements)
    report = stages.word(deep, measurements, findings)
    results = stages.compose(deep, measurements, findings, report, True)
    assert results.frames is not None
    frames: dict[str, Any] = results.frames.model_dump(mode="json")
    return frames


def test_ten_clips_at_once_share_batches_and_each_gets_what_it_gets_alone(
    tmp_path: Path, model_cache: Path, footage: list[Image], extractor: PoseExtractor
) -> None:
    paths = [write(tmp_path / f"clip{number}.mp4", footage[4 * number : 4 * number + 16]) for number in range(CLIPS)]
    with up(tmp_path, model_cache) as service, FrontfootClient(service.url, service.token) as client:
        ids = []
        for path in paths:
            session = client.create_session(title=path.stem, session_type="fielding")
            client.upload(session["id"], path)
            ids.append(client.submit(session["id"], REQUEST)["id"])
        jobs = [client.wait(job_id, timeout_s=240) for job_id in ids]
        frames = [client.job(job_id, results=True)["deep_results"]["frames"] for job_id in ids]
        assert descendants(service.process.pid)
        assert service.stop() == 0
        records = service.records()
        plain = [line for line in service.lines() if not line.startswith("{")]

    assert re.fullmatch(r"[A-Za-z0-9_.-]{16,}", service.token)
    assert plain == [f"Frontfoot is at {service.url}", f"Token: {service.token}"]
    assert all({"message", "level"} <= record.keys() for record in records)
    assert (tmp_path / "data" / "token").stat().st_mode & 0o077 == 0
    assert [job["status"] for job in jobs] == ["done"] * CLIPS, [job["error_code"] for job in jobs]
    batches = [record for record in records if record["message"].startswith("Batches so far")][-1]
    assert batches["mixed"] > 0
    assert batches["frames"] >= CLIPS * 16
    for path, got in zip(paths, frames, strict=True):
        assert got == _alone(path, extractor), path.name
    _check_contract_lines(records, jobs)


def _check_contract_lines(records: list[dict[str, Any]], jobs: list[dict[str, Any]]) -> None:
    """Every line of the contract, once for each job, with its values in the sentence and as fields."""
    messages = [record["message"] for record in records if record["level"] == "INFO"]
    for job in jobs:
        sizes = f"findings_len={len(job['deep_findings']['findings'])} report_len={len(job['deep_report']['text'])}"
        quick = f"findings_len={len(job['quick_findings']['findings'])} report_len={len(job['quick_report']['text'])}"
        deep_key, quick_key = job["deep_results_s3_key"], job["quick_results_s3_key"]
        for line in (
            f"Saving quick results to S3: job_id={job['id']} bucket=local key={quick_key}",
            f"Saving deep results to S3: job_id={job['id']} bucket=local key={deep_key}",
            f"Persisted job artifacts: job_id={job['id']} {quick}",
            f"Persisted job artifacts: job_id={job['id']} {sizes}",
            f"[PERSISTED] Deep job completed: job_id={job['id']} deep_results_s3_key={deep_key} {sizes}",
        ):
            expected = 2 if line.startswith("Persisted") and quick == sizes else 1
            assert messages.count(line) == expected, line
    completed = [record for record in records if record["message"].startswith("[PERSISTED]")]
    assert {record["job_id"] for record in completed} == {job["id"] for job in jobs}
    assert all(isinstance(record["findings_len"], int) for record in completed)


def test_a_stop_while_it_starts_is_a_stop(tmp_path: Path, model_cache: Path) -> None:
    with up(tmp_path, model_cache) as service:
        time.sleep(2)  # the token is out, Ray is on its way
        assert service.stop() == 0


def test_the_token_stays_the_same_from_one_start_to_the_next(tmp_path: Path, model_cache: Path) -> None:
    from frontfoot import services

    first = services._kept_token(tmp_path)
    assert services._kept_token(tmp_path) == first
