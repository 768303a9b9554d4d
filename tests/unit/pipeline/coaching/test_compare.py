"""The laws of comparison, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from models.documents import Evidence
from pipeline.coaching.compare import compare, own_spread
from pipeline.coaching.datafiles import DataFileError
from pipeline.coaching.rules import Rule

WORDS = {"title": "t", "seen": "s {measured}", "why": "w", "watch": "a", "cue": "c", "drill": "d"}


def a_rule(**fields):
    """More than 12 % of height, worth a look from 8, practical step 4; a study's group mean unless told otherwise."""
    known = {
        "id": "a_rule",
        "version": 1,
        "metric": "head_sideways_contact",
        "unit": "pct_height",
        "comparison": "external",
        "direction": "above",
        "finding": 12,
        "step": 4,
        "reference": "at most {finding}",
        "reference_kind": "group_mean",
        "player": WORDS,
        "analyst": WORDS,
    }
    return Rule.model_validate(known | fields)


@pytest.mark.parametrize(
    ("value", "error", "outcome", "confidence"),
    [
        (14.5, 1.0, ("finding", "clear"), 2.5),
        (14.0, 1.0, ("finding", "likely"), 2.0),  # 2 exactly is not beyond 2
        (13.5, 1.0, ("finding", "likely"), 1.5),
        (13.0, 1.0, ("watch", None), 1.0),  # 1 exactly is not beyond 1
        (12.0, 1.0, ("watch", None), 0.0),
        (11.5, 1.0, ("watch", None), -0.5),
        (10.9, 1.0, ("strength", None), 1.1),
        (14.5, 3.0, ("watch", None), 2.5 / 3),  # the same value with a worse camera
    ],
)
def test_external_reference(make_metric, value, error, outcome, confidence):
    comparison = compare(a_rule(), make_metric(value, expected_error=error))
    assert (comparison.verdict, comparison.claim) == outcome
    assert comparison.confidence == pytest.approx(confidence)


@pytest.mark.parametrize(("value", "verdict"), [(8.5, "watch"), (7.5, "nothing"), (7.0, "strength"), (13.5, "finding")])
def test_the_band_begins_at_watch(make_metric, value, verdict):
    assert compare(a_rule(watch=8), make_metric(value)).verdict == verdict


@pytest.mark.parametrize(
    ("value", "verdict", "excess"), [(120.0, "finding", 10), (128.0, "watch", 2), (150.0, "strength", -20)]
)
def test_below_a_reference(make_metric, value, verdict, excess):
    rule = a_rule(direction="below", finding=130, unit="deg", step=10)
    comparison = compare(rule, make_metric(value, unit="deg", expected_error=8.0))
    assert (comparison.verdict, comparison.excess) == (verdict, excess)


def test_the_reference_may_be_blunter_than_the_measurement(make_metric):
    metric = make_metric(14.5)
    assert compare(a_rule(), metric).claim == "clear"
    blunt = compare(a_rule(tolerance=2), metric)
    assert (blunt.claim, blunt.confidence) == ("likely", 1.25)


def test_sign_is_dropped_only_where_the_rule_says_so(make_metric):
    assert compare(a_rule(absolute=True), make_metric(-15.0)).value == 15.0
    assert compare(a_rule(), make_metric(-15.0)).verdict == "strength"


@pytest.mark.parametrize(
    ("value", "kind", "severity"),
    [
        (15.9, "group_mean", "low"),
        (16.0, "group_mean", "medium"),
        (20.0, "group_mean", "high"),
        (20.0, "convention", "medium"),
    ],
)
def test_severity_counts_practical_steps(make_metric, value, kind, severity):
    comparison = compare(a_rule(reference_kind=kind), make_metric(value))
    assert (comparison.verdict, comparison.severity) == ("finding", severity)


def test_a_better_camera_does_not_make_a_fault_worse(make_metric):
    severities = {compare(a_rule(), make_metric(17.0, expected_error=error)).severity for error in (0.1, 1.0, 4.0)}
    assert severities == {"medium"}


def test_degraded_is_likely_at_most_and_never_praised(make_metric):
    assert compare(a_rule(), make_metric(30.0, status="degraded")).claim == "likely"
    assert compare(a_rule(), make_metric(1.0, status="degraded")).verdict == "nothing"


def test_a_convention_needs_a_still(make_metric):
    metric = make_metric(20.0, evidence=Evidence())
    assert compare(a_rule(reference_kind="convention"), metric).verdict == "watch"
    assert compare(a_rule(), metric).verdict == "finding"


def test_what_cannot_be_compared(make_metric):
    assert compare(a_rule(), make_metric(None, status="not_measurable")) is None
    assert compare(a_rule(), make_metric(20.0, expected_error=None)) is None
    assert compare(a_rule(unit="class"), make_metric("flexor", unit="class", expected_error=None)) is None
    with pytest.raises(DataFileError, match="a_rule is in deg, metric head_sideways_contact in pct_height"):
        compare(a_rule(unit="deg"), make_metric())


def test_own_spread_subtracts_the_measurement(make_metric):
    assert own_spread(make_metric(spread=5.0, rand=3.0)) == 4.0
    assert own_spread(make_metric(spread=2.0, rand=3.0)) == 0.0
    assert own_spread(make_metric(spread=5.0, rand=3.0, n=3)) is None
    assert own_spread(make_metric(spread=None)) is None


@pytest.mark.parametrize(
    ("spread", "verdict", "claim"),
    # Reference 4, rand 3, n 9: a sample variance of 25 is expected, ± 25·√(2/8) = 12.5.
    [
        (math.sqrt(51), "finding", "clear"),
        (math.sqrt(49), "finding", "likely"),
        (math.sqrt(37), "watch", None),
        (math.sqrt(26), "watch", None),
        (math.sqrt(24), "nothing", None),
        (math.sqrt(12), "strength", None),
    ],
)
def test_spread_is_compared_as_variance(make_metric, spread, verdict, claim):
    rule = a_rule(comparison="within_clip", finding=4, step=2)
    comparison = compare(rule, make_metric(spread=spread, rand=3.0, n=9))
    assert (comparison.verdict, comparison.claim) == (verdict, claim)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((0.0, 0.0, 0.0, 0.0, 0.0, 25.0), "watch"),  # one ball, or one that was misread
        ((-9.0, 9.0, -9.0, 9.0, -9.0, 9.0), "finding"),
        ((-9.0, 9.0, 9.0), "finding"),  # too few are known to leave one out
    ],
)
def test_one_repetition_makes_no_habit(make_metric, values, verdict):
    rule = a_rule(comparison="within_clip", finding=4, step=2)
    metric = make_metric(spread=9.86, rand=1.0, n=6)
    assert compare(rule, metric).verdict == "finding"
    assert compare(rule, metric, values).verdict == verdict


def test_spread_ignores_the_systematic_error(make_metric):
    rule = a_rule(comparison="within_clip", finding=4, step=2)
    one, other = (compare(rule, make_metric(spread=9.0, sys=sys, expected_error=sys)) for sys in (0.5, 20.0))
    assert one == other
    assert compare(rule, make_metric(spread=9.0, n=3)) is None
