import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import reports

from pipeline.measurements import Signal
from pipeline.rendering.plots import evidence_spans, is_measured, plot_signal

SVG = "{http://www.w3.org/2000/svg}"
TIMES = np.arange(0, 1, 1 / 30)


def signal(values=None, times=TIMES, **fields):
    values = 120 + 40 * np.sin(6 * times) if values is None else values
    return Signal(**{"id": "knee", "label": "Knee", "unit": "deg", "times_s": times, "values": values} | fields)


def strokes(svg):
    """How many separate stretches the signal's line has."""
    paths = re.findall(rb'<path d="([^"]*)"[^>]*stroke: #12507b', svg)
    return sum(path.count(b"M ") for path in paths)


def shades(svg):
    return svg.count(b"fill: #f2b544")


def test_the_same_signal_gives_the_same_bytes_without_a_date():
    first, second = (plot_signal(signal(), reports.results()) for _ in range(2))
    assert first == second
    assert b"date" not in first.lower()


def test_it_is_well_formed_and_its_axes_have_units():
    svg = plot_signal(signal(), reports.results())
    texts = [element.text for element in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 - our own file
    assert "degrees (°)" in texts
    assert "time in the clip (s)" in texts
    assert "a" in texts, "the letter of the event"


def test_nan_is_a_gap():
    values = 120 + 40 * np.sin(6 * TIMES)
    assert strokes(plot_signal(signal(values), reports.results())) == 1
    values[10:13] = np.nan
    values[20] = np.nan
    assert strokes(plot_signal(signal(values), reports.results())) == 3


def test_a_hole_in_time_is_a_gap():
    times = np.concatenate((TIMES, TIMES + 3))
    assert strokes(plot_signal(signal(times=times), reports.results())) == 2


def test_a_sample_between_gaps_is_a_dot():
    values = np.full(len(TIMES), np.nan)
    values[[3, 7]] = 100, 110
    svg = plot_signal(signal(values), reports.results())
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
    assert shades(plot_signal(plotted, document)) == len(spans)


def test_nothing_seen_is_not_measured():
    assert is_measured(signal())
    assert not is_measured(signal(np.full(len(TIMES), np.nan)))


def test_pyplot_with_its_global_state_stays_out():
    code = "import sys, pipeline.rendering.render; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
