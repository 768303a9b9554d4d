"""One plot a signal, as SVG: the course of a quantity, its gaps, and what the numbers were read from."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.documents import Results, TimeSpan
from pipeline.measurements import Signal
from pipeline.rendering.moments import Moment, moments
from pipeline.rendering.words import AXES

_LINE, _SHADE, _EVENT = "#12507b", "#f2b544", "#5f6b76"
_BRIDGED_S = 0.2
"""A line joins samples at most this far apart (or two usual intervals): longer holes stay visible."""
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def is_measured(signal: Signal) -> bool:
    """Whether there is anything to plot: two samples that were seen."""
    return int(np.isfinite(signal.values).sum()) >= 2


def plot_signal(signal: Signal, results: Results) -> bytes:
    """The signal over the clip's time as an SVG file; the same input gives the same bytes.

    The evidence of the signal's metrics is shaded, events are dashed lines with their letters (`moments`), NaN and
    holes in time are gaps.
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
        _mark_events(axes, signal, moments(results))
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata=_NO_METADATA, transparent=True)
    return file.getvalue()


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
    # a number read at one moment still needs a visible stripe
    least = 0.006 * (float(np.ptp(signal.times_s)) or 1.0)
    for span in evidence_spans(signal, results):
        middle, half = (span.start_s + span.end_s) / 2, max(span.end_s - span.start_s, least) / 2
        axes.axvspan(middle - half, middle + half, color=_SHADE, alpha=0.35, linewidth=0)


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
