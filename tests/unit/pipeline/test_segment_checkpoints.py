"""Kept segments, on a real store: only those of this very clip come back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.extract import ExtractRequest
from inference.extraction_io import write_part
from inference.parts import People, SegmentPeople
from inference.poses import COCO_17, ClipInfo, ModelInfo, Pose
from inference.probe import Survey
from inference.segments import Entry, Segment, Segments
from models.jobs import ClaimedJob, Owner
from models.requests import AnalysisRequest
from models.storage import Storage, StorageOptions
from pipeline import checkpoints
from pipeline.checkpoints import fingerprint

OWNER = Owner(owner_type="coach", owner_id="jane")
MODEL = ModelInfo(name="m", version="1", sha256="cd", backend="torch", precision="fp32", runtime="torch 2")
WANTED = ExtractRequest()
CLIP = ClipInfo(width=64, height=48, rotation=0, duration_s=4.0, fps=1.0, container="mov", codec="h264", sha256="ab")
MARK = fingerprint(MODEL, WANTED)


def _segments(cut: int) -> Segments:
    """Two parts of a clip of four pictures, a second apart."""
    entry = Entry(pts=cut, seek=cut, start_s=float(cut), before_s=cut - 1.0, index=cut)
    return Segment(number=0, end_s=float(cut), pictures=cut), Segment(number=1, entry=entry, pictures=4 - cut)


SURVEYED = Survey(clip=CLIP, segments=_segments(2))


@pytest.fixture
def storage(sqlite_url: str, tmp_path: Path) -> Iterator[Storage]:
    opened = StorageOptions(database_url=sqlite_url, folder=tmp_path / "artifacts").open()
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


def _part(segment: Segment) -> SegmentPeople:
    first = segment.entry.index if segment.entry else 0
    random = np.random.default_rng(first)

    def pose() -> Pose:
        points = random.normal(size=(17, 2)).astype(np.float32)
        return Pose(keypoints=points, confidence=points[:, 0], box=points[:2].ravel(), score=float(random.random()))

    seen = [(first, float(first), [pose(), pose()]), (first + 1, first + 1.0, [])]
    return SegmentPeople(
        segment=segment,
        clip_sha256=CLIP.sha256,
        model=MODEL,
        skeleton=COCO_17,
        people=People.gather(seen, keypoints=17),
        decoded_s=np.array([first, first + 1.0]),
        skipped={},
        redone=1,
    )


def _found(storage: Storage, job: ClaimedJob, surveyed: Survey = SURVEYED, mark: str = MARK) -> list[bytes]:
    parts = checkpoints.find_parts(storage.store, job, "deep", mark, surveyed)
    return [write_part(part, fingerprint="") for part in parts]


def test_what_was_kept_comes_back_and_what_is_missing_is_left_out(
    storage: Storage, job: ClaimedJob, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    parts = [_part(segment) for segment in SURVEYED.segments]
    assert _found(storage, job) == []
    keeping = [checkpoints.keep_part(storage.store, job, "deep", WANTED, parts[1])]
    keeping[0].result(timeout=5)
    assert _found(storage, job) == [write_part(parts[1], fingerprint="")]
    keeping.append(checkpoints.keep_part(storage.store, job, "deep", WANTED, parts[0]))
    keeping[1].result(timeout=5)
    assert _found(storage, job) == [write_part(part, fingerprint="") for part in parts]
    assert not caplog.records
    checkpoints.forget(storage.store, job, keeping)
    assert _found(storage, job) == []


def test_segments_of_anything_else_are_not_used(storage: Storage, job: ClaimedJob) -> None:
    for segment in SURVEYED.segments:
        checkpoints.keep_part(storage.store, job, "deep", WANTED, _part(segment)).result(timeout=5)
    assert len(_found(storage, job)) == 2
    assert _found(storage, job, replace(SURVEYED, clip=replace(CLIP, sha256="other"))) == []
    assert _found(storage, job, replace(SURVEYED, segments=_segments(1))) == [], "it was cut elsewhere"
    assert _found(storage, job, mark=fingerprint(MODEL, replace(WANTED, sample_fps=10.0))) == []


def test_a_torn_segment_is_a_warning_and_the_others_count(
    storage: Storage, job: ClaimedJob, caplog: pytest.LogCaptureFixture
) -> None:
    for segment in SURVEYED.segments:
        checkpoints.keep_part(storage.store, job, "deep", WANTED, _part(segment)).result(timeout=5)
    key = f"{job.source_key.rpartition('/')[0]}/analysis/{job.id}/checkpoints/deep-{MARK}-0.npz"
    whole = b"".join(storage.store.open("local", key).chunks)
    storage.store.put_bytes("local", key, whole[: len(whole) // 2])
    assert len(_found(storage, job)) == 1
    (record,) = caplog.records
    assert (record.levelname, vars(record)["job_id"]) == ("WARNING", job.id)
