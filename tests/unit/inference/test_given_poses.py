"""A file of poses from elsewhere is taken as its layout says, or refused with everything that is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reports

from inference.errors import InferenceError, PosesInvalid, PosesUnreadable, SkeletonUnknown
from inference.given_poses import read_poses
from inference.poses import COCO_17, ModelInfo
from inference.poses_io import write_npz, write_parquet

FRAMES = 3
Arrays = dict[str, Any]


def arrays() -> Arrays:
    """What another lab would write: 17 keypoints in its own order, two of its own, no provenance."""
    names = [*reversed(COCO_17.keypoint_names), "left_heel", "right_heel"]
    return {
        "keypoints": np.arange(FRAMES * 19 * 2, dtype=np.float64).reshape(FRAMES, 19, 2),
        "confidence": np.full((FRAMES, 19), 0.5),
        "timestamps_s": np.array([0.0, 0.04, 0.1]),
        "frame_indices": np.array([0, 1, 5], np.int32),
        "box": np.tile([0.0, 0.0, 40.0, 120.0], (FRAMES, 1)),
        "frame_size": np.array([640, 480]),
        "keypoint_names": np.array(names),
    }


def written(folder: Path, content: Arrays) -> Path:
    path = folder / "poses.npz"
    np.savez(path, **content)
    return path


@pytest.mark.parametrize("write", [write_npz, write_parquet])
def test_what_we_wrote_comes_back(tmp_path: Path, write: Callable[..., None]) -> None:
    poses = reports.poses([0.0, 0.1, 0.3], indices=[0, 3, 9], unseen=[1])
    write(tmp_path / "ours", poses)
    read = read_poses(tmp_path / "ours")
    for name in ("keypoints", "confidence", "boxes", "timestamps_s", "frame_indices"):
        np.testing.assert_array_equal(getattr(read, name), getattr(poses, name))
    assert (read.skeleton, read.frame_size, read.model) == (COCO_17, (128, 96), poses.model)


def test_keypoints_are_found_by_their_names(tmp_path: Path) -> None:
    read = read_poses(written(tmp_path, arrays()))
    assert read.skeleton == COCO_17
    # The nose is the 17th of 19 in the file: its x in frame 1 is (19 + 16) * 2.
    assert read.keypoint("nose")[1].tolist() == [70.0, 71.0]
    assert read.keypoint("right_ankle")[0].tolist() == [0.0, 1.0]
    assert (read.frame_indices.tolist(), read.frame_size) == ([0, 1, 5], (640, 480))
    assert read.model == ModelInfo(**{**dict.fromkeys(ModelInfo.__dataclass_fields__, "unknown"), "conversion": None})


def test_the_maker_may_name_the_model(tmp_path: Path) -> None:
    said = {"model": {"name": "rtmpose-m", "version": None}}
    read = read_poses(written(tmp_path, arrays() | {"provenance": np.array(json.dumps(said))}))
    assert (read.model.name, read.model.version, read.model.sha256) == ("rtmpose-m", "unknown", "unknown")


def test_a_keypoint_without_a_place_has_no_confidence(tmp_path: Path) -> None:
    content = arrays()
    content["keypoints"][1, 16, 0] = np.nan  # the nose
    content["confidence"][2, 16] = np.nan
    content["keypoints"][2, 16] = np.nan
    read = read_poses(written(tmp_path, content))
    assert np.isnan(read.keypoint("nose")).all(axis=1).tolist() == [False, True, True]
    assert np.isnan(read.confidence[:, 0]).tolist() == [False, True, True]


def changed(name: str, change: Callable[[Any], Any]) -> Callable[[Arrays], Arrays]:
    return lambda content: content | {name: change(content[name])}


def put(name: str, place: Any, value: Any) -> Callable[[Arrays], Arrays]:
    def change(content: Arrays) -> Arrays:
        content[name][place] = value
        return content

    return change


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (changed("keypoints", lambda a: a[..., 0]), "keypoints is (3, 19), not (T, K, 2) = (3, 19, 2)"),
        (changed("confidence", lambda a: a[:2]), "confidence is (2, 19), not (T, K) = (3, 19)"),
        (changed("box", lambda a: a[:, :3]), "box is (3, 3), not (T, 4) = (3, 4)"),
        (changed("frame_size", lambda a: a[:1]), "frame_size is (1,)"),
        (changed("frame_indices", lambda a: a.astype(float)), "frame_indices is of type float64"),
        (changed("keypoint_names", lambda a: a.astype("S")), "keypoint_names is of type |S14"),
        (changed("timestamps_s", lambda a: a[::-1]), "timestamps_s does not increase"),
        (put("timestamps_s", 2, 0.04), "timestamps_s does not increase"),
        (put("timestamps_s", 1, np.nan), "timestamps_s holds times that are negative or no number"),
        (put("timestamps_s", 0, -0.1), "timestamps_s holds times that are negative"),
        (put("frame_indices", 2, 1), "frame_indices does not increase"),
        (put("frame_indices", 0, -1), "frame_indices does not increase"),
        (put("frame_size", 0, 0), "frame_size is not (width, height)"),
        (put("keypoints", (1, 2, 0), np.inf), "a place is infinite"),
        (put("confidence", (1, 2), 37.5), "confidence of a keypoint seen is not 0..1"),
        (put("confidence", (1, 2), np.nan), "confidence of a keypoint seen is not 0..1"),
        (put("box", (1, 0), 50.0), "box is not x1 y1 x2 y2"),
        (put("box", 1, np.nan), "a frame with keypoints has no box"),
        (put("keypoint_names", 1, "nose"), "keypoint_names names one twice"),
        (lambda content: {k: v if k in ("frame_size", "keypoint_names") else v[:1] for k, v in content.items()}, "two"),
        (lambda content: content | {"provenance": np.array("not JSON")}, "provenance"),
        (lambda content: content | {"provenance": np.array("[]")}, "provenance"),
    ],
)  # fmt: skip
def test_what_no_poses_can_be_is_refused(tmp_path: Path, break_it: Callable[[Arrays], Arrays], said: str) -> None:
    with pytest.raises(PosesInvalid) as refused:
        read_poses(written(tmp_path, break_it(arrays())))
    assert said in refused.value.message
    assert refused.value.code == "poses_invalid"


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    content = put("frame_size", 1, -4)(put("frame_indices", 2, 0)(put("timestamps_s", 2, 0.0)(arrays())))
    with pytest.raises(PosesInvalid, match=r"timestamps_s.*; frame_indices.*; frame_size"):
        read_poses(written(tmp_path, content))


def test_a_keypoint_that_is_measured_may_not_be_missing(tmp_path: Path) -> None:
    content = put("keypoint_names", 4, "left_toe")(arrays())
    lost = COCO_17.keypoint_names[16 - 4]
    with pytest.raises(SkeletonUnknown, match=f"need: {lost}.$") as refused:
        read_poses(written(tmp_path, content))
    assert refused.value.code == "skeleton_unknown"


@pytest.mark.parametrize("name", ["keypoints", "box", "keypoint_names"])
def test_an_array_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    content = arrays()
    del content[name]
    with pytest.raises(PosesUnreadable, match=f"lacks the arrays {name}"):
        read_poses(written(tmp_path, content))


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("the pickle was loaded",))


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    for content in (arrays() | {"box": np.array([Bomb()])}, arrays() | {"provenance": np.array(Bomb())}):
        with pytest.raises(PosesUnreadable, match="pickled objects"):
            read_poses(written(tmp_path, content))
    bare = tmp_path / "bare.npy"
    np.save(bare, np.array([Bomb()]), allow_pickle=True)
    with pytest.raises(PosesUnreadable):
        read_poses(bare)


@pytest.mark.parametrize(
    "content", [b"", b"frame,x,y\n", b"PK\x03\x04", b"PAR1", b"PAR1 no parquet PAR1", b"\x93NUMPY"]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "poses.npz"
    path.write_bytes(content)
    with pytest.raises(PosesUnreadable) as refused:
        read_poses(path)
    assert refused.value.code == "poses_unreadable"


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    whole = written(tmp_path, arrays()).read_bytes()
    for cut in range(0, len(whole), 97):
        (tmp_path / "torn").write_bytes(whole[:cut])
        with pytest.raises(InferenceError):
            read_poses(tmp_path / "torn")
