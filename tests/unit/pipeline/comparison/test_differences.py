"""Numbers, totals and policies of a comparison, by hand."""

from __future__ import annotations

import pytest
import reports
from comparing import POSES, exchanged, extraction

from models.documents import Metric
from pipeline.comparison.differences import Failed, Outcome, compared, numbers
from pipeline.comparison.documents import ComparisonDocument, RoundDocument, totals


def metrics(**values: float | None) -> dict[str, Metric]:
    return {
        name: Metric(value=value, unit="deg", status="measurable", expected_error=2.0) for name, value in values.items()
    }


def one_round(model: str, seconds: float, peak_mib: float) -> RoundDocument:
    return RoundDocument(model=model, seconds=seconds, frames=100, peak_mib=peak_mib)


def comparison() -> ComparisonDocument:
    same = Outcome(extraction=extraction(POSES), results=reports.results())
    other = Outcome(extraction=extraction(exchanged(slice(10, 13))), results=reports.results(findings=()))
    return ComparisonDocument(
        a="net@1",
        b="net@2",
        code_version="1",
        clips=(
            compared("one", "bowling", same, other),
            compared("two", "bowling", same, Failed(code="no_person")),
            compared("three", "bowling", Failed(code="no_person"), same),
        ),
        rounds=(
            one_round("net@1", 10, 100),
            one_round("net@2", 20, 150),
            one_round("net@1", 10, 100),
            one_round("net@2", 20, 150),
        ),
    )


def test_metrics_are_counted_against_their_expected_errors():
    counted = numbers(metrics(a=10, b=10, c=10, d=None), metrics(a=11, b=13, c=None, d=5))
    assert (counted.compared, counted.moved, counted.only_a, counted.only_b) == (2, 1, 1, 1)
    assert counted.median_errors == 1.0  # of 0.5 and 1.5


def test_totals_are_those_of_the_clips():
    found = totals(comparison())
    assert (found.clips, found.failures, found.flips) == (1, 1, 1)
    assert (found.found_ratio, found.speed_ratio, found.memory_ratio) == (1.0, 0.5, 1.5)
    assert found.mirrored_more == pytest.approx(3 / 30)
    assert found.moved_share == 0.0
