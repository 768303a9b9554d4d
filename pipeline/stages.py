"""The stages of an analysis as plain functions: `run` calls them in turn, `dag` makes Ray tasks of them."""

from __future__ import annotations

import math
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from inference.extract import Extraction, ExtractRequest
from inference.poses_io import write_parquet
from inference.probe import Survey
from inference.segments import SegmentRules
from inference.sources import ClipSource
from inference.spans import room_of
from inference.tracking import SubjectHint
from inference.video import VideoLimits
from models.documents import Findings, Report, Results, ViewDocument
from models.requests import AnalysisRequest
from pipeline.biomechanics.measure import measure
from pipeline.coaching.findings import generate_findings
from pipeline.coaching.report import generate_report_text
from pipeline.coaching.rules import rules_of
from pipeline.measurements import MeasureContext, Measurements
from pipeline.rendering.render import RenderLimits, render
from pipeline.results import assemble, subject_document

Stage = Literal["quick", "deep"]

QUICK_WINDOW_S = 30.0
QUICK_FPS = 10.0
DEEP_FPS = 240.0
"""Real frames a second; a camera that records more is sampled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the operator allows."""

    video: VideoLimits = field(default_factory=VideoLimits)
    render: RenderLimits = field(default_factory=RenderLimits)
    max_source_bytes: int = 4 * 1024**3
    """Largest file that an actor fetches."""
    segments: SegmentRules = field(default_factory=SegmentRules)
    """Into what parts a long clip is split."""


def extract_request(
    stage: Stage, request: AnalysisRequest, limits: Limits, quick: Extraction | None, *, priority: int = 0
) -> ExtractRequest:
    """What to extract in this stage. DEEP follows whom QUICK chose, unless the caller pointed at somebody.

    `priority` is the job's: its frames go before those of jobs that may wait.
    """
    real_fps = QUICK_FPS if stage == "quick" else DEEP_FPS
    sample_fps = real_fps / request.options.slowmo_factor
    if request.sample_fps is not None:
        sample_fps = min(sample_fps, request.sample_fps)
    window_s = QUICK_WINDOW_S if stage == "quick" else None
    points = tuple(SubjectHint(x=p.x, y=p.y, time_s=p.time_s) for p in request.options.subject)
    within = tuple(point for point in points if window_s is None or point.time_s <= window_s)
    return ExtractRequest(
        sample_fps=sample_fps,
        window_s=window_s,
        subject=within or (subject_hints(quick) if quick else ()),
        subject_source="caller" if within else "automatic",
        subject_confidence=quick.subject.confidence if quick and not within else 1.0,
        subject_people=quick.subject.people if quick else 1,
        slowmo_factor=request.options.slowmo_factor,
        priority=priority,
        limits=limits.video,
        segments=limits.segments,
    )


def room_for(wanted: ExtractRequest, surveyed: Survey | None) -> int:
    """Room that an extraction takes in its actor, in pictures. What is not known of the clip may be anything.

    The window is not counted: where nobody is in it, the whole clip is searched.
    """
    sample_fps = wanted.sample_fps or math.inf
    if surveyed is None:
        return room_of(fps=sample_fps * wanted.slowmo_factor)
    clip = surveyed.clip
    fps = min(sample_fps, clip.fps)
    return room_of(
        fps=fps * wanted.slowmo_factor,
        frames=fps * clip.duration_s,
        picture_bytes=clip.width * clip.height * 3 // 2,  # as a span holds them: planes of 8 bits
    )


def subject_hints(quick: Extraction) -> tuple[SubjectHint, ...]:
    """Where QUICK saw its athlete: the box centre about once a second."""
    seen = np.flatnonzero(quick.poses.seen)
    times = quick.poses.timestamps_s[seen]
    first_of_second = seen[np.unique(np.floor(times), return_index=True)[1]]
    x1, y1, x2, y2 = quick.poses.boxes[first_of_second].T.astype(float)
    return tuple(
        SubjectHint(x=x, y=y, time_s=time)
        for x, y, time in zip(
            ((x1 + x2) / 2).tolist(),
            ((y1 + y2) / 2).tolist(),
            quick.poses.timestamps_s[first_of_second].tolist(),
            strict=True,
        )
    )


def measure_poses(extraction: Extraction, request: AnalysisRequest, stage: Stage) -> Measurements:
    """Poses → metrics, repetitions, signals."""
    if request.camera_view is None:
        view = ViewDocument(value=None, source="unknown", confidence=0.0)
    else:
        view = ViewDocument(value=request.camera_view, source="caller", confidence=1.0)
    context = MeasureContext(
        mode=request.analysis_mode,
        stage=stage,
        view=view,
        options=request.options,
        gaps=extraction.receipt.gaps,
        overlap=extraction.overlap,
    )
    return measure(extraction.poses, context)


def judge(measurements: Measurements) -> Findings:
    """Metrics → findings, by the rules that the request names or brings along. Raises `DataFileError` for bad ones."""
    return generate_findings(measurements, rules_of(measurements.options.rules))


def word(extraction: Extraction, measurements: Measurements, findings: Findings) -> Report:
    """Findings → the report's words."""
    return generate_report_text(measurements, findings, subject_document(extraction))


def compose(
    extraction: Extraction,
    measurements: Measurements,
    findings: Findings,
    report: Report,
    include_frames: bool,
    *,
    poses_sha256: str | None = None,
) -> Results:
    """Everything → the one document that is stored."""
    return assemble(
        stage=measurements.stage,
        extraction=extraction,
        measurements=measurements,
        findings=findings,
        report=report,
        include_frames=include_frames,
        poses_sha256=poses_sha256,
    )


def draw(
    source: ClipSource | None, extraction: Extraction, measurements: Measurements, results: Results, limits: Limits
) -> dict[str, bytes]:
    """Results → the files a coach opens, by name. Reads the clip once more; nothing of it is kept but what is drawn.

    Without a clip there is no overlay and no still.
    """
    with source.open() if source else nullcontext() as clip, tempfile.TemporaryDirectory(prefix="frontfoot-") as folder:
        out = Path(folder)
        render(
            clip=clip,
            poses=extraction.poses,
            results=results,
            signals=measurements.signals,
            out=out,
            audience=measurements.options.audience,
            limits=limits.render,
        )
        write_parquet(out / "poses.parquet", extraction.poses)
        return {path.name: path.read_bytes() for path in sorted(out.iterdir())}
