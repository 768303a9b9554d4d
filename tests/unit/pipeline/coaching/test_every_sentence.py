"""Every sentence of every report: 400 clips at random, of all modes, views, stages and audiences."""

from __future__ import annotations

import re

import pytest
from any_measurements import MODES, all_measurements
from readability import reading_ease, words_of

from models.documents import Report
from pipeline.coaching.findings import generate_findings
from pipeline.coaching.report import generate_report_text
from pipeline.coaching.sentences import blocks
from pipeline.measurements import Measurements

CLIPS = 400
NUMBER = re.compile(r"(-?\d+(?:\.\d+)?) ± (\d+(?:\.\d+)?)")
JARGON = re.compile(
    r"\b(RMS|RMSE|SD|posture|percentile|sys|rand|n =|trunk|lateral\w*|flexion|extension|frontal|keypoints?|frames?|"
    r"athlete|plant|thorax|convention:|markerless|transverse|median|variance)\b|--"
)


def written(measurements, subject):
    """The findings' report."""
    return generate_report_text(measurements, generate_findings(measurements), subject)


@pytest.fixture(scope="module")
def reports() -> list[tuple[Measurements, Report]]:
    """What was measured, and what is said of it."""
    return [(measured, written(measured, subject)) for measured, subject in all_measurements(CLIPS)]


def sentences(reports, *sections):
    """Every sentence with its report's measurements; of all sections where none is named."""
    for measured, report in reports:
        for section in report.sections:
            if not sections or section.id in sections:
                for one in section.sentences:
                    yield measured, one


def test_the_clips_are_of_all_kinds(reports):
    """Or what follows would say little."""
    measured = [measurements for measurements, _ in reports]
    assert {one.mode for one in measured} == set(MODES)
    assert {one.view.value for one in measured} == {None, "side", "front", "behind", "other"}
    assert {one.options.audience for one in measured} == {"player", "analyst"}
    assert {one.stage for one in measured} == {"quick", "deep"}
    for section in ("strengths", "priorities", "watches"):
        assert sum(section in {part.id for part in report.sections} for _, report in reports) > 40, section
    said = [one.text for _, one in sentences(reports, "assessment")]
    for beginning in ("Most repeatable", "Not judged", "This clip does not let us judge"):
        assert sum(text.startswith(beginning) for text in said) > 2, beginning


def test_the_sentences_are_the_text(reports):
    for _, report in reports:
        parts = []
        for section in report.sections:
            text = "".join(one.before + one.text for one in section.sentences)
            assert text == section.text
            parts.append(f"## {section.title}\n\n{text}")
        first = report.sections[0].text
        opening = f"**Overall Assessment**: {first[0].lower()}{first[1:]}"
        assert "\n\n".join([opening, *parts[1:]]) + "\n" == report.text


def test_a_fact_names_metrics_of_this_clip_and_where_the_video_shows_them(reports):
    for measured, one in sentences(reports):
        assert set(one.metrics) <= set(measured.metrics), one
        if one.kind != "fact":
            continue
        assert one.metrics, one
        known = [measured.metrics[name] for name in one.metrics if measured.metrics[name].value is not None]
        if known:
            assert one.evidence.times_s or one.evidence.spans, one
        own = {time for metric in known for time in metric.evidence.times_s}
        assert set(one.evidence.times_s) <= own, one
        assert len(one.evidence.times_s) == len(one.evidence.frames), one


def test_every_number_with_an_error_is_one_of_its_sentence_s_metrics(reports):
    count = 0
    for measured, one in sentences(reports):
        for value, error in NUMBER.findall(one.text):
            if one.text.startswith("Bayne 2014"):  # a study's mean and standard deviation
                continue
            assert one.kind == "fact", one
            count += 1
            in_hundredths = "%" in one.text and measured.options.audience == "player"
            assert any(_says(value, error, measured.metrics[name], in_hundredths) for name in one.metrics), one
    assert count > 2000


def _says(value, error, metric, in_hundredths):
    """Whether `value ± error` is the metric, rounded; a word may stand for its sign, a ratio be told in hundredths."""
    if not isinstance(metric.value, float):
        return False
    scale = 100 if metric.unit == "ratio" and in_hundredths else 1
    decimals = len(value.partition(".")[2])
    size = f"{abs(scale * metric.value):.{decimals}f}"
    return value.removeprefix("-") == size and error == f"{scale * metric.expected_error:.{decimals}f}"


