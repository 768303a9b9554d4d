"""Poses that somebody brings: a file with the layout of `poses_io`, from any model, checked before it is used.

`poses_io` reads back exactly what we wrote; this door trusts nothing. `docs/poses.md` describes the layout.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import PosesInvalid, PosesUnreadable, SkeletonUnknown
from inference.poses import COCO_17, ModelInfo, PoseSequence
from inference.poses_io import read_parquet
from inference.skeletons import HALPE_26

UNKNOWN = "unknown"
"""Stands in `ModelInfo` for what the file does not say."""
_DIMENSIONS = {
    "keypoints": "(T, K, 2)",
    "confidence": "(T, K)",
    "timestamps_s": "(T,)",
    "frame_indices": "(T,)",
    "box": "(T, 4)",
    "frame_size": "(2,)",
    "keypoint_names": "(K,)",
}
_TORN = (EOFError, OSError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What numpy and zipfile raise for bytes that are torn or something else."""

Arrays = Mapping[str, NDArray[Any]]


def read_poses(path: Path) -> PoseSequence:
    """The poses of a file, its keypoints in the order of HALPE-26 where it has all of them, else of COCO-17; further
    keypoints are left out.

    An .npz of the arrays of `write_npz` (its `provenance` may be missing), or a Parquet of `write_parquet`.
    Raises OSError, and PosesUnreadable, PosesInvalid or SkeletonUnknown with all faults at once.
    """
    content = path.read_bytes()
    if content[:4] == b"PAR1":
        return _ordered(_parquet(path))
    arrays = _npz(content)
    _check_shapes(arrays)
    _check_values(arrays)
    return _ordered(arrays)


def _npz(content: bytes) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            missing = [name for name in _DIMENSIONS if name not in file.files]
            if missing:
                raise PosesUnreadable(f"The file lacks the arrays {', '.join(missing)}.")
            wanted = [name for name in (*_DIMENSIONS, "provenance") if name in file.files]
            return {name: file[name] for name in wanted}
    except (*_TORN, AttributeError, TypeError) as error:  # the last two: a bare array is no archive
        why = "it holds pickled objects, which are never loaded" if "pickle" in str(error) else "it is no whole .npz"
        raise PosesUnreadable(f"The file holds no poses that can be read: {why}.") from error


def _parquet(path: Path) -> dict[str, NDArray[Any]]:
    try:
        poses = read_parquet(path)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise PosesUnreadable("The file holds no poses that can be read: it is no Parquet of poses.") from error
    return {
        "keypoints": poses.keypoints,
        "confidence": poses.confidence,
        "timestamps_s": poses.timestamps_s,
        "frame_indices": poses.frame_indices,
        "box": poses.boxes,
        "frame_size": np.array(poses.frame_size),
        "keypoint_names": np.array(poses.skeleton.keypoint_names),
        "provenance": np.array(json.dumps({"model": asdict(poses.model)})),
    }


def _check_shapes(arrays: Arrays) -> None:
    frames = arrays["timestamps_s"].size
    names = arrays["keypoint_names"].size
    sizes = {"T": frames, "K": names}
    faults = []
    for name, dimensions in _DIMENSIONS.items():
        words = dimensions.strip("()").replace(",", " ").split()
        expected = tuple(sizes[word] if word in sizes else int(word) for word in words)
        if arrays[name].shape != expected:
            faults.append(f"{name} is {arrays[name].shape}, not {dimensions} = {expected}")
        kinds = "U" if name == "keypoint_names" else "iu" if name in {"frame_indices", "frame_size"} else "fiu"
        if arrays[name].dtype.kind not in kinds:
            faults.append(f"{name} is of type {arrays[name].dtype}")
    _raise_all(faults)


def _check_values(arrays: Arrays) -> None:
    """What no poses can be, whoever made them."""
    points, sure, boxes, times = (
        arrays[name].astype(np.float64) for name in ("keypoints", "confidence", "box", "timestamps_s")
    )
    frames = arrays["frame_indices"].astype(np.int64)
    placed = np.all(np.isfinite(points), axis=2)
    boxed = np.all(np.isfinite(boxes), axis=1)
    faults = []

    def unless(condition: bool | np.bool_, fault: str) -> None:
        if not condition:
            faults.append(fault)

    unless(len(times) > 1, "there are fewer than two frames")
    unless(np.isfinite(times).all() and (times >= 0).all(), "timestamps_s holds times that are negative or no number")
    unless((np.diff(times) > 0).all(), "timestamps_s does not increase from frame to frame")
    unless((frames >= 0).all() and (np.diff(frames) > 0).all(), "frame_indices does not increase")
    unless((arrays["frame_size"] > 0).all(), "frame_size is not (width, height) in pixels")
    unless(not np.isinf(points).any() and not np.isinf(boxes).any(), "a place is infinite; not seen is NaN")
    unless((sure[placed] >= 0).all() and (sure[placed] <= 1).all(), "confidence of a keypoint seen is not 0..1")
    unless((boxes[boxed, :2] <= boxes[boxed, 2:]).all(), "box is not x1 y1 x2 y2")
    unless(boxed[placed.any(axis=1)].all(), "a frame with keypoints has no box")
    names = arrays["keypoint_names"].tolist()
    unless(len(set(names)) == len(names), "keypoint_names names one twice")
    _raise_all(faults)


def _raise_all(faults: list[str]) -> None:
    if faults:
        raise PosesInvalid(f"The poses cannot be used: {'; '.join(faults)}.")


def _ordered(arrays: Arrays) -> PoseSequence:
    """The keypoints of the fullest skeleton that is there. Raises SkeletonUnknown where one of COCO-17's is missing."""
    names = arrays["keypoint_names"].tolist()
    missing = [name for name in COCO_17.keypoint_names if name not in names]
    if missing:
        raise SkeletonUnknown(f"The poses lack keypoints that the measurements need: {', '.join(missing)}.")
    skeleton = HALPE_26 if set(HALPE_26.keypoint_names) <= set(names) else COCO_17
    order = [names.index(name) for name in skeleton.keypoint_names]
    keypoints = arrays["keypoints"][:, order].astype(np.float32)
    confidence = arrays["confidence"][:, order].astype(np.float32)
    unseen = np.isnan(keypoints).any(axis=2)
    keypoints[unseen], confidence[unseen] = np.nan, np.nan  # seen is only what has a place
    width, height = arrays["frame_size"].tolist()
    return PoseSequence(
        keypoints=keypoints,
        confidence=confidence,
        boxes=arrays["box"].astype(np.float32),
        timestamps_s=arrays["timestamps_s"].astype(np.float64),
        frame_indices=arrays["frame_indices"].astype(np.int64),
        skeleton=skeleton,
        frame_size=(int(width), int(height)),
        model=_model(arrays.get("provenance")),
    )


def _model(provenance: NDArray[Any] | None) -> ModelInfo:
    """Who made the poses, as far as the file says."""
    try:
        said = json.loads(str(provenance))["model"] if provenance is not None else {}
        values: dict[str, Any] = {field.name: str(said.get(field.name) or UNKNOWN) for field in fields(ModelInfo)}
        values["conversion"] = str(said["conversion"]) if said.get("conversion") else None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise PosesInvalid('The poses cannot be used: provenance is no JSON text with a "model".') from error
    return ModelInfo(**values)
