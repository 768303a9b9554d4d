"""Deliveries of a stick figure, analysed from their poses: real results without a clip or a model."""

from __future__ import annotations

import runpy
from functools import cache
from pathlib import Path
from typing import Any

from inference.extract import Extraction
from inference.poses import PoseSequence
from models.documents import Results
from models.requests import AnalysisOptions, AnalysisRequest
from pipeline import stages
from pipeline.given_poses import extraction_of

FIGURES = Path(__file__).parents[1] / "unit" / "pipeline" / "biomechanics" / "conftest.py"


@cache
def _figures() -> dict[str, Any]:
    return runpy.run_path(str(FIGURES))


@cache
def poses(*, fps: float = 60.0, line: float = 6.0, view: str = "side", seed: int = 0) -> PoseSequence:
    """One delivery with 0.3 % of height of white noise."""
    figure = _figures()["bowler"](fps, line=line)
    filmed: PoseSequence = figure.film(view=view, white=0.3, seed=seed, shift=(-8000.0, 0.0))
    return filmed


def results(of: PoseSequence, *, view: str = "side", **options: Any) -> Results:
    """What an analysis of these poses comes to, as if they were a clip's."""
    request = AnalysisRequest(
        analysis_mode="bowling", camera_view=view, options=AnalysisOptions.model_validate(options)
    )
    extraction: Extraction = extraction_of(of)
    measurements = stages.measure_poses(extraction, request, "deep")
    findings = stages.judge(measurements)
    report = stages.word(extraction, measurements, findings)
    return stages.compose(extraction, measurements, findings, report, include_frames=False)
