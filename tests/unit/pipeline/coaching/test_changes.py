"""The difference between two results, by hand."""

from __future__ import annotations

import pytest
import reports

from models.documents import Metric, Watch
from pipeline.coaching.changes import diff


def knee(value, **fields):
    known = {"unit": "deg", "status": "measurable", "expected_error": 8.0}
    return {"knee": Metric(value=value, **(known | fields))}


def test_findings_come_go_and_change():
    low = reports.FINDING.model_copy(update={"id": "stays"})
    worse = low.model_copy(update={"severity": "high", "claim": "clear"})
    gone, new = (reports.FINDING.model_copy(update={"id": name}) for name in ("gone", "new"))
    before = reports.results(findings=(low, gone))
    change = diff(before, reports.results(findings=(worse, new)))
    assert [item.id for item in change.added] == ["new"]
    assert [item.id for item in change.gone] == ["gone"]
    assert [(item.before.severity, item.after.severity, item.after.claim) for item in change.changed] == [
        ("medium", "high", "clear")
    ]
    assert not change.empty
    assert diff(before, before).empty


def test_a_watch_that_becomes_a_finding_is_a_change():
    finding = reports.FINDING.model_copy(update={"id": "knee"})
    watch = Watch(id="knee", metric="front_knee_min", text="near")
    change = diff(reports.results(findings=(), watches=(watch,)), reports.results(findings=(finding,), watches=()))
    assert (change.added, change.gone) == ((), ())
    assert [(item.before.kind, item.after.kind) for item in change.changed] == [("watch", "technique")]
    assert (change.level_before, change.level_after) == ("low", "medium")


def test_other_words_alone_are_no_change():
    other = reports.FINDING.model_copy(update={"text": "Other words.", "title": "Other", "confidence": 9.0})
    assert diff(reports.results(), reports.results(findings=(other,))).empty


def test_the_same_recording_issue_twice_is_counted_twice():
    issue = reports.FINDING.model_copy(update={"id": "LITTLE_SEEN", "type": "recording"})
    change = diff(reports.results(findings=(issue,)), reports.results(findings=(issue, issue)))
    assert [item.id for item in change.added] == ["LITTLE_SEEN"]


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        (knee(130.0), knee(138.0), False),  # just as far as it may be off
        (knee(130.0), knee(138.1), True),
        (knee(130.0), knee(121.9), True),
        (knee(130.0, expected_error=2.0), knee(137.0), False),  # within the larger error
        (knee(130.0), knee(None, status="not_measurable", expected_error=None), True),
        (knee(None, status="not_measurable"), knee(None, status="not_measurable"), False),
        (knee(130.0), {}, True),
        ({}, knee(None, status="not_measurable"), False),
        (knee(130.0), knee(130.0, unit="ratio"), True),
        (knee("flexor", unit="class"), knee("flexor", unit="class"), False),
        (knee("flexor", unit="class"), knee("extender", unit="class"), True),
        (knee(130.0, expected_error=None), knee(130.0, expected_error=None), False),
    ],
)
def test_a_metric_has_moved_beyond_its_own_error(before, after, moved):
    change = diff(reports.results(metrics=before), reports.results(metrics=after))
    assert [item.metric for item in change.moved] == (["knee"] if moved else [])
