"""What there is to export of an analysis: its poses, its results, and the signals behind them, measured again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inference.poses import PoseSequence
from models.documents import Results
from models.requests import AnalysisOptions
from pipeline.biomechanics.measure import measure
from pipeline.biomechanics.motion import prepare
from pipeline.measurements import MeasureContext, Signal


@dataclass(frozen=True, kw_only=True, slots=True)
class Exportable:
    """Poses and what was made of them; poses alone have neither results nor signals."""

    poses: PoseSequence
    options: AnalysisOptions
    results: Results | None = None
    signals: tuple[Signal, ...] = ()
    metres_per_pixel: float | None = None
    """None where the caller gave no height, or too little of the athlete was seen to know theirs in pixels."""


def exportable(poses: PoseSequence, results: Results | None, options: AnalysisOptions) -> Exportable:
    """Everything there is. The same poses give the same signals as the analysis had, if this is its version."""
    signals: tuple[Signal, ...] = ()
    side = results is not None and results.view.value == "side"
    if results is not None:
        context = MeasureContext(
            mode=results.mode,
            stage=results.stage,
            view=results.view,
            options=options,
            gaps=tuple((gap.start_s, gap.end_s) for gap in results.receipt.gaps),
        )
        signals = measure(poses, context).signals
    return Exportable(
        poses=poses,
        options=options,
        results=results,
        signals=signals,
        metres_per_pixel=_metres_per_pixel(poses, options, square=side),
    )


def _metres_per_pixel(poses: PoseSequence, options: AnalysisOptions, *, square: bool) -> float | None:
    """The given height against the median stature in pixels: one scale for the whole clip."""
    if options.height_m is None:
        return None
    try:
        stature = prepare(poses, options.slowmo_factor, constant_view=square).stature
    except ValueError:  # fewer than two distinct frames
        return None
    known = stature[np.isfinite(stature)]
    return options.height_m / float(np.median(known)) if known.size else None
