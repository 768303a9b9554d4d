import pytest
import reports

from models.documents import Event, Evidence, Repetition
from pipeline.rendering.moments import evidence_rows, moment_at, moments, overlay_spans

MINUTE = [second / 2 for second in range(121)]


def bounds(spans):
    return [(pytest.approx(span.start_s), pytest.approx(span.end_s)) for span in spans]


def repetition(start, end, **events):
    return Repetition(
        index=0,
        start_s=start,
        end_s=end,
        events={name: Event(time_s=time_s, half_width_s=0.02) for name, time_s in events.items()},
    )


def test_evidence_frames_are_found_by_index_in_their_own_order_and_once():
    poses = reports.poses([0.0, 0.1, 0.2, 0.3], indices=[0, 3, 6, 9])
    assert evidence_rows(Evidence(frames=(9, 3, 3, 0)), poses) == (3, 1, 0)


def test_evidence_without_frames_shows_times_or_the_middle_of_spans():
    poses = reports.poses([0.0, 0.1, 0.2, 0.3])
    assert evidence_rows(Evidence(times_s=(0.29,)), poses) == (3,)
    assert evidence_rows(reports.evidence(spans=[(0.0, 0.2)]), poses) == (1,)
    assert evidence_rows(Evidence(), poses) == ()


def test_events_are_lettered_in_time_and_named_when_near():
    document = reports.results(repetitions=[repetition(0, 2, release=1.5, front_foot_contact=1.3)])
    events = moments(document)
    assert [(event.letter, event.name) for event in events] == [("a", "front_foot_contact"), ("b", "release")]
    assert moment_at(events, 1.39) == "front_foot_contact"
    assert moment_at(events, 1.41) == "release"
    assert moment_at(events, 1.7) is None


def test_short_clips_are_shown_whole():
    poses = reports.poses(MINUTE)
    assert bounds(overlay_spans(reports.results(), poses, 60.0)) == [(0.0, 60.0)]


def test_long_clips_are_cut_to_evidence_then_repetitions_within_the_limit():
    finding = reports.FINDING.model_copy(update={"evidence": reports.evidence(30.0)})
    document = reports.results(
        findings=[finding], watches=[], repetitions=[repetition(10, 12), repetition(30.5, 33), repetition(40, 58)]
    )
    spans = overlay_spans(document, reports.poses(MINUTE), 10.0)
    assert bounds(spans) == [(9.5, 12.5), (29.0, 33.5)]


def test_windows_stay_within_the_clip():
    document = reports.results(findings=[], watches=[], repetitions=[repetition(0.2, 2), repetition(59, 60)])
    assert bounds(overlay_spans(document, reports.poses(MINUTE), 10.0)) == [(0.0, 2.5), (58.5, 60.0)]


def test_long_clips_without_evidence_show_the_first_seconds_with_the_athlete():
    document = reports.results(findings=[], watches=[], repetitions=[])
    poses = reports.poses(MINUTE, unseen=range(10))
    assert bounds(overlay_spans(document, poses, 10.0)) == [(5.0, 15.0)]
