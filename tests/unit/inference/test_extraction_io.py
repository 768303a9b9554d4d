"""An extraction comes back bit for bit, or not at all."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from inference.extract import Extraction
from inference.extraction_io import read_extraction, write_extraction
from inference.poses import COCO_17, ClipInfo, ExtractionReceipt, ModelInfo, PoseSequence, Subject


@pytest.fixture
def extraction() -> Extraction:
    random = np.random.default_rng(5)
    keypoints = random.normal(size=(7, 17, 2)).astype(np.float32)
    keypoints[2] = np.nan
    keypoints[3, 0] = np.uint32([0x7FC12345, 0xFFC00001]).view(np.float32)  # NaNs with a payload and a sign
    keypoints[4, 0] = -0.0, np.inf
    return Extraction(
        clip=ClipInfo(
            width=64, height=48, rotation=90, duration_s=1 / 3, fps=29.97, container="mp4", codec="h264", sha256="ab"
        ),
        poses=PoseSequence(
            keypoints=keypoints,
            confidence=random.random((7, 17)).astype(np.float32),
            boxes=random.random((7, 4)).astype(np.float32),
            timestamps_s=np.cumsum(random.random(7)),
            frame_indices=np.arange(7, dtype=np.int64) * 3,
            skeleton=COCO_17,
            frame_size=(64, 48),
            model=ModelInfo(name="m", version="1", sha256="cd", backend="torch", precision="fp32", runtime="torch 2"),
        ),
        receipt=ExtractionReceipt(
            decoded=10, inferred=7, skipped={"z": 2, "a": 1}, broken=1, gaps=((0.1, 1 / 3), (2.0, 2.5))
        ),
        subject=Subject(source="caller", confidence=0.1, people=2, box=(0.1, 1 / 3, 2.0, 3.0), time_s=1e-9),
    )


def test_every_bit_comes_back(extraction: Extraction) -> None:
    content = write_extraction(extraction, fingerprint="print")
    assert content == write_extraction(extraction, fingerprint="print")
    again = read_extraction(content, fingerprint="print")
    for name in ("keypoints", "confidence", "boxes", "timestamps_s", "frame_indices"):
        before, after = getattr(extraction.poses, name), getattr(again.poses, name)
        assert (after.dtype, after.shape, after.tobytes()) == (before.dtype, before.shape, before.tobytes()), name
    assert (again.clip, again.subject, again.poses.model) == (
        extraction.clip,
        extraction.subject,
        extraction.poses.model,
    )
    assert (again.poses.skeleton, again.poses.frame_size) == (COCO_17, (64, 48))
    assert math.isnan(again.receipt.fps_measured)
    assert replace(again.receipt, fps_measured=1.0) == replace(extraction.receipt, fps_measured=1.0)
    assert list(again.receipt.skipped) == ["z", "a"], "documents list them in this order"
    assert again.overlap is None
    assert write_extraction(again, fingerprint="print") == content


def test_how_far_others_cover_the_athlete_comes_back_too(extraction: Extraction) -> None:
    shares = np.array([0.0, 0.5, np.nan, 1.0, 0.25, 0.0, 0.0], np.float32)
    again = read_extraction(write_extraction(replace(extraction, overlap=shares), fingerprint="p"), fingerprint="p")
    assert again.overlap is not None
    assert again.overlap.tobytes() == shares.tobytes()


def test_no_poses_at_all_come_back_too(extraction: Extraction) -> None:
    empty = replace(
        extraction.poses,
        **{
            name: getattr(extraction.poses, name)[:0]
            for name in ("keypoints", "confidence", "boxes", "timestamps_s", "frame_indices")
        },
    )
    content = write_extraction(replace(extraction, poses=empty), fingerprint="print")
    assert read_extraction(content, fingerprint="print").poses.keypoints.shape == (0, 17, 2)


def test_the_answer_to_something_else_is_refused(extraction: Extraction) -> None:
    content = write_extraction(extraction, fingerprint="print")
    with pytest.raises(ValueError, match="something else"):
        read_extraction(content, fingerprint="another")


def test_whatever_is_torn_is_refused(extraction: Extraction) -> None:
    content = write_extraction(extraction, fingerprint="print")
    for length in range(0, len(content), 97):
        with pytest.raises(ValueError, match="kept extraction"):
            read_extraction(content[:length], fingerprint="print")


def test_no_flipped_byte_changes_a_value(extraction: Extraction) -> None:
    """Each is refused, or lies where it says nothing (the archive's own margins)."""
    content = write_extraction(extraction, fingerprint="print")
    whole = write_extraction(read_extraction(content, fingerprint="print"), fingerprint="print")
    for place in range(0, len(content), 31):
        flipped = bytearray(content)
        flipped[place] ^= 0x40
        try:
            again = read_extraction(bytes(flipped), fingerprint="print")
        except ValueError:
            continue
        assert write_extraction(again, fingerprint="print") == whole, place


def test_other_files_are_refused(extraction: Extraction) -> None:
    bare, other, narrow = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(bare, np.zeros(3))
    np.savez(other, numbers=np.zeros(3))
    with np.load(io.BytesIO(write_extraction(extraction, fingerprint="print"))) as file:
        np.savez(narrow, **{**file, "timestamps_s": file["timestamps_s"].astype(np.float32)})
        pickled = io.BytesIO()
        np.savez(pickled, **{**file, "said": np.array({"format": 1}, dtype=object)})
        newer = io.BytesIO()
        np.savez(newer, **{**file, "said": np.array(json.dumps({**json.loads(str(file["said"])), "format": 99}))})
    for content in (b"", b"PAR1", *(out.getvalue() for out in (bare, other, narrow, pickled, newer))):
        with pytest.raises(ValueError, match=r"."):
            read_extraction(content, fingerprint="print")
