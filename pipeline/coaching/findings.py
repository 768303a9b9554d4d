"""Measurements held against rules: findings, watches, strengths, and on what ground they stand."""

from __future__ import annotations

from dataclasses import dataclass

from models.documents import Basis, Claim, Coverage, Finding, Findings, Level, Metric, Watch
from pipeline.biomechanics.metrics.common import described_ids
from pipeline.coaching.compare import Comparison, compare
from pipeline.coaching.quantities import compared_spread, measured, quantity, with_error
from pipeline.coaching.rules import Praise, Rule, RuleSet, load_rules
from pipeline.coaching.speaker import words_for
from pipeline.coaching.words import Words
from pipeline.measurements import Measurements, RecordingIssue

SUFFICIENT_COVERAGE = 0.5
"""For `sufficient`: the share of the mode's own metrics to be measured, and of the view's rules to be compared."""

SEEN_TOO_LITTLE = frozenset({"INSUFFICIENT_POSE_VISIBILITY", "LITTLE_SEEN"})
"""The recording issues that keep the basis below `sufficient` whatever was measured."""

LEVELS: tuple[Level, ...] = ("low", "medium", "high")
CLAIMS: tuple[Claim, ...] = ("likely", "clear")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Judged:
    """A rule that could be compared, and how that came out."""

    rule: Rule
    metric: Metric
    comparison: Comparison

    @property
    def rank(self) -> tuple[int, int, float]:
        """Sorts the worst first: severity, then claim, then practical steps."""
        claim = self.comparison.claim
        steps = self.comparison.excess / self.rule.step
        return -LEVELS.index(self.comparison.severity), -CLAIMS.index(claim) if claim else 0, -steps


def generate_findings(measurements: Measurements, rules: RuleSet | None = None) -> Findings:
    """Hold every metric against the rules of its mode and view; the built-in rules where `rules` is None.

    Where the deep pass found no repetition nothing is compared: what was seen is no delivery, shot, take or pick-up.
    (The quick pass looks for none; it measures posture alone.) Recording findings come first, for they limit the rest;
    then technique and consistency, the worst first; then strengths. Ties keep the rules' order. Raises `DataFileError`
    where a rule's unit is not its metric's.
    """
    rules = load_rules() if rules is None else rules
    words = words_for(measurements)
    applicable = rules.applicable(measurements.mode, measurements.view.value)
    seen = measurements.stage == "quick" or len(measurements.repetitions) > 0
    judged = _judge(measurements, applicable) if seen else []
    faults = sorted((item for item in judged if item.comparison.verdict == "finding"), key=lambda item: item.rank)
    strengths = [item for item in judged if item.comparison.verdict == "strength"]
    watches = [item for item in judged if item.comparison.verdict == "watch"]
    coverage = _coverage(measurements)
    return Findings(
        findings=(
            *(_recording(issue, words) for issue in measurements.recording),
            *(_fault(item, measurements, words) for item in faults),
            *(
                _strength(item, praise, words)
                for item in strengths
                if (praise := item.rule.words(measurements.options.audience).strength) is not None
            ),
        ),
        watches=tuple(_watch(item, measurements, words) for item in watches),
        overall_level=max((item.comparison.severity for item in faults), key=LEVELS.index, default="low"),
        coverage=coverage,
        basis=_basis(measurements, coverage, len(judged), len(applicable)),
        compared=tuple(dict.fromkeys(item.rule.metric for item in judged)),
        rules=rules.label,
        rule_set=rules.document,
    )


def _judge(measurements: Measurements, rules: tuple[Rule, ...]) -> list[_Judged]:
    """Every rule whose metric is there and could be compared."""
    judged = []
    for rule in rules:
        metric = measurements.metrics.get(rule.metric)
        comparison = None if metric is None else compare(rule, metric, _values(rule, measurements))
        if metric is not None and comparison is not None:
            judged.append(_Judged(rule=rule, metric=metric, comparison=comparison))
    return judged


def _values(rule: Rule, measurements: Measurements) -> list[float]:
    """The rule's metric in each repetition in which it was measured."""
    found = [repetition.metrics.get(rule.metric) for repetition in measurements.repetitions]
    return [metric.value for metric in found if metric is not None and isinstance(metric.value, float)]


def _coverage(measurements: Measurements) -> Coverage:
    """Of the mode's own metrics: that somebody walks upright through the picture says nothing about a delivery."""
    described = described_ids(measurements.mode)
    own = [metric for name, metric in measurements.metrics.items() if name not in described]
    return Coverage(measured=sum(metric.status != "not_measurable" for metric in own), applicable=len(own))


