"""Kept poses, on real stores."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.extract import Extraction, ExtractRequest
from inference.extraction_io import write_extraction
from inference.poses import COCO_17, ClipInfo, ExtractionReceipt, ModelInfo, PoseSequence, Subject
from inference.tracking import SubjectHint
from inference.video import VideoLimits
from models.jobs import ClaimedJob, Owner
from models.requests import AnalysisRequest
from models.storage import Storage, StorageOptions
from pipeline import checkpoints
from pipeline.checkpoints import fingerprint
from pipeline.stages import Limits, extract_request

OWNER = Owner(owner_type="coach", owner_id="jane")
MODEL = ModelInfo(name="m", version="1", sha256="cd", backend="torch", precision="fp32", runtime="torch 2")
WANTED = ExtractRequest(sample_fps=10.0, window_s=30.0)


@pytest.fixture
def options(sqlite_url: str, tmp_path: Path) -> StorageOptions:
    return StorageOptions(database_url=sqlite_url, folder=tmp_path / "artifacts")


@pytest.fixture
def storage(options: StorageOptions) -> Iterator[Storage]:
    opened = options.open()
    yield opened
    opened.close()


@pytest.fixture
def job(storage: Storage) -> ClaimedJob:
    session = storage.queue.create_session(OWNER, title="Nets", session_type="bowling")
    storage.queue.attach_upload(OWNER, session.id, "local", f"sessions/{session.id}/source/clip.mp4", 10)
    storage.queue.submit(OWNER, session.id, AnalysisRequest(analysis_mode="bowling"))
    claimed = storage.queue.claim("worker-1")
    assert claimed is not None
    return claimed


@pytest.fixture
def extraction() -> Extraction:
    return Extraction(
        clip=ClipInfo(
            width=64, height=48, rotation=0, duration_s=1.0, fps=30.0, container="mp4", codec="h264", sha256="ab"
        ),
        poses=PoseSequence(
            keypoints=np.full((2, 17, 2), np.nan, np.float32),
            confidence=np.full((2, 17), np.nan, np.float32),
            boxes=np.full((2, 4), np.nan, np.float32),
            timestamps_s=np.array([0.0, 0.1]),
            frame_indices=np.array([0, 3]),
            skeleton=COCO_17,
            frame_size=(64, 48),
            model=MODEL,
        ),
        receipt=ExtractionReceipt(decoded=2, inferred=2),
        subject=Subject(source="automatic", confidence=1.0, people=1, box=(0.0, 0.0, 1.0, 1.0), time_s=0.0),
    )


def _bytes(extraction: Extraction) -> bytes:
    return write_extraction(extraction, fingerprint="")


def test_a_later_attempt_finds_what_an_earlier_one_kept_until_it_is_forgotten(
    storage: Storage, job: ClaimedJob, extraction: Extraction
) -> None:
    mark = fingerprint(MODEL, WANTED)
    assert checkpoints.find(storage.store, job, "quick", mark) is None
    keeping = checkpoints.keep(storage.store, job, "quick", WANTED, lambda: extraction)
    keeping.result(timeout=5)
    folder = job.source_key.rpartition("/")[0]
    assert storage.store.exists("local", f"{folder}/analysis/{job.id}/checkpoints/quick-{mark}.npz")

    storage.queue.release(job.lease)
    later = storage.queue.claim("worker-2")
    assert later is not None
    assert later.attempt == 2
    found = checkpoints.find(storage.store, later, "quick", mark)
    assert found is not None
    assert _bytes(found) == _bytes(extraction)
    assert checkpoints.find(storage.store, later, "deep", mark) is None
    checkpoints.forget(storage.store, later, [keeping])
    assert checkpoints.find(storage.store, later, "quick", mark) is None


def test_what_is_still_being_kept_when_the_job_is_done_goes_too(
    storage: Storage, job: ClaimedJob, extraction: Extraction
) -> None:
    def slow() -> Extraction:
        time.sleep(0.3)
        return extraction

    keeping = checkpoints.keep(storage.store, job, "quick", WANTED, slow)
    assert not keeping.done()
    checkpoints.forget(storage.store, job, [keeping])
    assert checkpoints.find(storage.store, job, "quick", fingerprint(MODEL, WANTED)) is None


def test_a_torn_one_is_a_warning(
    storage: Storage, job: ClaimedJob, extraction: Extraction, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints.keep(storage.store, job, "deep", WANTED, lambda: extraction).result(timeout=5)
    mark = fingerprint(MODEL, WANTED)
    key = f"{job.source_key.rpartition('/')[0]}/analysis/{job.id}/checkpoints/deep-{mark}.npz"
    whole = b"".join(storage.store.open("local", key).chunks)
    storage.store.put_bytes("local", key, whole[: len(whole) // 2])
    assert checkpoints.find(storage.store, job, "deep", mark) is None
    (record,) = caplog.records
    assert (record.levelname, vars(record)["job_id"], vars(record)["stage"]) == ("WARNING", job.id, "deep")


def test_a_store_that_refuses_is_a_warning(
    options: StorageOptions,
    storage: Storage,
    job: ClaimedJob,
    extraction: Extraction,
    caplog: pytest.LogCaptureFixture,
) -> None:
    in_the_way = options.folder / job.source_key.rpartition("/")[0] / "analysis"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_bytes(b"")
    checkpoints.keep(storage.store, job, "quick", WANTED, lambda: extraction).result(timeout=5)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"Poses not kept: job_id={job.id} stage=quick")


def test_the_fingerprint_covers_everything_that_changes_the_poses() -> None:
    hinted = replace(WANTED, subject=(SubjectHint(x=1.0, y=2.0, time_s=0.5),))
    requests = [
        WANTED,
        replace(WANTED, sample_fps=12.0),
        replace(WANTED, window_s=None),
        replace(WANTED, slowmo_factor=4.0),
        replace(WANTED, limits=VideoLimits(max_duration_s=9.0)),
        hinted,
        replace(hinted, subject_source="automatic"),
        replace(hinted, subject_confidence=0.5),
    ]
    models = [replace(MODEL, **{name: "other"}) for name in ("name", "sha256", "backend", "precision", "runtime")]
    marks = [fingerprint(MODEL, request) for request in requests] + [fingerprint(model, WANTED) for model in models]
    assert len(set(marks)) == len(marks)
    assert fingerprint(MODEL, replace(WANTED)) == marks[0]


def test_how_soon_a_job_is_wanted_does_not_change_what_was_kept_for_it() -> None:
    assert fingerprint(MODEL, replace(WANTED, priority=9)) == fingerprint(MODEL, WANTED)


def test_a_jobs_priority_reaches_its_extraction() -> None:
    request = AnalysisRequest(analysis_mode="batting")
    for stage in ("quick", "deep"):
        assert extract_request(stage, request, Limits(), None, priority=9).priority == 9  # type: ignore[arg-type]
