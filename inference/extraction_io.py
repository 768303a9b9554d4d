"""An `Extraction` or a `SegmentPeople` as bytes and back, exactly: a later attempt at a job need not infer again.

An npz of the arrays as they are (dtype, NaN and all) and one JSON text with the rest. No pickled objects, no clock: the
same extraction gives the same bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.extract import Extraction
from inference.parts import People, SegmentPeople
from inference.poses import ClipInfo, ExtractionReceipt, ModelInfo, PoseSequence, Skeleton, Subject
from inference.segments import Entry, Segment

FORMAT = 3
"""Of these bytes and of what the values in them mean; raised whenever an extraction would come out otherwise."""

_DTYPES: dict[str, Any] = {
    "keypoints": np.float32,
    "confidence": np.float32,
    "boxes": np.float32,
    "timestamps_s": np.float64,
    "frame_indices": np.int64,
    "overlap": np.float32,
}
_PART_DTYPES: dict[str, Any] = {
    "keypoints": np.float32,
    "confidence": np.float32,
    "boxes": np.float32,
    "scores": np.float64,
    "counts": np.int64,
    "timestamps_s": np.float64,
    "frame_indices": np.int64,
    "decoded_s": np.float64,
}
_BROKEN = (KeyError, TypeError, AttributeError, EOFError, OSError, zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What numpy, zipfile and json raise for bytes that are torn or something else, besides ValueError."""


def write_extraction(extraction: Extraction, *, fingerprint: str) -> bytes:
    """The bytes of an extraction, marked with what it was an answer to."""
    poses = extraction.poses
    said: dict[str, Any] = {
        "clip": asdict(extraction.clip),
        "receipt": asdict(extraction.receipt),
        "subject": asdict(extraction.subject),
        "model": asdict(poses.model),
        "skeleton": asdict(poses.skeleton),
        "frame_size": poses.frame_size,
    }
    arrays: dict[str, Any] = {name: getattr(poses, name) for name in _DTYPES if name != "overlap"}
    unknown = np.full(len(poses.timestamps_s), np.nan, np.float32)
    said["overlap_known"] = extraction.overlap is not None
    return _written(
        said, {**arrays, "overlap": unknown if extraction.overlap is None else extraction.overlap}, fingerprint
    )


def read_extraction(content: bytes, *, fingerprint: str) -> Extraction:
    """The way back. Raises ValueError for bytes that are torn, foreign, or the answer to something else."""
    with _reading(content, _DTYPES, fingerprint) as (said, arrays):
        return _extraction(said, arrays)


def write_part(part: SegmentPeople, *, fingerprint: str) -> bytes:
    """The bytes of a segment's people, marked with what they were an answer to."""
    said = {
        "segment": asdict(part.segment),
        "clip_sha256": part.clip_sha256,
        "model": asdict(part.model),
        "skeleton": asdict(part.skeleton),
        "skipped": dict(part.skipped),
        "redone": part.redone,
    }
    people = {name: getattr(part.people, name) for name in _PART_DTYPES if name != "decoded_s"}
    return _written(said, {**people, "decoded_s": part.decoded_s}, fingerprint)


def read_part(content: bytes, *, fingerprint: str) -> SegmentPeople:
    """The way back. Raises ValueError for bytes that are torn, foreign, or the answer to something else."""
    with _reading(content, _PART_DTYPES, fingerprint) as (said, arrays):
        segment, decoded_s = said["segment"], arrays.pop("decoded_s")
        entry = segment["entry"]
        return SegmentPeople(
            segment=Segment(**{**segment, "entry": entry and Entry(**entry)}),
            clip_sha256=said["clip_sha256"],
            model=ModelInfo(**said["model"]),
            skeleton=_skeleton(said["skeleton"]),
            people=People(**arrays),
            decoded_s=decoded_s,
            skipped=said["skipped"],
            redone=said["redone"],
        )


def _written(said: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], fingerprint: str) -> bytes:
    out = io.BytesIO()
    # Keys as they come: the order of the receipt's reasons is part of the documents made of it.
    marked = json.dumps({"format": FORMAT, "fingerprint": fingerprint, **said})
    np.savez(out, allow_pickle=False, said=np.array(marked), **arrays)
    return out.getvalue()


@contextmanager
def _reading(
    content: bytes, dtypes: Mapping[str, Any], fingerprint: str
) -> Iterator[tuple[dict[str, Any], dict[str, NDArray[Any]]]]:
    """What was said and the arrays; whatever is found wrong with them in the block is a ValueError."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            said = json.loads(str(file["said"]))
            if (said["format"], said["fingerprint"]) != (FORMAT, fingerprint):
                raise ValueError("the kept extraction is the answer to something else")
            yield said, {name: _array(file[name], name, dtype) for name, dtype in dtypes.items()}
    except _BROKEN as error:
        raise ValueError(f"this is no kept extraction: {type(error).__name__}") from error


def _array(array: NDArray[Any], name: str, dtype: Any) -> NDArray[Any]:
    if array.dtype != dtype:
        raise ValueError(f"{name} are {array.dtype}")
    return array


def _extraction(said: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Extraction:
    receipt, subject = said["receipt"], said["subject"]
    overlap = arrays.pop("overlap")
    width, height = said["frame_size"]
    return Extraction(
        clip=ClipInfo(**said["clip"]),
        poses=PoseSequence(
            **arrays,
            skeleton=_skeleton(said["skeleton"]),
            frame_size=(width, height),
            model=ModelInfo(**said["model"]),
        ),
        receipt=ExtractionReceipt(**{**receipt, "gaps": _pairs(receipt["gaps"])}),
        subject=Subject(**{**subject, "box": tuple(subject["box"])}),
        overlap=overlap if said["overlap_known"] else None,
    )


def _skeleton(said: dict[str, Any]) -> Skeleton:
    return Skeleton(
        name=said["name"],
        keypoint_names=tuple(said["keypoint_names"]),
        left_right=_pairs(said["left_right"]),
        limbs=_pairs(said["limbs"]),
    )


def _pairs(values: list[list[Any]]) -> tuple[tuple[Any, Any], ...]:
    return tuple((first, second) for first, second in values)
