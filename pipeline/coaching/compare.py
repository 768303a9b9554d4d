"""The laws of comparison: when a number beyond a reference is a claim, when only a watch, when a strength.

- `external`: the mean against a study's or a convention's number. The error of the comparison is the metric's
  `expected_error` (sys and rand), never less than the rule's `tolerance`. `likely` beyond 1 of it, `clear` beyond 2;
  from 1 on the good side of the reference to 1 on the bad side, or from the rule's own `watch` on: a watch.
- `within_clip`: the spread over repetitions, from 4 of them, with `rand` alone: sys is the same in every repetition
  and drops out. The measurement's variance is subtracted. The error is what the sample variance of n repetitions would
  vary by if the athlete's true spread were exactly the reference, (ref² + rand²)·√(2/(n-1)). A watch begins only at
  the reference itself (or `watch`): the spread of a handful of repetitions is so uncertain that a lower start would
  flag everybody. One repetition makes no habit, and may be misread: without the one farthest from the mean the spread
  must still be beyond the reference, or it is a watch.
- A `degraded` metric is `likely` at most and never a strength.
- A `convention` is never above `medium`, and without evidence frames for a still it is a watch at most.
- Severity is the excess in practical steps, whatever the error: a better camera does not make the same fault worse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Literal

from models.documents import Claim, Level, Metric
from pipeline.coaching.datafiles import DataFileError
from pipeline.coaching.rules import Rule

MIN_REPETITIONS = 4
"""For a spread to be compared."""

Verdict = Literal["finding", "watch", "strength", "nothing"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One metric held against one rule."""

    verdict: Verdict
    value: float
    """What was compared, in the metric's unit: the mean (its size where the rule says so), or the own spread."""
    excess: float
    """Beyond `finding` in the bad direction, in the metric's unit; negative on the good side."""
    confidence: float
    """Excess / expected error; for a strength, how many errors inside the band's beginning."""
    claim: Claim | None
    severity: Level


def own_spread(metric: Metric) -> float | None:
    """√(spread² - rand²): the athlete's own spread over repetitions, in the metric's unit; None below 4 repetitions."""
    if metric.spread is None or metric.rand is None or metric.n < MIN_REPETITIONS:
        return None
    return math.sqrt(max(metric.spread**2 - metric.rand**2, 0.0))


def compare(rule: Rule, metric: Metric, values: Sequence[float] = ()) -> Comparison | None:
    """Hold `metric` against `rule`; None where there is no value, error or spread to compare.

    `values`: its number in each repetition, behind its spread; none: not known.

    Raises `DataFileError` where the two are in different units: the rule is wrong, and no number may hide it.
    """
    if metric.status == "not_measurable":
        return None
    if metric.unit != rule.unit:
        raise DataFileError(f"rule {rule.id} is in {rule.unit}, metric {rule.metric} in {metric.unit}")
    measured = _external(rule, metric) if rule.comparison == "external" else _within_clip(rule, metric)
    if measured is None:
        return None
    value, beyond_finding, beyond_watch = measured
    verdict = _verdict(rule, metric, beyond_finding, beyond_watch)
    if verdict == "finding" and rule.comparison == "within_clip" and not _holds_without_one(rule, metric, values):
        verdict = "watch"
    excess = rule.sign * (value - rule.finding)
    return Comparison(
        verdict=verdict,
        value=value,
        excess=excess,
        confidence=-beyond_watch if verdict == "strength" else beyond_finding,
        claim=_claim(metric, beyond_finding) if verdict == "finding" else None,
        severity=_severity(rule, excess) if verdict == "finding" else "low",
    )


def _external(rule: Rule, metric: Metric) -> tuple[float, float, float] | None:
    """The mean, and how many expected errors it lies beyond `finding` and beyond `watch`."""
    if not isinstance(metric.value, float) or not metric.expected_error:
        return None
    value = abs(metric.value) if rule.absolute else metric.value
    error = max(metric.expected_error, rule.tolerance or 0.0)
    watch = rule.finding if rule.watch is None else rule.watch
    return value, rule.sign * (value - rule.finding) / error, rule.sign * (value - watch) / error


def _within_clip(rule: Rule, metric: Metric) -> tuple[float, float, float] | None:
    """The athlete's own spread, and how many expected errors it lies beyond `finding` and beyond `watch`.

    Compared as variances, where the error under the reference is known (chi-square with n - 1 degrees of freedom).
    """
    own = own_spread(metric)
    if own is None or metric.spread is None or metric.rand is None:
        return None

    def beyond(reference: float) -> float:
        expected = reference**2 + (metric.rand or 0.0) ** 2
        return ((metric.spread or 0.0) ** 2 - expected) / (expected * math.sqrt(2 / (metric.n - 1)))

    return own, beyond(rule.finding), beyond(rule.finding if rule.watch is None else rule.watch)


def _holds_without_one(rule: Rule, metric: Metric, values: Sequence[float]) -> bool:
    """Whether the spread is beyond the reference without the repetition that is farthest from the mean."""
    if len(values) < MIN_REPETITIONS:
        return True
    mean = fmean(values)
    rest = sorted(values, key=lambda value: abs(value - mean))[:-1]
    return variance(rest) > rule.finding**2 + (metric.rand or 0.0) ** 2


def _verdict(rule: Rule, metric: Metric, beyond_finding: float, beyond_watch: float) -> Verdict:
    """What may be said, given how many expected errors the number lies beyond the two edges of the reference."""
    watch_from = -1.0 if rule.comparison == "external" else 0.0
    if beyond_finding > 1:
        without_still = rule.reference_kind == "convention" and not metric.evidence.frames
        return "watch" if without_still else "finding"
    if beyond_finding > watch_from or beyond_watch > 0:
        return "watch"
    return "strength" if metric.status == "measurable" and beyond_watch <= -1 else "nothing"


def _claim(metric: Metric, beyond_finding: float) -> Claim:
    """`clear` beyond 2 expected errors, unless the metric is degraded."""
    return "clear" if beyond_finding > 2 and metric.status == "measurable" else "likely"


def _severity(rule: Rule, excess: float) -> Level:
    """The excess in practical steps; a convention alone is never above `medium`."""
    steps = excess / rule.step
    if steps < 1:
        return "low"
    return "medium" if steps < 2 or rule.reference_kind == "convention" else "high"
