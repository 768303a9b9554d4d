import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import reports

from models.documents import Repetition
from pipeline.measurements import Signal
from pipeline.rendering.plots import error_bands, evidence_spans, is_measured, plot_signal

SVG = "{http://www.w3.org/2000/svg}"
TIMES = np.arange(0, 1, 1 / 30)


def signal(values=None, times=TIMES, **fields):
    values = 120 + 40 * np.sin(6 * times) if values is None else values
    return Signal(**{"id": "knee", "label": "Knee", "unit": "deg", "times_s": times, "values": values} | fields)


def drawn(*arguments):
    return plot_signal(*arguments).svg


def strokes(svg):
    """How many separate stretches the signal's line has."""
    paths = re.findall(rb'<path d="([^"]*)"[^>]*stroke: #12507b', svg)
    return sum(path.count(b"M ") for path in paths)


def shades(svg):
    return svg.count(b"fill: #f2b544")


def test_the_same_signal_gives_the_same_bytes_without_a_date():
    first, second = (drawn(signal(), reports.results()) for _ in range(2))
    assert first == second
    assert b"date" not in first.lower()


def test_it_is_well_formed_and_its_axes_have_units():
    svg = drawn(signal(), reports.results())
    texts = [element.text for element in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 - our own file
    assert "degrees (°)" in texts
    assert "time in the clip (s)" in texts
    assert "a" in texts, "the letter of the event"


def test_nan_is_a_gap():
    values = 120 + 40 * np.sin(6 * TIMES)
    assert strokes(drawn(signal(values), reports.results())) == 1
    values[10:13] = np.nan
    values[20] = np.nan
    assert strokes(drawn(signal(values), reports.results())) == 3


def test_a_hole_in_time_is_a_gap():
    times = np.concatenate((TIMES, TIMES + 3))
    assert strokes(drawn(signal(times=times), reports.results())) == 2


def test_a_sample_between_gaps_is_a_dot():
    values = np.full(len(TIMES), np.nan)
    values[[3, 7]] = 100, 110
    svg = drawn(signal(values), reports.results())
    assert len(re.findall(rb'<use [^>]*style="fill: #12507b', svg)) == 2


@pytest.mark.parametrize(
    ("metrics", "spans"),
    [
        ((), []),
        (("front_knee_min",), [(0.4, 0.6)]),
        (("front_knee_min", "run_up_speed_ratio"), [(0.1, 0.5), (0.4, 0.6)]),
        (("release_height", "not_a_metric"), []),
    ],
)
def test_evidence_is_shaded(metrics, spans):
    plotted = signal(metrics=metrics)
    document = reports.results()
    assert [(span.start_s, span.end_s) for span in evidence_spans(plotted, document)] == spans
    assert shades(drawn(plotted, document)) == len(spans)


def bands(document, **fields):
    shown = signal(np.full(len(TIMES), 125.0), metrics=("front_knee_min",), **fields)
    return [(b.span.start_s, b.span.end_s, round(b.low, 1), round(b.high, 1)) for b in error_bands(shown, document)]


def test_a_level_of_the_signal_has_a_band_of_its_expected_error():
    assert bands(reports.results()) == [(0.4, 0.6, 120.2, 137.0)]
    shown = signal(np.full(len(TIMES), 125.0), metrics=("front_knee_min",))
    assert b"fill: #3f8f5f" in drawn(shown, reports.results())


def test_repetitions_have_bands_of_their_own():
    metric = reports.METRICS["front_knee_min"]
    own = [
        metric.model_copy(update={"value": 120.0, "evidence": reports.evidence(spans=[(start, start + 0.1)])})
        for start in (0.7, 0.2)
    ]
    repetitions = [
        Repetition(index=index, start_s=0.0, end_s=0.9, metrics={"front_knee_min": one})
        for index, one in enumerate(own)
    ]
    found = bands(reports.results(repetitions=repetitions))
    assert [(round(start, 1), low, high) for start, _, low, high in found] == [(0.2, 111.6, 128.4), (0.7, 111.6, 128.4)]


def test_what_the_signal_does_not_show_has_no_band():
    metric = reports.METRICS["front_knee_min"]
    far = {"front_knee_min": metric.model_copy(update={"value": 160.0})}
    assert bands(reports.results(metrics=far)) == [], "the other knee's number"
    assert bands(reports.results(), unit="pct_height") == []


@pytest.mark.parametrize("first", [0.0, 2.5])
def test_the_page_is_told_where_times_axis_lies(first):
    plot = plot_signal(signal(times=TIMES + first), reports.results())
    assert (plot.start_s, plot.end_s) == (first, pytest.approx(first + 29 / 30))
    svg = ET.fromstring(plot.svg)  # noqa: S314 - our own file
    width = float(svg.get("viewBox").split()[2])
    (line,) = re.findall(rb'<path d="([^"]*)"[^>]*stroke: #12507b', plot.svg)
    xs = [float(x) for x in re.findall(rb"[ML] ([\d.]+) ", line)]
    assert (plot.left * width, plot.right * width) == (pytest.approx(xs[0], abs=0.1), pytest.approx(xs[-1], abs=0.1))


def test_nothing_seen_is_not_measured():
    assert is_measured(signal())
    assert not is_measured(signal(np.full(len(TIMES), np.nan)))


def test_pyplot_with_its_global_state_stays_out():
    code = "import sys, pipeline.rendering.render; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
