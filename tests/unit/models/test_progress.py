"""Whether a metric changed from one session to another, by hand."""

from __future__ import annotations

import math

import pytest
import reports

from models.documents import Metric
from models.progress import Session, change_threshold, differences, progress
from models.requests import AnalysisOptions


def metric(value, *, rand=3.0, n=4, sys=8.0, unit="deg", status="measurable"):
    known = None if value is None else math.sqrt(sys**2 + rand**2 / n)
    return Metric(
        value=value, unit=unit, expected_error=known, sys=sys, rand=rand, n=0 if value is None else n, status=status
    )


def results(one=None, **fields):
    made = reports.results(metrics={} if one is None else {"knee": one})
    return made.model_copy(update={"real_fps": 60.0, **fields})


def sessions(*found):
    return [Session(label=str(place), date=None, results=one) for place, one in enumerate(found)]


def overall(*found):
    (followed,) = progress(sessions(*found)).metrics
    return followed.overall


@pytest.mark.parametrize(
    ("one", "two", "threshold"),
    [
        (metric(130, rand=4, n=4), metric(140, rand=6, n=9), 2 * math.sqrt(4 + 4 + 4)),  # 2 degrees anew
        (metric(10, rand=2, n=1, unit="pct_height"), metric(9, rand=2, n=4, unit="pct_height"), 2 * math.sqrt(6)),
        (metric(1, rand=0.3, n=1, sys=0.2, unit="ratio"), metric(1, rand=0.4, n=1, sys=0.1, unit="ratio"),
         2 * math.sqrt(0.09 + 0.16 + 0.04 + 0.01)),
    ],
)  # fmt: skip
def test_what_a_change_must_exceed(one, two, threshold):
    assert change_threshold(one, two) == pytest.approx(threshold)


@pytest.mark.parametrize(("second", "verdict"), [(136.9, "unchanged"), (137.0, "changed"), (123.0, "changed")])
def test_changed_only_beyond_the_noise_of_both(second, verdict):
    one, two = metric(130.0, rand=4, n=4), metric(second, rand=6, n=9)  # threshold 6.928
    step = overall(results(one), results(two))
    assert (step.verdict, step.threshold, step.delta) == (verdict, 6.928, round(second - 130, 3))
    assert step.reasons == ()


def test_what_every_clip_gets_wrong_in_the_same_way_drops_out():
    one, two = (metric(value, sys=50.0, rand=0.0) for value in (130.0, 134.1))
    assert overall(results(one), results(two)).verdict == "changed"  # 2 × 2 degrees of a camera put up anew


def options(hand):
    return AnalysisOptions(handedness=hand)


@pytest.mark.parametrize(
    ("one", "two", "reason"),
    [
        ({}, {}, None),
        ({"off_square_deg": 5.0}, {"off_square_deg": 15.0}, None),
        ({"off_square_deg": 5.0}, {"off_square_deg": 15.1}, "stood 10° elsewhere"),
        ({"off_square_deg": 5.0}, {}, None),
        ({}, {"view": {"value": "behind", "source": "caller", "confidence": 1.0}}, "view differs"),
        ({"view": None}, {"view": None}, "not known (unknown, unknown)"),
        ({}, {"real_fps": 66.0}, None),
        ({}, {"real_fps": 66.1}, "frame rates differ (60, 66.1 a second)"),
        ({"real_fps": None}, {}, "rate is not known"),
        ({"options": options("left")}, {"options": options("right")}, "sides differ"),
        ({"options": options("left")}, {"options": options(None)}, None),
        ({}, {"stage": "quick"}, "quick pass"),
        ({}, {"model": "other"}, "models differ (m, other)"),
    ],
)
def test_sessions_are_compared_only_where_they_were_filmed_and_measured_alike(one, two, reason):
    def session(fields):
        made = results()
        if "model" in fields:
            fields = fields | {"model": made.model.model_copy(update={"name": fields["model"]})}
        if "view" in fields:
            view = fields["view"] or {"value": None, "source": "unknown", "confidence": 0.0}
            fields = fields | {"view": made.view.model_copy(update=view)}
        return made.model_copy(update=fields)

    told = differences(session(one), session(two))
    assert len(told) == (reason is not None)
    assert reason is None or reason in told[0]


def test_gaps_are_bridged_and_said():
    gone = metric(None, status="not_measurable")
    followed = progress(sessions(results(metric(130.0)), results(gone), results(metric(150.0)), results()))
    (knee,) = followed.metrics
    assert [(point.session, point.value) for point in knee.points] == [(0, 130.0), (1, None), (2, 150.0)]
    assert [(step.before, step.after, step.verdict) for step in knee.steps] == [(0, 2, "changed")]
    assert knee.overall == knee.steps[0]


def test_who_is_seen_once_has_no_progress_and_never_none():
    gone = metric(None, status="not_measurable")
    assert overall(results(metric(130.0)), results(gone)) is None
    assert progress(sessions(results(gone), results(gone))).metrics == ()


@pytest.mark.parametrize(
    ("one", "two", "reason"),
    [
        (metric(1.0, unit="deg"), metric(1.0, unit="ratio"), "another unit"),
        (metric("flexor", unit="class"), metric("brace", unit="class"), "a class"),
        (metric(1.0, rand=3.0).model_copy(update={"rand": None}), metric(1.0), "may be off is not known"),
        (metric(1.0, unit="s").model_copy(update={"sys": None}), metric(1.0, unit="s"), "may be off is not known"),
    ],
)
def test_numbers_that_have_no_difference(one, two, reason):
    step = overall(results(one), results(two))
    assert (step.verdict, step.delta) == ("not_comparable", None)
    assert reason in step.reasons[-1]


def test_no_session_and_two_disciplines_are_refused():
    one = results(metric(130.0))
    for found, named in (([one, one.model_copy(update={"mode": "batting"})], "batting, bowling"), ([], "none")):
        with pytest.raises(ValueError, match=f"of one discipline; here are {named}"):
            progress(sessions(*found))


def test_one_session_is_a_beginning():
    followed = progress(sessions(results(metric(130.0))))
    assert [(point.session, point.value) for point in followed.metrics[0].points] == [(0, 130.0)]
    assert (followed.metrics[0].steps, followed.metrics[0].overall) == ((), None)