def test_counts_of_repetitions_are_those_of_its_metrics(reports):
    count = 0
    for measured, one in sentences(reports):
        for some, of in re.findall(r"\b(\d+) of (\d+)(?= deliver| shot| crouch| pick|\))", one.text):
            if one.kind != "fact":
                continue
            readings = [sum(name in repetition.metrics for repetition in measured.repetitions) for name in one.metrics]
            count += 1
            assert int(some) <= int(of), one
            assert int(of) in (*readings, len(measured.repetitions)), one
    assert count > 50


def test_whatever_is_said_of_the_athlete_is_a_fact_or_advice(reports):
    told = ("strengths", "priorities", "watches", "not_measured")
    assert {one.kind for _, one in sentences(reports, *told)} == {"fact", "advice"}
    assert {one.kind for _, one in sentences(reports, "recording")} <= {"recording", "advice"}
    assert {one.kind for _, one in sentences(reports, "method")} == {"method"}
    for _, one in sentences(reports, "measured", "assessment"):
        if one.kind in ("recording", "method"):
            assert not re.search(r"\d", one.text), one


def test_nothing_is_said_twice(reports):
    """Two findings may be as sure as each other; of one metric a sentence stands in one place."""
    for _, report in reports:
        said = [(one.text, one.metrics) for part in report.sections for one in part.sentences]
        assert len(said) == len(set(said)), [one for one in said if said.count(one) > 1]


def test_advice_holds_no_number_of_the_athlete(reports):
    for _, one in sentences(reports):
        if one.kind == "advice":
            assert not re.search(r"±|% of (your )?height", one.text), one


def test_same_findings_same_bytes():
    for measured, subject in all_measurements(20):
        again = written(measured, subject)
        assert written(measured, subject).model_dump_json() == again.model_dump_json()


def test_lines_are_told_apart_for_whoever_draws_them(reports):
    for _, report in reports:
        for section in report.sections:
            lines = [line for line in section.text.split("\n") if line]
            found = blocks(section.sentences)
            assert len(found) == len(lines)
            for block, line in zip(found, lines, strict=True):
                assert line.endswith(" ".join(one.text for one in block.sentences))
                kind = "heading" if line.startswith("### ") else "item" if line.startswith("- ") else "paragraph"
                assert block.kind == kind


# ---- for a player of twelve -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def for_players(reports):
    """The same, those for players only."""
    return [pair for pair in reports if pair[0].options.audience == "player"]


def test_a_player_of_twelve_can_read_it(for_players):
    """Flesch's 80 is for readers of 11 to 12; of one section, where a few words weigh much, 70 is enough."""
    assert len(for_players) > 150
    for _, report in for_players:
        for section in report.sections:
            texts = [one.text for one in section.sentences]
            assert reading_ease(texts) >= 70 or len(words_of(section.text)) < 40, section.text
        assert reading_ease([one.text for section in report.sections for one in section.sentences]) >= 80, report.text


def test_a_player_reads_short_sentences(for_players):
    """A list of several measures may be longer than a sentence about one."""
    for _, one in sentences(for_players):
        assert len(words_of(one.text)) <= (30 if len(one.metrics) < 2 else 50), one.text


def test_a_player_meets_no_jargon(for_players):
    for _, report in for_players:
        assert not JARGON.search(report.text), JARGON.search(report.text)


# ---- for an analyst -------------------------------------------------------------------------------------------------


def test_an_analyst_is_told_everything_about_a_number(reports):
    count = 0
    for measured, report in reports:
        if measured.options.audience != "analyst":
            continue
        lines = [line for part in report.sections if part.id == "measured" for line in part.text.split("\n")]
        for metric in measured.metrics.values():
            if not isinstance(metric.value, float):
                continue
            (line,) = (line for line in lines if line.startswith(f"- {metric.label}: "))
            count += 1
            assert " ± " in line
            decimals = {"s": 3, "ratio": 3, "m_per_s": 2}.get(metric.unit, 1)
            assert f"sys {metric.sys:.{decimals}f}" in line
            assert f"rand {metric.rand:.{decimals}f}" in line
            assert f"Method: {metric.method}." in line
            assert metric.source is None or f"Source: {metric.source}." in line
            if metric.n > 1:
                assert re.search(rf"\({metric.n} \w|n = {metric.n}\b", line), line
                assert "SD with measurement noise" in line
    assert count > 500