def _basis(measurements: Measurements, coverage: Coverage, judged: int, rules: int) -> Basis:
    """`insufficient`: nothing could be compared. `sufficient`: half of the mode's own metrics or more were measured, at
    least half of the view's rules compared, and the athlete was seen well enough. Otherwise `partial`.
    """
    if judged == 0:
        return "insufficient"
    seen = all(issue.id not in SEEN_TOO_LITTLE for issue in measurements.recording)
    measured = coverage.measured >= SUFFICIENT_COVERAGE * coverage.applicable
    return "sufficient" if seen and measured and judged >= SUFFICIENT_COVERAGE * rules else "partial"


def _fault(item: _Judged, measurements: Measurements, words: Words) -> Finding:
    """A technique or consistency finding."""
    said = item.rule.words(measurements.options.audience)
    parts = (said.seen.format(measured=_measured(item, words)), _share(item, measurements, words))
    seen = " ".join(part for part in parts if part)
    return Finding(
        id=item.rule.id,
        type=item.rule.type,
        metric=item.rule.metric,
        title=said.title,
        text=f"{seen} {said.why}",
        seen=seen,
        severity=item.comparison.severity,
        confidence=round(item.comparison.confidence, 2),
        claim=item.comparison.claim,
        reference=_reference(item.rule, words),
        reference_kind=item.rule.reference_kind,
        evidence=item.metric.evidence,
        cue=said.cue,
        drill=said.drill,
    )


def _strength(item: _Judged, praise: Praise, words: Words) -> Finding:
    """Something on the good side of its reference by at least one expected error."""
    return Finding(
        id=item.rule.id,
        type="strength",
        metric=item.rule.metric,
        title=praise.title,
        text=_compared(praise.text, item, words),
        severity="low",
        confidence=round(item.comparison.confidence, 2),
        claim=None,
        reference=_reference(item.rule, words),
        reference_kind=item.rule.reference_kind,
        evidence=item.metric.evidence,
    )


def _watch(item: _Judged, measurements: Measurements, words: Words) -> Watch:
    """Near its reference, and no more than that."""
    return Watch(
        id=item.rule.id,
        metric=item.rule.metric,
        text=_compared(item.rule.words(measurements.options.audience).watch, item, words),
        evidence=item.metric.evidence,
    )


def _recording(issue: RecordingIssue, words: Words) -> Finding:
    """Something about the recording: never raises the level, says what to do next time as its cue."""
    return Finding(
        id=issue.id,
        type="recording",
        metric=None,
        title=words.issue.get(issue.id, issue.id.replace("_", " ").capitalize()),
        text=issue.text,
        severity="low",
        confidence=None,
        claim=None,
        reference=None,
        reference_kind="none",
        cue=issue.advice,
    )


def _compared(text: str, item: _Judged, words: Words) -> str:
    """A watch's or a strength's text, filled in, with what it was held against."""
    reference, kind = _reference(item.rule, words), words.kind[item.rule.reference_kind]
    return words.finding.compared.format(
        text=text.format(measured=_measured(item, words)), reference=reference, kind=kind
    )


def _measured(item: _Judged, words: Words) -> str:
    """The compared number for a reader: a mean with its error, or a spread. Of a size its rule says to which side."""
    metric, comparison = item.metric, item.comparison
    if item.rule.comparison == "within_clip" or metric.expected_error is None:
        return compared_spread(comparison.value, metric, words)
    if item.rule.absolute:
        return with_error(comparison.value, metric.expected_error, metric.unit, words)
    return measured(item.rule.metric, metric, words)


def _reference(rule: Rule, words: Words) -> str:
    """The reference in words, its numbers filled in."""
    watch = "" if rule.watch is None else quantity(rule.watch, rule.unit, words)
    return rule.reference.format(finding=quantity(abs(rule.finding), rule.unit, words), watch=watch)


def _share(item: _Judged, measurements: Measurements, words: Words) -> str:
    """`Past that mark in 5 of 6 deliveries.`; nothing for a spread or a single repetition."""
    values = _values(item.rule, measurements)
    if item.rule.comparison == "within_clip" or len(values) < 2:
        return ""
    sizes = [abs(value) if item.rule.absolute else value for value in values]
    past = sum(item.rule.sign * (size - item.rule.finding) > 0 for size in sizes)
    return words.finding.share.format(k=past, repetitions=words.counted(measurements.mode, len(values)))
