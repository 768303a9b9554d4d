"""What two models' results of one clip say differently: findings through `coaching.changes`, metrics as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from inference.extract import Extraction
from models.documents import Metric, Results
from models.requests import Mode
from pipeline.coaching.changes import diff
from pipeline.comparison.agreement import agreement
from pipeline.comparison.documents import AgreementDocument, ComparedClip, NumbersDocument


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One clip by one model: poses and results of its last stage."""

    extraction: Extraction
    results: Results


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """A clip that one model could not do, as where it found nobody."""

    code: str


def compared(name: str, mode: Mode, one: Outcome | Failed, other: Outcome | Failed) -> ComparedClip:
    """One clip, by both; without agreement where the outcomes share no frame or no skeleton."""
    both = (one, other) if isinstance(one, Outcome) and isinstance(other, Outcome) else None
    return ComparedClip(
        name=name,
        mode=mode,
        failed_a=one.code if isinstance(one, Failed) else None,
        failed_b=other.code if isinstance(other, Failed) else None,
        agreement=_agreement(*both) if both else None,
        numbers=numbers(both[0].results.metrics, both[1].results.metrics) if both else None,
        diff=diff(both[0].results, both[1].results) if both else None,
    )


def _agreement(one: Outcome, other: Outcome) -> AgreementDocument | None:
    try:
        return agreement(one.extraction, other.extraction)
    except ValueError:
        return None


def numbers(before: Mapping[str, Metric], after: Mapping[str, Metric]) -> NumbersDocument:
    """Metrics that are numbers, counted by whether they moved further than the larger expected error."""
    names = dict.fromkeys([*before, *after])
    pairs = [(_value(before.get(name)), _value(after.get(name)), _error(before, after, name)) for name in names]
    differences = [(abs(two - one), error) for one, two, error in pairs if one is not None and two is not None]
    ratios = [apart / error for apart, error in differences if error]
    return NumbersDocument(
        compared=len(differences),
        moved=sum(apart > error for apart, error in differences),
        only_a=sum(one is not None and two is None for one, two, _ in pairs),
        only_b=sum(one is None and two is not None for one, two, _ in pairs),
        median_errors=round(median(ratios), 4) if ratios else None,
    )


def _value(metric: Metric | None) -> float | None:
    return None if metric is None or metric.value is None or isinstance(metric.value, str) else float(metric.value)


def _error(before: Mapping[str, Metric], after: Mapping[str, Metric], name: str) -> float:
    found = [metrics[name].expected_error for metrics in (before, after) if name in metrics]
    return max((error for error in found if error is not None), default=0.0)
