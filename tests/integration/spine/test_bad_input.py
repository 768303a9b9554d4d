"""Each bad input ends as a clear error with its stable code; the worker lives on and the next job runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import clips
import numpy as np
import pytest
from footage import Image, write
from workers import OWNER, Bench

from inference.video import VideoLimits
from models.database import Database
from models.requests import AnalysisOptions, AnalysisRequest, SubjectPoint
from models.tables import VideoAnalysisJob
from pipeline.stages import Limits

pytestmark = [pytest.mark.ray, pytest.mark.model]

REQUEST = AnalysisRequest(analysis_mode="fielding", deep_enabled=False)


def _concat(path: Path) -> Path:
    clips.make(path.with_name("neighbour.mp4"))
    return clips.ffconcat(path, "neighbour.mp4")


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "not_a_video": (clips.noise, "video_unreadable"),
    "empty": (clips.empty, "video_empty"),
    "audio_only": (clips.audio_only, "no_video_stream"),
    "zero_frames": (clips.no_frames, "no_frames"),
    "cut_in_header": (clips.cut_in_header, "video_truncated"),
    "one_pixel": (clips.tiny, "frame_too_small"),
    "ffconcat": (_concat, "container_not_allowed"),
    "playlist": (lambda path: clips.playlist(path, "neighbour.mp4"), "container_not_allowed"),
    "two_hours": (clips.two_hours, "video_too_long"),
    "beyond_8k": (clips.beyond_8k, "frame_too_large"),
    "nobody": (lambda path: clips.make(path, clips.Recipe(width=320, height=240, frames=12)), "no_person"),
}


def test_every_bad_clip_fails_by_itself_and_a_good_one_behind_them_is_done(
    embedded: Bench, tmp_path: Path, footage: list[Image]
) -> None:
    ids = {name: embedded.submit(maker(tmp_path / f"{name}.mp4"), REQUEST) for name, (maker, _) in BAD.items()}
    good = write(tmp_path / "good.mp4", footage[60:76])
    misnamed = tmp_path / "holiday.txt"
    misnamed.write_bytes(good.read_bytes())
    ids["good"] = embedded.submit(good, REQUEST)
    ids["misnamed"] = embedded.submit(misnamed, REQUEST)
    with embedded.working():
        jobs = dict(zip(ids, embedded.finish(list(ids.values())), strict=True))

    assert {name: jobs[name].error_code for name in BAD} == {name: code for name, (_, code) in BAD.items()}
    for name in BAD:
        job = jobs[name]
        assert (job.status, job.stage, job.attempt) == ("failed", "FAILED", 1), name
        assert job.error_message, name
        assert (job.quick_findings, job.quick_report, job.quick_results_s3_key) == (None, None, None), name
    assert (jobs["good"].status, jobs["misnamed"].status) == ("done", "done")


def test_an_operator_sets_the_longest_clip(embedded: Bench, tmp_path: Path) -> None:
    clip = clips.make(tmp_path / "clip.mp4", clips.Recipe(frames=60))
    job_id = embedded.submit(clip, REQUEST)
    with embedded.working(Limits(video=VideoLimits(max_duration_s=1.5))):
        (job,) = embedded.finish([job_id])
    assert job.error_code == "video_too_long"


def test_a_source_that_is_gone(bench: Bench, tmp_path: Path) -> None:
    job_id = bench.submit(clips.make(tmp_path / "clip.mp4"), REQUEST)
    job = bench.job(job_id)
    bench.storage.store.delete(bench.storage.store.bucket, job.s3_key or "")
    with bench.working():
        (job,) = bench.finish([job_id])
    assert (job.status, job.error_code, job.attempt) == ("failed", "source_missing", 1)


@pytest.mark.parametrize(
    ("mode", "code"), [(None, "analysis_mode_missing"), ("umpiring", "request_invalid")], ids=["missing", "unknown"]
)
def test_a_row_without_a_proper_mode_fails_and_never_defaults(
    embedded: Bench, tmp_path: Path, mode: str | None, code: str
) -> None:
    job_id = embedded.submit(clips.make(tmp_path / "clip.mp4"), REQUEST)
    with Database(embedded.options.database_url).transaction() as transaction:
        row = transaction.get(VideoAnalysisJob, job_id)
        assert row is not None
        row.analysis_mode = mode
    with embedded.working():
        (job,) = embedded.finish([job_id])
    assert (job.status, job.error_code, job.attempt) == ("failed", code, 1)


def test_somebody_seen_too_little_is_a_finding_not_a_failure(
    embedded: Bench, tmp_path: Path, footage: list[Image]
) -> None:
    blank = [np.full_like(footage[0], 110)] * 40
    clip = write(tmp_path / "glimpse.mp4", [*blank, *footage[100:108], *blank])
    job_id = embedded.submit(clip, REQUEST.model_copy(update={"deep_enabled": True}))
    with embedded.working():
        (job,) = embedded.finish([job_id])
    assert job.status == "done", job.error_code
    assert job.deep_findings is not None
    assert "INSUFFICIENT_POSE_VISIBILITY" in [finding["id"] for finding in job.deep_findings["findings"]]
    assert (job.deep_findings["basis"], job.deep_findings["overall_level"]) == ("insufficient", "low")


def test_pointing_at_nobody(embedded: Bench, tmp_path: Path, footage: list[Image]) -> None:
    clip = write(tmp_path / "clip.mp4", footage[100:130])
    options = AnalysisOptions(subject=(SubjectPoint(x=5, y=5, time_s=0.5),))
    job_id = embedded.submit(clip, REQUEST.model_copy(update={"options": options}))
    with embedded.working():
        (job,) = embedded.finish([job_id])
    assert (job.status, job.error_code) == ("failed", "subject_not_found")
    assert job.owner == OWNER
