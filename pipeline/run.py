"""The whole analysis in one process: no server, no Ray. The same stages as `dag`, in the same order.

It begins with a clip, or with poses that are there already.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from inference.extract import Extraction, PoseExtractor
from inference.poses import PoseSequence
from inference.sources import ClipSource, Fetching
from models.documents import Results
from models.requests import AnalysisRequest
from pipeline import stages
from pipeline.given_poses import extraction_of
from pipeline.measurements import NO_VIDEO, Measurements
from pipeline.stages import Limits, Stage

Progress = Callable[[Stage, str, float], None]
"""Called with the stage, what it does (`poses`, `metrics`, `drawing`) and the share of that done, 0..1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageOutcome:
    """What one stage (QUICK or DEEP) came to."""

    extraction: Extraction
    measurements: Measurements
    results: Results


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """What an analysis came to."""

    quick: StageOutcome | None
    """None where it began with poses."""
    final: StageOutcome
    """The last stage that ran."""
    files: dict[str, bytes]
    """report.html, report.pdf, report.md, overlay.mp4 (of a clip), poses.parquet: drawn from the last stage."""

    @property
    def deep(self) -> StageOutcome | None:
        """The deep stage, where it ran."""
        return self.final if self.final.results.stage == "deep" else None


def run_pose_metrics_findings_report(
    source: ClipSource,
    request: AnalysisRequest,
    *,
    extractor: PoseExtractor,
    limits: Limits,
    on_progress: Progress = lambda stage, what, share: None,
) -> Analysis:
    """Clip → poses → metrics → findings → report, QUICK and (unless `deep_enabled` is false) DEEP.

    Raises InferenceError subclasses for a clip that cannot be analysed.
    """
    quick, final = run_stages(source, request, extractor=extractor, limits=limits, on_progress=on_progress)
    stage: Stage = "deep" if request.deep_enabled else "quick"
    on_progress(stage, "drawing", 0.0)
    files = stages.draw(source, final.extraction, final.measurements, final.results, limits)
    on_progress(stage, "drawing", 1.0)
    return Analysis(quick=quick, final=final, files=files)


def run_stages(
    source: ClipSource,
    request: AnalysisRequest,
    *,
    extractor: PoseExtractor,
    limits: Limits,
    on_progress: Progress = lambda stage, what, share: None,
    canceled: threading.Event | None = None,
) -> tuple[StageOutcome, StageOutcome]:
    """Clip → poses → metrics → findings → report, nothing drawn: QUICK, and the last stage that ran.

    Raises InferenceError subclasses for a clip that cannot be analysed, and ExtractionCanceled once `canceled` is set.
    """
    run = _Run(
        source=source, request=request, extractor=extractor, limits=limits, on_progress=on_progress, canceled=canceled
    )
    quick = run.stage("quick")
    return quick, run.stage("deep", quick.extraction) if request.deep_enabled else quick


def run_given_poses(poses: PoseSequence, sha256: str, request: AnalysisRequest, *, limits: Limits) -> Analysis:
    """Poses → metrics → findings → report: everything after the extraction, as in DEEP. `sha256` is their file's.

    There is no picture, so nothing is drawn on one; the recording findings say so. Raises NoPerson.
    """
    extraction = extraction_of(poses)
    measurements = stages.measure_poses(extraction, request, "deep")
    measurements = replace(measurements, recording=(*measurements.recording, NO_VIDEO))
    final = _concluded(extraction, measurements, request, sha256)
    files = stages.draw(None, extraction, measurements, final.results, limits)
    return Analysis(quick=None, final=final, files=files)


def _concluded(
    extraction: Extraction, measurements: Measurements, request: AnalysisRequest, poses_sha256: str | None = None
) -> StageOutcome:
    findings = stages.judge(measurements)
    report = stages.word(extraction, measurements, findings)
    results = stages.compose(
        extraction, measurements, findings, report, request.include_frames, poses_sha256=poses_sha256
    )
    return StageOutcome(extraction=extraction, measurements=measurements, results=results)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Run:
    source: ClipSource
    request: AnalysisRequest
    extractor: PoseExtractor
    limits: Limits
    on_progress: Progress
    canceled: threading.Event | None

    def stage(self, stage: Stage, quick: Extraction | None = None) -> StageOutcome:
        wanted = stages.extract_request(stage, self.request, self.limits, quick)
        fetching = None if self.canceled is None else Fetching(canceled=self.canceled)
        with self.source.open(fetching) as clip:
            extraction = self.extractor.extract(
                clip,
                wanted,
                on_progress=lambda share: self.on_progress(stage, "poses", share),
                canceled=self.canceled,
            )
        self.on_progress(stage, "metrics", 0.0)
        measurements = stages.measure_poses(extraction, self.request, stage)
        outcome = _concluded(extraction, measurements, self.request)
        self.on_progress(stage, "metrics", 1.0)
        return outcome
