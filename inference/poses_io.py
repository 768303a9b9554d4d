"""The files of a `PoseSequence`: npz for code, Parquet for analysts. Both are read back exactly, NaN included.

The same sequence gives the same bytes: no clock, no machine.

**npz**: `keypoints` (T, K, 2), `confidence` (T, K), `box` (T, 4) as x1 y1 x2 y2, NaN where nothing was seen;
`timestamps_s` (T,), `frame_indices` (T,), `frame_size` (width, height), `keypoint_names` (K,), and `provenance`, a JSON
text. No pickled objects.

**Parquet**: tidy, one row a frame and keypoint, so that "the path of the left ankle" is one filter: `frame_index`,
`timestamp_s`, `keypoint`, `x`, `y`, `confidence`, and the frame's `box_x1` … `box_y2` on each of its rows. What was not
seen is null. The provenance is JSON under the key `frontfoot` of the file's schema metadata.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference.poses import FloatArray, ModelInfo, PoseSequence, Skeleton

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1
_METADATA_KEY = b"frontfoot"
_BOX = ("box_x1", "box_y1", "box_x2", "box_y2")


def write_npz(path: Path, sequence: PoseSequence) -> None:
    """Write a sequence to exactly `path`, whatever its suffix."""
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            keypoints=sequence.keypoints,
            confidence=sequence.confidence,
            timestamps_s=sequence.timestamps_s,
            frame_indices=sequence.frame_indices,
            box=sequence.boxes,
            frame_size=np.array(sequence.frame_size, np.int64),
            keypoint_names=np.array(sequence.skeleton.keypoint_names),
            provenance=np.array(_provenance(sequence)),
        )


def read_npz(path: Path) -> PoseSequence:
    """Read what `write_npz` wrote. Raises ValueError for any other file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return _sequence(
                str(file["provenance"]),
                keypoints=file["keypoints"],
                confidence=file["confidence"],
                boxes=file["box"],
                timestamps_s=file["timestamps_s"],
                frame_indices=file["frame_indices"],
            )
    except (KeyError, AttributeError) as error:  # a zip of something else; a bare array
        raise ValueError(f"{path.name} is no file of poses") from error


def write_parquet(path: Path, sequence: PoseSequence) -> None:
    """Write a sequence as a tidy table."""
    import pyarrow.parquet as pq

    pq.write_table(poses_table(sequence), path, compression="zstd")


def poses_table(sequence: PoseSequence) -> pa.Table:
    """One row a frame and keypoint; null where not seen."""
    import pyarrow as pa

    frames, joints = sequence.confidence.shape
    names = pa.array(sequence.skeleton.keypoint_names, pa.string())
    places = np.tile(np.arange(joints, dtype=np.int32), frames)
    columns: dict[str, pa.Array[Any]] = {
        "frame_index": pa.array(np.repeat(sequence.frame_indices, joints)),
        "timestamp_s": pa.array(np.repeat(sequence.timestamps_s, joints)),
        "keypoint": pa.DictionaryArray.from_arrays(places, names),
        "x": _nullable(sequence.keypoints[:, :, 0].ravel()),
        "y": _nullable(sequence.keypoints[:, :, 1].ravel()),
        "confidence": _nullable(sequence.confidence.ravel()),
    }
    for column, name in enumerate(_BOX):
        columns[name] = _nullable(np.repeat(sequence.boxes[:, column], joints))
    return pa.table(columns).replace_schema_metadata({_METADATA_KEY: _provenance(sequence).encode()})


def read_parquet(path: Path) -> PoseSequence:
    """Read what `write_parquet` wrote. Raises ValueError for any other file."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    provenance = (table.schema.metadata or {}).get(_METADATA_KEY)
    if provenance is None:
        raise ValueError(f"{path.name} is no file of poses")
    joints = len(json.loads(provenance)["skeleton"]["keypoint_names"])

    def by_frame(name: str) -> NDArray[Any]:
        return table.column(name).to_numpy().reshape(-1, joints)

    return _sequence(
        provenance.decode(),
        keypoints=np.stack([by_frame("x"), by_frame("y")], axis=2),
        confidence=by_frame("confidence"),
        boxes=np.stack([by_frame(name)[:, 0] for name in _BOX], axis=1),
        timestamps_s=by_frame("timestamp_s")[:, 0],
        frame_indices=by_frame("frame_index")[:, 0],
    )


def _nullable(values: FloatArray) -> pa.Array[Any]:
    import pyarrow as pa

    return pa.array(values, pa.float32(), mask=np.isnan(values))


def _provenance(sequence: PoseSequence) -> str:
    return json.dumps(
        {
            "schema_version": SCHEMA_VERSION,
            "model": asdict(sequence.model),
            "skeleton": asdict(sequence.skeleton),
            "frame_size": sequence.frame_size,
        },
        sort_keys=True,
    )


def _sequence(
    provenance: str,
    *,
    keypoints: NDArray[Any],
    confidence: NDArray[Any],
    boxes: NDArray[Any],
    timestamps_s: NDArray[Any],
    frame_indices: NDArray[Any],
) -> PoseSequence:
    said = json.loads(provenance)
    if said["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema version {said['schema_version']} of this file of poses is unknown")
    width, height = said["frame_size"]
    skeleton = said["skeleton"]
    return PoseSequence(
        keypoints=keypoints.astype(np.float32, copy=False),
        confidence=confidence.astype(np.float32, copy=False),
        boxes=boxes.astype(np.float32, copy=False),
        timestamps_s=timestamps_s.astype(np.float64, copy=False),
        frame_indices=frame_indices.astype(np.int64, copy=False),
        skeleton=Skeleton(
            name=skeleton["name"],
            keypoint_names=tuple(skeleton["keypoint_names"]),
            left_right=tuple((left, right) for left, right in skeleton["left_right"]),
            limbs=tuple((start, end) for start, end in skeleton["limbs"]),
        ),
        frame_size=(width, height),
        model=ModelInfo(**said["model"]),
    )
