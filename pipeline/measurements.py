"""What the biomechanics hands to the coaching and to the drawing: metrics, repetitions and the signals behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.documents import DetectedDocument, Metric, Repetition, ViewDocument
from models.requests import AnalysisOptions, Mode


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Signal:
    """A measured quantity over time, for plots. NaN where it was not seen."""

    id: str
    label: str
    unit: str
    times_s: NDArray[np.float64]
    """(T,)."""
    values: NDArray[np.float64]
    """(T,)."""
    metrics: tuple[str, ...] = ()
    """Ids of the metrics read off it, so that a plot can shade their evidence."""

    def __post_init__(self) -> None:
        """Check the shapes."""
        if self.times_s.shape != self.values.shape or self.times_s.ndim != 1:
            raise ValueError(f"signal {self.id}: times {self.times_s.shape} and values {self.values.shape} differ")


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingIssue:
    """Something about the recording, not the athlete, that limits what can be said."""

    id: str
    """Upper case, such as `INSUFFICIENT_POSE_VISIBILITY`."""
    text: str
    advice: str


NO_VIDEO = RecordingIssue(
    id="NO_VIDEO",
    text="The analysis began with a file of poses, so there are no stills and no overlay: what is said here cannot be "
    "checked against pictures, and whom the poses follow is as their maker says.",
    advice="To see it in the video, analyse the clip itself.",
)
"""Of poses that came as a file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureContext:
    """What the metrics must know besides the poses."""

    mode: Mode
    stage: Literal["quick", "deep"]
    view: ViewDocument
    """The caller's view, or value None and source `unknown`: then the biomechanics estimates what its laws allow."""
    options: AnalysisOptions
    gaps: tuple[tuple[float, float], ...] = ()
    """(start_s, end_s) holes in the decoded timestamps."""
    overlap: NDArray[np.float32] | None = None
    """(T,) share of the athlete's box that another person's covers, in each frame of the poses; None: not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurements:
    """The outcome of `pipeline.biomechanics.measure.measure`."""

    mode: Mode
    stage: Literal["quick", "deep"]
    view: ViewDocument
    options: AnalysisOptions
    metrics: dict[str, Metric]
    """Every id that applies to the mode, in a fixed order; what cannot be measured is there and says why."""
    repetitions: tuple[Repetition, ...]
    signals: tuple[Signal, ...]
    recording: tuple[RecordingIssue, ...]
    real_fps: float
    """Distinct frames a second × slowmo_factor."""
    visible_share: float
    """Share of the inferred frames in which the athlete was seen well enough."""
    off_square_deg: float | None = None
    """Degrees between the athlete's way and the picture's plane, 0..90; None where the way is too short to tell."""
    detected: dict[str, DetectedDocument] = field(default_factory=dict)
    """`handedness` and `direction`, each with how sure; empty where nobody was seen."""
