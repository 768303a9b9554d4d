"""What the stages found → the one document that is stored. Pure; nothing in it depends on the job or the clock."""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.extract import Extraction
from inference.poses import PoseSequence
from models.documents import (
    ClipDocument,
    Findings,
    FramesDocument,
    ModelDocument,
    PosesDocument,
    ReceiptDocument,
    Report,
    Results,
    SubjectDocument,
    TimeSpan,
)
from pipeline.measurements import Measurements


def assemble(
    *,
    stage: Literal["quick", "deep"],
    extraction: Extraction,
    measurements: Measurements,
    findings: Findings,
    report: Report,
    include_frames: bool,
    poses_sha256: str | None = None,
) -> Results:
    """Build `results.json` of one stage; `poses_sha256` is that of the file of poses that it began with, if any."""
    return Results(
        code_version=version("frontfoot"),
        stage=stage,
        clip=_clip(extraction),
        poses=None if poses_sha256 is None else PosesDocument(sha256=poses_sha256),
        model=_model(extraction),
        receipt=_receipt(extraction),
        mode=measurements.mode,
        options=measurements.options,
        view=measurements.view,
        off_square_deg=measurements.off_square_deg,
        real_fps=measurements.real_fps,
        subject=subject_document(extraction),
        detected=measurements.detected,
        repetitions=measurements.repetitions,
        metrics=measurements.metrics,
        findings=findings,
        report=report,
        frames=_frames(extraction.poses) if include_frames else None,
    )


def subject_document(extraction: Extraction) -> SubjectDocument:
    """Whom the poses follow."""
    subject = extraction.subject
    x1, y1, x2, y2 = (round(float(edge), 1) for edge in subject.box)
    return SubjectDocument(
        source=subject.source,
        confidence=round(subject.confidence, 3),
        people=subject.people,
        visible_share=round(float(np.mean(extraction.poses.seen)), 4),
        box=(x1, y1, x2, y2),
        time_s=round(subject.time_s, 4),
    )


def _clip(extraction: Extraction) -> ClipDocument:
    clip = extraction.clip
    return ClipDocument(
        width=clip.width,
        height=clip.height,
        duration_s=round(clip.duration_s, 4),
        fps=round(clip.fps, 4),
        rotation=clip.rotation,
        sha256=clip.sha256 or None,
        container=clip.container or None,
        codec=clip.codec or None,
    )


def _model(extraction: Extraction) -> ModelDocument:
    model = extraction.poses.model
    return ModelDocument(
        name=model.name,
        sha256=model.sha256,
        backend=model.backend,
        precision=model.precision,
        version=model.version,
        runtime=model.runtime,
        conversion=model.conversion,
    )


def _receipt(extraction: Extraction) -> ReceiptDocument:
    receipt = extraction.receipt
    return ReceiptDocument(
        decoded=receipt.decoded,
        inferred=receipt.inferred,
        skipped=dict(sorted(receipt.skipped.items())),
        broken=receipt.broken,
        truncated=receipt.truncated,
        gaps=tuple(TimeSpan(start_s=round(start, 4), end_s=round(end, 4)) for start, end in receipt.gaps),
    )


def _frames(poses: PoseSequence) -> FramesDocument:
    return FramesDocument(
        keypoint_names=poses.skeleton.keypoint_names,
        frame_indices=tuple(poses.frame_indices.tolist()),
        timestamps_s=tuple(round(time, 4) for time in poses.timestamps_s.tolist()),
        keypoints=tuple(
            tuple((_number(x, 2), _number(y, 2)) for x, y in frame) for frame in poses.keypoints.astype(float).tolist()
        ),
        confidence=tuple(tuple(_number(value, 3) for value in frame) for frame in _rows(poses.confidence)),
    )


def _rows(values: NDArray[np.float32]) -> list[list[float]]:
    rows: list[list[float]] = values.astype(float).tolist()
    return rows


def _number(value: float, digits: int) -> float | None:
    return None if math.isnan(value) else round(value, digits)


def json_bytes(results: Results) -> bytes:
    """The document as it is stored and written: the same bytes everywhere."""
    return (results.model_dump_json(indent=2, warnings=False) + "\n").encode()
