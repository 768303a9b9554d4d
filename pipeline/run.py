"""The whole analysis in one process: no server, no Ray. The same stages as `dag`, in the same order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inference.extract import Extraction, PoseExtractor
from inference.sources import ClipSource
from models.documents import Results
from models.requests import AnalysisRequest
from pipeline import stages
from pipeline.measurements import Measurements
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

    quick: StageOutcome
    deep: StageOutcome | None
    files: dict[str, bytes]
    """report.html, report.md, overlay.mp4, poses.parquet: drawn from the last stage."""

    @property
    def final(self) -> StageOutcome:
        """The last stage that ran."""
        return self.deep or self.quick


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
    run = _Run(source=source, request=request, extractor=extractor, limits=limits, on_progress=on_progress)
    quick = run.stage("quick")
    deep = None
    if request.deep_enabled:
        deep = run.stage("deep", quick.extraction)
    final = deep or quick
    stage: Stage = "deep" if deep else "quick"
    on_progress(stage, "drawing", 0.0)
    files = stages.draw(source, final.extraction, final.measurements, final.results, limits)
    on_progress(stage, "drawing", 1.0)
    return Analysis(quick=quick, deep=deep, files=files)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Run:
    source: ClipSource
    request: AnalysisRequest
    extractor: PoseExtractor
    limits: Limits
    on_progress: Progress

    def stage(self, stage: Stage, quick: Extraction | None = None) -> StageOutcome:
        wanted = stages.extract_request(stage, self.request, self.limits, quick)
        with self.source.open() as clip:
            extraction = self.extractor.extract(
                clip, wanted, on_progress=lambda share: self.on_progress(stage, "poses", share)
            )
        self.on_progress(stage, "metrics", 0.0)
        measurements = stages.measure_poses(extraction, self.request, stage)
        findings = stages.judge(measurements)
        report = stages.word(extraction, measurements, findings)
        results = stages.compose(extraction, measurements, findings, report, self.request.include_frames)
        self.on_progress(stage, "metrics", 1.0)
        return StageOutcome(extraction=extraction, measurements=measurements, results=results)
