"""An `Extraction` as bytes and back, exactly: a later attempt at a job need not infer again.

An npz of the arrays as they are (dtype, NaN and all) and one JSON text with the rest. No pickled objects, no clock: the
same extraction gives the same bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.extract import Extraction
from inference.poses import ClipInfo, ExtractionReceipt, ModelInfo, PoseSequence, Skeleton, Subject

FORMAT = 2
"""Of these bytes and of what the values in them mean; raised whenever an extraction would come out otherwise."""

_DTYPES: dict[str, Any] = {
    "keypoints": np.float32,
    "confidence": np.float32,
    "boxes": np.float32,
    "timestamps_s": np.float64,
    "frame_indices": np.int64,
}
_BROKEN = (KeyError, TypeError, AttributeError, EOFError, OSError, zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What numpy, zipfile and json raise for bytes that are torn or something else, besides ValueError."""


def write_extraction(extraction: Extraction, *, fingerprint: str) -> bytes:
    """The bytes of an extraction, marked with what it was an answer to."""
    poses = extraction.poses
    said = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "clip": asdict(extraction.clip),
        "receipt": asdict(extraction.receipt),
        "subject": asdict(extraction.subject),
        "model": asdict(poses.model),
        "skeleton": asdict(poses.skeleton),
        "frame_size": poses.frame_size,
    }
    arrays: dict[str, NDArray[Any]] = {name: getattr(poses, name) for name in _DTYPES}
    out = io.BytesIO()
    # Keys as they come: the order of the receipt's reasons is part of the documents made of it.
    np.savez(out, allow_pickle=False, said=np.array(json.dumps(said)), **arrays)
    return out.getvalue()


def read_extraction(content: bytes, *, fingerprint: str) -> Extraction:
    """The way back. Raises ValueError for bytes that are torn, foreign, or the answer to something else."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            said = json.loads(str(file["said"]))
            if (said["format"], said["fingerprint"]) != (FORMAT, fingerprint):
                raise ValueError("the kept extraction is the answer to something else")
            return _extraction(said, {name: _array(file[name], name) for name in _DTYPES})
    except _BROKEN as error:
        raise ValueError(f"this is no kept extraction: {type(error).__name__}") from error


def _array(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.dtype != _DTYPES[name]:
        raise ValueError(f"{name} are {array.dtype}")
    return array


def _extraction(said: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Extraction:
    skeleton, receipt, subject = said["skeleton"], said["receipt"], said["subject"]
    width, height = said["frame_size"]
    return Extraction(
        clip=ClipInfo(**said["clip"]),
        poses=PoseSequence(
            **arrays,
            skeleton=Skeleton(
                name=skeleton["name"],
                keypoint_names=tuple(skeleton["keypoint_names"]),
                left_right=_pairs(skeleton["left_right"]),
                limbs=_pairs(skeleton["limbs"]),
            ),
            frame_size=(width, height),
            model=ModelInfo(**said["model"]),
        ),
        receipt=ExtractionReceipt(**{**receipt, "gaps": _pairs(receipt["gaps"])}),
        subject=Subject(**{**subject, "box": tuple(subject["box"])}),
    )


def _pairs(values: list[list[Any]]) -> tuple[tuple[Any, Any], ...]:
    return tuple((first, second) for first, second in values)
