"""Files of poses are read back bit for bit, by us and by the tools an analyst has."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from inference.poses import COCO_17, ModelInfo, PoseSequence
from inference.poses_io import read_npz, read_parquet, write_npz, write_parquet

MODEL = ModelInfo(
    name="yolo11n-pose", version="11", sha256="ab" * 32, backend="openvino", precision="bf16", runtime="openvino 2026"
)
Write = Callable[[Path, PoseSequence], None]
Read = Callable[[Path], PoseSequence]
KINDS = pytest.mark.parametrize(
    ("write", "read"), [(write_npz, read_npz), (write_parquet, read_parquet)], ids=["npz", "parquet"]
)


def sequence(frames: int = 7) -> PoseSequence:
    random = np.random.default_rng(3)
    keypoints = random.uniform(-50, 5000, (frames, 17, 2)).astype(np.float32)
    confidence = random.uniform(0, 1, (frames, 17)).astype(np.float32)
    boxes = random.uniform(0, 5000, (frames, 4)).astype(np.float32)
    if frames > 4:
        keypoints[2], confidence[2], boxes[2] = np.nan, np.nan, np.nan  # nobody
        keypoints[4, 9] = np.nan  # a wrist
        keypoints[3, 0], confidence[3, 0] = 0.0, 0.0  # seen at the origin: not the same as not seen
    return PoseSequence(
        keypoints=keypoints,
        confidence=confidence,
        boxes=boxes,
        timestamps_s=np.cumsum(random.uniform(0.001, 0.1, frames)),
        frame_indices=np.cumsum(random.integers(1, 5, frames)).astype(np.int64),
        skeleton=COCO_17,
        frame_size=(1768, 994),
        model=MODEL,
    )


def assert_same(a: PoseSequence, b: PoseSequence) -> None:
    for name in ("keypoints", "confidence", "boxes", "timestamps_s", "frame_indices"):
        one, other = getattr(a, name), getattr(b, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert (a.skeleton, a.frame_size, a.model) == (b.skeleton, b.frame_size, b.model)


@KINDS
@pytest.mark.parametrize("frames", [0, 1, 7, 500])
def test_a_sequence_comes_back_exactly(tmp_path: Path, write: Write, read: Read, frames: int) -> None:
    path = tmp_path / "poses"  # no suffix is added
    write(path, sequence(frames))
    assert_same(read(path), sequence(frames))


@KINDS
def test_the_same_sequence_gives_the_same_bytes(
    tmp_path: Path, write: Write, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a", sequence())
    now, local = time.time(), time.localtime(86400 * 365 * 40)
    monkeypatch.setattr(time, "time", lambda: now + 1e8)
    monkeypatch.setattr(time, "localtime", lambda *_: local)
    write(tmp_path / "b", sequence())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_npz_holds_what_the_command_line_promises(tmp_path: Path) -> None:
    write_npz(tmp_path / "poses.npz", sequence())
    with np.load(tmp_path / "poses.npz", allow_pickle=False) as file:
        assert {name: file[name].shape for name in file.files} == {
            "keypoints": (7, 17, 2), "confidence": (7, 17), "timestamps_s": (7,), "frame_indices": (7,), "box": (7, 4),
            "frame_size": (2,), "keypoint_names": (17,), "provenance": (),
        }  # fmt: skip
        assert file["frame_size"].tolist() == [1768, 994]
        assert file["keypoint_names"].tolist() == list(COCO_17.keypoint_names)
        assert np.isnan(file["keypoints"][2]).all()


def test_the_parquet_is_one_row_a_frame_and_keypoint(tmp_path: Path) -> None:
    write_parquet(tmp_path / "poses.parquet", sequence())
    table = pq.read_table(tmp_path / "poses.parquet")
    assert table.num_rows == 7 * 17
    assert table.column_names[:6] == ["frame_index", "timestamp_s", "keypoint", "x", "y", "confidence"]
    wrist = table.filter(pc.equal(table["keypoint"].cast(pa.string()), "left_wrist"))
    np.testing.assert_array_equal(wrist["x"].to_numpy(), sequence().keypoints[:, 9, 0])
    assert wrist["x"].null_count == 2  # not NaN, which would spoil every mean
    assert pc.mean(wrist["x"]).as_py() == pytest.approx(float(np.nanmean(sequence().keypoints[:, 9, 0])), rel=1e-6)


@KINDS
def test_other_files_are_refused(tmp_path: Path, write: Write, read: Read) -> None:
    path = tmp_path / "other"
    if read is read_npz:
        with path.open("wb") as file:
            np.savez(file, x=np.zeros(3))
    else:
        pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(ValueError, match="no file of poses"):
        read(path)


@KINDS
def test_an_unknown_version_is_refused(
    tmp_path: Path, write: Write, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.poses_io.SCHEMA_VERSION", 99)
    write(tmp_path / "new", sequence())
    monkeypatch.undo()
    with pytest.raises(ValueError, match="99"):
        read(tmp_path / "new")


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    with (tmp_path / "bad").open("wb") as file:
        np.savez(file, provenance=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_npz(tmp_path / "bad")
