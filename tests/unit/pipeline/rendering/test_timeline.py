import pytest
import reports

from models.documents import Evidence, Repetition
from pipeline.rendering.encode import Piece
from pipeline.rendering.timeline import comparison_of, look_at, timeline_of

POSES = reports.poses([number / 10 for number in range(101)])


def bounds(spans):
    return [(pytest.approx(span.start_s), pytest.approx(span.end_s)) for span in spans]


def test_evidence_is_what_was_judged_in_order_and_apart():
    strip = timeline_of(reports.results(), POSES, ())
    assert (strip.start_s, strip.end_s) == (0.0, 10.0)
    assert bounds(strip.evidence) == [(0.1, 0.52)], "spans and moments that touch are one"
    assert strip.unshown == ()


def test_without_anything_judged_it_is_what_was_measured():
    strip = timeline_of(reports.results(findings=[], watches=[]), POSES, ())
    assert bounds(strip.evidence) == [(0.1, 0.6)]


def test_what_the_video_leaves_out_is_said():
    pieces = [Piece(start_s=2.0, end_s=3.0, shown_s=0.0), Piece(start_s=3.1, end_s=9.9, shown_s=1.1)]
    assert bounds(timeline_of(reports.results(), POSES, pieces).unshown) == [(0.0, 2.0)]


def test_percent_stays_on_the_strip():
    strip = timeline_of(reports.results(), POSES, ())
    assert [strip.percent(time_s) for time_s in (-1, 0, 2.5, 11)] == [0, 0, 25, 100]


def test_moments_to_look_at_are_different():
    assert look_at(Evidence(times_s=(3.0, 1.0, 3.0, 2.0, 5.0))) == (3.0, 1.0, 2.0, 5.0)
    assert look_at(reports.evidence(spans=[(1.0, 2.0)])) == (1.5,)
    assert look_at(Evidence()) == ()


def test_fewer_than_two_repetitions_are_not_compared():
    assert not comparison_of(reports.results(), POSES, {})
    bare = [Repetition(index=index, start_s=index, end_s=index + 1) for index in range(2)]
    assert not comparison_of(reports.results(repetitions=bare), POSES, {})
