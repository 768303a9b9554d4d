"""One plot a signal, as SVG: the course of a quantity, its gaps, and what the numbers were read from."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.documents import Metric, Results, TimeSpan
from pipeline.measurements import Signal
from pipeline.rendering.moments import Moment, moments
from pipeline.rendering.words import AXES

_LINE, _SHADE, _EVENT, _BAND = "#12507b", "#f2b544", "#5f6b76", "#3f8f5f"
_BRIDGED_S = 0.2
"""A line joins samples at most this far apart (or two usual intervals): longer holes stay visible."""
_DIFFERENCES = frozenset({"head_steadiness", "trunk_flexion_change"})
"""Read off a signal in its own unit, and yet no level of it: a spread and a change."""
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """A signal and its drawing."""

    signal: Signal
    svg: bytes
    left: float = 0.0
    """Where time's axis begins in the picture, as a share of its width."""
    right: float = 1.0
    start_s: float = 0.0
    """The moment of the clip at `left`."""
    end_s: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """A number with its expected error, over the stretch in which it was read."""

    span: TimeSpan
    low: float
    high: float


def is_measured(signal: Signal) -> bool:
    """Whether there is anything to plot: two samples that were seen."""
    return int(np.isfinite(signal.values).sum()) >= 2


def plot_signal(signal: Signal, results: Results) -> Plot:
    """The signal over the clip's time as an SVG file; the same input gives the same bytes.

    The evidence of the signal's metrics is shaded, a number that is a level of the signal has its band of the expected
    error, events are dashed lines with their letters (`moments`), NaN and holes in time are gaps.
    """
    with _style():
        figure = Figure(figsize=(5.0, 2.3), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        _draw_line(axes, signal)
        axes.set_xlabel("time in the clip (s)")
        axes.set_ylabel(AXES.get(signal.unit, signal.unit))
        axes.grid(visible=True, axis="y", color="#e3e7ea", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.margins(y=0.1)
        axes.set_xlim(_shown(signal))
        _shade_evidence(axes, signal, results)
        _draw_bands(axes, signal, results)
        _mark_events(axes, signal, moments(results))
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata=_NO_METADATA, transparent=True)
        place = axes.get_position()  # final once it is drawn
        start_s, end_s = axes.get_xlim()
    return Plot(
        signal=signal,
        svg=file.getvalue(),
        left=float(place.x0),
        right=float(place.x1),
        start_s=float(start_s),
        end_s=float(end_s),
    )


def _shown(signal: Signal) -> tuple[float, float]:
    """The times of the first and the last sample, seen or not, so that the plots of a report share their axis."""
    return float(signal.times_s[0]), float(signal.times_s[-1])


def evidence_spans(signal: Signal, results: Results) -> tuple[TimeSpan, ...]:
    """Where the signal's metrics were read, each stretch once, in order."""
    return tuple(sorted(set(_spans(signal, results)), key=lambda span: (span.start_s, span.end_s)))


def _spans(signal: Signal, results: Results) -> Iterator[TimeSpan]:
    for name in signal.metrics:
        metric = results.metrics.get(name)
        if metric is not None and metric.status != "not_measurable":
            yield from metric.evidence.spans
    for finding in results.findings.findings:
        if finding.metric in signal.metrics:
            yield from finding.evidence.spans


def error_bands(signal: Signal, results: Results) -> tuple[Band, ...]:
    """The numbers that are levels of this signal, each over its evidence: of every repetition, or of the whole clip.

    Where the signal is nowhere near the number in that stretch (a knee's plot does not show the other knee's number)
    there is no band.
    """
    bands = [
        Band(span=span, low=value - error, high=value + error)
        for name in signal.metrics
        for metric in _readings(name, results)
        if (error := metric.expected_error) is not None and isinstance(value := metric.value, float)
        if metric.unit == signal.unit and name not in _DIFFERENCES
        for span in metric.evidence.spans
        if _reaches(signal, span, value - error, value + error)
    ]
    return tuple(sorted(set(bands), key=lambda band: (band.span.start_s, band.span.end_s, band.low, band.high)))


def _readings(name: str, results: Results) -> list[Metric]:
    own = [repetition.metrics[name] for repetition in results.repetitions if name in repetition.metrics]
    return own or [metric for metric in [results.metrics.get(name)] if metric is not None]


def _reaches(signal: Signal, span: TimeSpan, low: float, high: float) -> bool:
    """Whether the signal has a value between `low` and `high` in this stretch, or passes through them."""
    # a number read at one moment lies between two samples
    step = float(np.median(np.diff(signal.times_s)))
    inside = (signal.times_s >= span.start_s - step) & (signal.times_s <= span.end_s + step)
    seen = signal.values[inside & np.isfinite(signal.values)]
    return bool(seen.size) and float(seen.min()) <= high and float(seen.max()) >= low


def _style() -> AbstractContextManager[None]:
    """Process-wide while it is in force, as matplotlib has it: one thread of a process plots at a time."""
    return mpl.rc_context(
        {
            "svg.fonttype": "none",  # text stays text: small, and drawn in the reader's own font
            "svg.hashsalt": "frontfoot",  # the same signal gives the same bytes
            "font.family": "sans-serif",
            "font.size": 10.0,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": "#8a949e",
            "axes.linewidth": 0.8,
            "axes.labelcolor": "#3d4650",
            "xtick.color": "#3d4650",
            "ytick.color": "#3d4650",
        }
    )


def _draw_line(axes: Axes, signal: Signal) -> None:
    times, values = _with_holes(signal.times_s, signal.values)
    axes.plot(times, values, color=_LINE, linewidth=1.5, solid_joinstyle="round")
    lonely = _lonely(values)
    axes.plot(times[lonely], values[lonely], ".", color=_LINE, markersize=3)


def _with_holes(
    times: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A NaN wherever time leaps, so that no line is drawn over what was not recorded."""
    steps = np.diff(times)
    after = np.flatnonzero(steps > max(_BRIDGED_S, 2 * float(np.median(steps)))) + 1
    return np.insert(times, after, times[after - 1]), np.insert(values, after, np.nan)


def _lonely(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Samples with a gap on either side: no line shows them."""
    seen = np.isfinite(np.concatenate(([np.nan], values, [np.nan])))
    return seen[1:-1] & ~seen[:-2] & ~seen[2:]


def _shade_evidence(axes: Axes, signal: Signal, results: Results) -> None:
    for span in evidence_spans(signal, results):
        axes.axvspan(*_visible(span, signal, 0.006), color=_SHADE, alpha=0.35, linewidth=0)


def _draw_bands(axes: Axes, signal: Signal, results: Results) -> None:
    for band in error_bands(signal, results):
        start, end = _visible(band.span, signal, 0.03)
        axes.fill_between([start, end], band.low, band.high, color=_BAND, alpha=0.35, linewidth=0)


def _visible(span: TimeSpan, signal: Signal, share: float) -> tuple[float, float]:
    """The stretch, widened to this share of the plot: a number read at one moment still needs a visible stripe."""
    least = share * (float(np.ptp(signal.times_s)) or 1.0)
    middle, half = (span.start_s + span.end_s) / 2, max(span.end_s - span.start_s, least) / 2
    return middle - half, middle + half


def _mark_events(axes: Axes, signal: Signal, events: Sequence[Moment]) -> None:
    start, end = _shown(signal)
    for event in events:
        if start <= event.time_s <= end:
            axes.axvline(event.time_s, color=_EVENT, linewidth=0.8, linestyle=(0, (4, 3)))
            axes.annotate(
                event.letter,
                xy=(event.time_s, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                color=_EVENT,
            )
