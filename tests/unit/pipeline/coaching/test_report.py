"""What a coach reads: honest, complete, the same every time."""

from __future__ import annotations

import locale
import re
from dataclasses import replace

import example_clips
import pytest

from models.documents import Event, ViewDocument
from models.requests import AnalysisOptions
from pipeline.biomechanics.gates import judge_view
from pipeline.coaching.findings import generate_findings
from pipeline.coaching.report import generate_report_text
from pipeline.coaching.words import load_words
from pipeline.measurements import NO_VIDEO, RecordingIssue

BEHIND = "30 real frames a second; 48 are needed for full trust"
CAMERAS = "Several synchronised cameras are needed."
MODES = ["batting", "bowling", "wicketkeeping", "fielding"]


@pytest.fixture
def written(subject):
    """Findings and report of measurements."""

    def write(measurements, **about_subject):
        findings = generate_findings(measurements)
        return generate_report_text(measurements, findings, subject.model_copy(update=about_subject))

    return write


@pytest.fixture
def six_deliveries(make_metric, make_measurements):
    """A full report: something of every kind."""

    def build(**fields):
        metrics = {
            "head_sideways_contact": make_metric(
                17.0, expected_error=2.0, label="head sideways at contact", spread=1.6
            ),
            "foot_line_offset": make_metric(9.5, label="front-foot line", status="degraded", reason=BEHIND),
            "trunk_lateral_flexion_release": make_metric(
                41.0, unit="deg", expected_error=5.0, label="lateral lean at release"
            ),
            "hip_shoulder_separation": make_metric(
                None, unit="deg", status="not_measurable", reason="needs depth", advice=CAMERAS, n=0, spread=None
            ),
            "elbow_extension": make_metric(
                None, unit="deg", status="not_measurable", reason="one camera cannot show it", n=0, spread=None
            ),
        }
        issue = RecordingIssue(id="CAMERA_MOVES", text="the camera moves", advice="Use a tripod")
        return make_measurements(metrics, recording=(issue,), **fields)

    return build


def section(report, name):
    """The section `name`."""
    return next(section for section in report.sections if section.id == name)


def test_a_full_report_has_all_its_parts_in_order(written, six_deliveries):
    report = written(six_deliveries())
    assert [part.id for part in report.sections] == [
        "assessment",
        "strengths",
        "priorities",
        "watches",
        "measured",
        "not_measured",
        "recording",
        "method",
    ]
    assert report.text.startswith(
        "**Overall Assessment**: judged from the 6 deliveries that we found: head position as you let go and foot "
        "line. First thing to work on: Head falls away as you bowl (clear). We measured: 17 ± 2 % of your height to "
        "your non-bowling side. This is part of the picture: 3 of 18 measurements came out. "
    )
    for part in report.sections[1:]:
        assert f"## {part.title}\n\n{part.text}" in report.text


def test_a_priority_says_seen_why_how_known_cue_and_drill(written, six_deliveries):
    text = section(written(six_deliveries()), "priorities").text
    assert text.splitlines() == [
        "### 1. Head falls away as you bowl",
        "",
        "Around letting go of the ball, your head was 17 ± 2 % of your height to one side of the middle of your "
        "feet. That was past the mark in 6 of 6 deliveries. Coaches like the head over the feet here, so that the body "
        "goes towards the batter and not off to the side.",
        "",
        "- How we know: 6 deliveries. Past the mark: clear. The mark: head no more than 12 % of your height to the "
        "side of the feet; from 8 % of your height on worth a look (coaching convention, no study behind it).",
        "- Which way: to your non-bowling side, in 6 of 6 deliveries.",
        "- Think: Eyes level, nose at the target.",
        "- Do: From a standing start, bowl 6 balls at one stump with a friend behind you watching only your head. When "
        "it stays over your feet in 5 of 6, walk in and bowl.",
    ]


def test_numbers_come_with_errors_and_the_degraded_with_their_reason(written, six_deliveries):
    lines = section(written(six_deliveries()), "measured").text.splitlines()
    assert lines[0].startswith(
        "- Sideways lean as you let go: 41 ± 5° to your non-bowling side (6 deliveries, varied by 1.1 to 1.3°). Only "
    )
    assert lines[1] == (
        "- Head position as you let go: 17 ± 2 % of your height to your non-bowling side (6 deliveries, varied by 0 "
        "to 0.6 % of your height). Counted from the middle of your feet."
    )
    assert lines[3] == "Less certain: 30 pictures a second are few for this."
    assert lines[5].startswith("- Foot line: 10 ± 1 % of your height across your body (6 deliveries")


def test_one_line_an_advice_and_the_hopeless_last(written, six_deliveries):
    lines = section(written(six_deliveries()), "not_measured").text.splitlines()
    assert lines[0] == (
        "- Not seen. Film it square-on. That could add: front knee as your foot lands, front knee at its most bent, "
        "front knee as you let go, how your front knee works, front hip as your foot lands and 8 more."
    )
    assert lines[1] == f"- Needs depth. {CAMERAS} That could add: how your hips and shoulders turn."
    assert lines[2] == "- Not measured: how your elbow straightens. One camera cannot show it."


def test_every_section_names_its_metrics(written, six_deliveries, metric_ids):
    report = written(six_deliveries())
    assert section(report, "priorities").metrics == ("head_sideways_contact",)
    assert section(report, "watches").metrics == ("foot_line_offset",)
    named = section(report, "measured").metrics + section(report, "not_measured").metrics
    assert sorted(named) == sorted(metric_ids["bowling"])


def test_at_most_three_priorities_the_rest_by_title(subject, make_metric, make_measurements):
    metrics = {"head_forward_plant": make_metric(-20.0), "head_steadiness": make_metric(9.0)}
    side = ViewDocument(value="side", source="caller", confidence=1.0)
    measured = make_measurements(metrics, mode="batting", view=side)
    findings = generate_findings(measured)
    assert len(findings.findings) == 2
    one, other = findings.findings
    more = findings.model_copy(update={"findings": (one, other, one, other)})
    text = section(generate_report_text(measured, more, subject), "priorities").text
    assert re.findall(r"^### (\d)\. (.+)", text, re.MULTILINE) == [
        ("1", one.title),
        ("2", other.title),
        ("3", one.title),
    ]
    assert text.endswith(f"After that: {other.title}.")


def test_a_claim_without_a_metric_is_refused(subject, make_metric, make_measurements):
    measured = make_measurements({"foot_line_offset": make_metric(30.0)})
    findings = generate_findings(measured)
    bare = findings.findings[0].model_copy(update={"metric": None})
    with pytest.raises(ValueError, match="bowling_foot_line has no metric"):
        generate_report_text(measured, findings.model_copy(update={"findings": (bare,)}), subject)


def test_a_clip_that_shows_nothing_says_so_and_how_to_film(written, make_measurements):
    report = written(make_measurements({}, repetitions=()))
    assert report.text.startswith(
        "**Overall Assessment**: this clip does not let us judge your bowling. We found no delivery in it: there is "
        "none, or we missed it. 0 of 18 measurements for it came out."
    )
    assert [part.id for part in report.sections] == ["assessment", "measured", "not_measured", "recording", "method"]
    assert "Film it square-on." in section(report, "not_measured").text


def test_what_is_only_described_is_named_in_the_assessment(written, make_metric, make_measurements):
    metrics = {"run_up_speed": make_metric(2.1, unit="m_per_s", expected_error=0.2, label="run-up speed", n=3)}
    text = written(make_measurements(metrics, repetitions=())).text
    assert "What it does show: run-up speed 2.1 ± 0.2 m/s." in text
    assert "- Run-up speed: 2.1 ± 0.2 m/s (3 counted)" in text


@pytest.mark.parametrize("audience", ["player", "analyst"])
@pytest.mark.parametrize("mode", MODES)
def test_insufficient_never_praises(written, make_measurements, mode, audience):
    text = written(make_measurements({}, mode=mode, options=AnalysisOptions(audience=audience))).text
    assert text.startswith("**Overall Assessment**: this clip does not let us judge ")
    assert not re.search(r"\b(clean|good|great|well done|fine)\b", text, re.IGNORECASE)


@pytest.mark.parametrize("audience", ["player", "analyst"])
@pytest.mark.parametrize("stage", ["quick", "deep"])
def test_nothing_unfilled_and_no_verdict_on_an_action(written, six_deliveries, audience, stage):
    text = written(six_deliveries(options=AnalysisOptions(audience=audience), stage=stage)).text
    assert not re.search(r"None|nan|\binf\b|[{}]|  |\.\.|illegal|legal|throwing|chuck", text, re.IGNORECASE)
    assert all(line == line.rstrip() for line in text.splitlines())


def test_nothing_past_a_mark_is_said_with_its_limits(written, make_metric, make_measurements):
    text = written(make_measurements({"foot_line_offset": make_metric(1.0)})).text
    assert "Nothing we could compare went past its mark. That says nothing about what the clip does not show." in text
    assert "1 of 18 measurements came out" in text
    near = written(make_measurements({"foot_line_offset": make_metric(10.0)})).text
    assert (
        "Nothing here is likely past a mark. But this came close, so look at it yourself: foot line. "
    ) in near.split("\n")[0]


def test_the_recording_names_whom_it_judged(written, six_deliveries):
    whom = section(written(six_deliveries()), "recording").sentences[0]
    assert [(span.start_s, span.end_s) for span in whom.evidence.spans] == [(1.5, 1.5)]
    alone = section(written(six_deliveries()), "recording").text
    assert "the only person we found, who is marked in the report's first picture" in alone
    assert "We found them in 95 % of the pictures we looked at. In 90 % we saw them well enough to measure." in alone
    assert "pixel" not in alone
    analyst = section(written(six_deliveries(options=AnalysisOptions(audience="analyst"))), "recording").text
    assert "around pixel 35,120 at 1.5 s" in analyst
    assert "- **Camera moves.** The camera moves. Use a tripod." in alone
    two = section(written(six_deliveries(), people=2, confidence=0.4), "recording").text
    assert "We saw 2 people in the video" in two


def test_a_close_call_whom_to_judge_stands_beside_the_first_sentence(written, six_deliveries, make_measurements):
    told, what_to_do = "It was a close call whom to follow, so check first that it is you. ", "mark yourself in the"
    for measured in (six_deliveries(), make_measurements({}, repetitions=())):
        close = written(measured, people=2, confidence=0.4)
        assert close.sections[0].sentences[1].text == told.strip()
        assert what_to_do in section(close, "recording").text
        for sure in ({"confidence": 0.6}, {"confidence": 0.4, "source": "caller"}):
            assert told not in written(measured, people=2, **sure).text
            assert what_to_do not in written(measured, people=2, **sure).text


def test_what_was_found_is_listed_so_that_a_reader_can_count_the_rest(written, make_metric, make_measurements):
    """Key events where they are known, else the beginnings; 0:00, 0:10 … 0:50 in these."""
    measured = make_measurements({"foot_line_offset": make_metric(1.0)})
    one, *others = measured.repetitions
    later = one.model_copy(update={"events": {"release": Event(time_s=62.9, half_width_s=0.03)}})
    report = written(replace(measured, repetitions=(*others, later)))
    assert (
        "- We found 6 deliveries, at 0:10, 0:20, 0:30, 0:40, 0:50 and 1:02. If you see more of them, we "
        "missed those. If one of these is something else, we were wrong."
    ) in section(report, "recording").text
    many = tuple(one.model_copy(update={"index": i}) for i in range(15))
    told = section(written(replace(measured, repetitions=many)), "recording").text
    assert ", 0:00 and 3 more. If" in told
    assert told.count("0:00") == 12
    assert "If you see more" not in section(written(make_measurements({}, repetitions=())), "recording").text


def test_one_repetition_is_no_habit(written, make_metric, make_measurements):
    said = "One delivery may not be like your others."
    measured = make_measurements({"foot_line_offset": make_metric(1.0, n=1, spread=None)})
    assert said in written(replace(measured, repetitions=measured.repetitions[:1])).sections[0].text
    assert said not in written(measured).text


def test_whom_the_caller_pointed_out_is_said(written, six_deliveries):
    """Two reports on two people of one clip differ in whom they judge, and say by whose choice."""
    assert "You pointed that person out." in section(written(six_deliveries(), source="caller"), "recording").text
    assert "You pointed" not in written(six_deliveries()).text


def test_an_advice_that_asks_for_another_place_adds_nothing_also(written, make_measurements, make_metric):
    """Where no repetition was found, one advice goes for all; what the view alone forbids has its own."""
    behind = ViewDocument(value="behind", source="caller", confidence=1.0)
    gate = judge_view("side", behind, None)
    missing = {"status": "not_measurable", "n": 0, "spread": None}
    metrics = {
        "foot_line_offset": make_metric(None, reason="no delivery", advice="Film a whole delivery.", **missing),
        "front_knee_min": make_metric(None, reason="no delivery", advice="Film a whole delivery.", **missing),
        "stride_length": make_metric(None, reason=gate.reason, advice=gate.advice, **missing),
    }
    text = section(written(make_measurements(metrics, view=behind, repetitions=())), "not_measured").text
    assert (
        "Film a whole delivery. That could add: foot line. Filmed from the side, it could also add: front knee at its "
        "most bent."
    ) in text
    assert "Film from the side and tell us so. That could add: last stride." in text


@pytest.mark.parametrize("first", [True, False])
def test_a_rate_is_advised_once(written, six_deliveries, make_metric, make_measurements, *, first):
    """What a missing number or the recording asks for is not asked for above the degraded numbers too."""
    film, turn = "Film at 120 frames a second or more.", "Hold the camera level."
    less = make_metric(9.5, status="degraded", reason=BEHIND, advice=f"{film} {turn}" if first else f"{turn} {film}")
    missing = make_metric(None, status="not_measurable", reason="too slow", advice=film, n=0, spread=None)
    slow = RecordingIssue(id="LOW_FRAME_RATE", text="There are 30 real frames a second.", advice=film)
    told = "Film at 120 pictures a second or more."
    for metrics, issues, where in (
        ({"foot_line_offset": less, "release_height": missing}, (slow,), "not_measured"),
        ({"foot_line_offset": less}, (slow,), "recording"),
        ({"foot_line_offset": less}, (), "measured"),
    ):
        report = written(make_measurements(metrics, recording=issues))
        assert report.text.count(told) == 1
        assert told in section(report, where).text
        assert turn in section(report, "measured").text
        assert "  " not in report.text
        assert ("not counting repeated ones" in report.text) == (not issues)


def test_the_recording_says_from_where(written, six_deliveries, make_measurements):
    views = {
        "as you told us": ViewDocument(value="behind", source="caller", confidence=1.0),
        "our guess": ViewDocument(value="behind", source="estimate", confidence=0.7),
        "We do not know from which side": ViewDocument(value=None, source="unknown", confidence=0.0),
    }
    for words, view in views.items():
        assert words in section(written(six_deliveries(view=view)), "recording").text
    unknown = RecordingIssue(id="VIEW_UNKNOWN", text="Nobody knows from where", advice="Say so")
    said = section(written(make_measurements({}, view=view, recording=(unknown,))), "recording").text
    assert "Nobody knows from where" in said
    assert "We do not know" not in said


def test_byte_for_byte_the_same_in_every_locale(written, six_deliveries):
    first = written(six_deliveries()).model_dump_json()
    known = locale.setlocale(locale.LC_NUMERIC)
    available = [name for name in ("de_DE.UTF-8", "C.UTF-8") if _has(name)]
    try:
        for name in available:
            locale.setlocale(locale.LC_NUMERIC, name)
            assert written(six_deliveries()).model_dump_json() == first
    finally:
        locale.setlocale(locale.LC_NUMERIC, known)
    assert available


def _has(name):
    """Whether this machine knows the locale."""
    known = locale.setlocale(locale.LC_NUMERIC)
    try:
        locale.setlocale(locale.LC_NUMERIC, name)
    except locale.Error:
        return False
    locale.setlocale(locale.LC_NUMERIC, known)
    return True


def test_the_quick_look_does_not_miss_what_it_did_not_look_for(written, make_metric, make_measurements):
    nothing = written(make_measurements({}, stage="quick", repetitions=())).text
    assert "does not let us judge your bowling. This is only the quick look" in nothing
    assert "could not find" not in nothing
    assert "follows" not in nothing, "a quick-only job has no full look"
    metrics = {"crouch_tilt": make_metric(30.0, unit="deg", label="Crouch tilt")}
    posture = make_measurements(metrics, mode="wicketkeeping", stage="quick", repetitions=())
    assert written(posture).text.startswith(
        "**Overall Assessment**: judged from a quick look: sideways lean in the crouch. "
    )


def test_a_single_sample_is_not_counted_and_a_spread_the_noise_explains_is_not_told(
    written, make_metric, make_measurements
):
    metrics = {
        "run_up_speed": make_metric(2.1, unit="m_per_s", expected_error=0.2, n=1, spread=None),
        "stride_length": make_metric(80.0, n=5, spread=1.0, rand=2.0),
    }
    lines = section(written(make_measurements(metrics, repetitions=())), "measured").text.splitlines()
    assert lines[0].startswith("- Run-up speed: 2.1 ± 0.2 m/s. ")
    assert lines[1] == "- Last stride: 80 ± 1 % of your height (5 counted)."


def test_what_could_not_be_compared_is_said_when_repetitions_were_found(written, make_metric, make_measurements):
    names = ("run_up_speed", "stride_length", "base", "a", "b")
    metrics = {name: make_metric(20.0, label=name.upper()) for name in names}
    text = section(written(make_measurements(metrics)), "assessment").text
    assert "We found 6 deliveries, but could not measure anything well enough to compare it." in text
    assert "run-up speed 20 ± 1" in text
    assert text.count("±") == 4


def test_a_finding_of_the_quick_look_says_on_how_little_it_stands(written, make_metric, make_measurements):
    metrics = {"crouch_tilt": make_metric(30.0, unit="deg", n=1, spread=None)}
    report = written(make_measurements(metrics, mode="wicketkeeping", stage="quick", repetitions=()))
    assert (
        "- How we know: one stretch of the clip. Past the mark: clear. The mark: " in section(report, "priorities").text
    )


def test_a_strength_names_its_mark(written, make_metric, make_measurements):
    text = section(written(make_measurements({"foot_line_offset": make_metric(1.0)})), "strengths").text
    assert text == (
        "- **Feet on one line.** Your front foot landed close to the line of your back foot (1 ± 1 % of your height). "
        "The mark: front foot within 10 % of your height of the back foot's line of travel (coaching convention, no "
        "study behind it)."
    )


@pytest.mark.parametrize("name", example_clips.reports())
def test_the_reports_that_a_reviewer_reads_whole(name):
    """After a change of words: `PYTHONPATH=. python tests/support/example_clips.py`, and read what changed."""
    kept = (example_clips.FOLDER / name).read_text(encoding="utf-8")
    assert example_clips.reports()[name] == kept


def test_what_repeats_and_what_one_clip_would_add_are_in_the_opening():
    """Foot line: values 1.9 to 2.6 with a noise of 0.5; head: 10.8 to 19.3. The side would add 12 of the missing 15."""
    opening = example_clips.reports()["bowling-behind-30-player.md"].split("\n")[0]
    assert "We measured: 17 ± 3 % of your height to your non-bowling side" in opening  # (17.2 + … + 19.3) / 6 = 16.6
    assert (
        "Most repeatable: foot line (less certain). From delivery to delivery, it varied by less than we can measure."
        in opening
    )
    assert "Not judged: front knee as your foot lands, front knee at its most bent, " in opening
    assert "and 8 more. One clip from the side could add them. Film at 120 pictures a second (on most phones" in opening
    assert "lean" not in opening, "described, not judged"


def test_what_was_seen_in_some_shots_only_says_in_how_many():
    opening = example_clips.reports()["batting-side-60-analyst.md"].split("\n")[0]
    assert "judged from the 5 shots found: head forward of the feet at front-foot plant (4 of 5), " in opening
    assert "One clip from the front or behind at 120 frames/s or more" in opening


@pytest.mark.parametrize(("status", "label"), [("measurable", "foot line"), ("degraded", "foot line (less certain)")])
def test_what_repeats_best_says_where_its_number_is_degraded(written, make_metric, make_measurements, status, label):
    metrics = {
        "head_sideways_contact": make_metric(1.0, spread=6.0, rand=0.5),
        "foot_line_offset": make_metric(1.0, spread=1.0, rand=0.5, status=status, reason=BEHIND),
    }
    said = f"Most repeatable: {label}. From delivery to delivery, it varied by 0.3 to 0.9 % of your height."
    assert said in section(written(make_measurements(metrics)), "assessment").text  # 1 - 0.25 = 0.87², less 0.8²: 0.33²


def test_a_consistency_finding_says_how_much_of_it_may_be_ours(written, make_metric, make_measurements):
    """9² - 1.5² = 8.87²; without 3² as well: 8.35²."""
    varies = {"head_sideways_contact": make_metric(0.5, spread=9.0, sys=3.0)}
    measured = make_measurements(varies)
    text = section(written(measured), "priorities").text
    assert "your head position around letting go varied by 8.4 to 8.9 % of your height." in text
    assert "8.9 % of your height" not in text.replace("8.4 to 8.9", "")  # never the most alone
    analyst = written(replace(measured, options=AnalysisOptions(audience="analyst")))
    assert "- How much of it is the athlete's: SD 8.9 % of height, 8.4 if sys varies." in analyst.text


def test_the_head_is_forward_in_one_notation_and_steady_against_something(written, make_metric, make_measurements):
    side = ViewDocument(value="side", source="caller", confidence=1.0)

    def told(forward):
        metrics = {"head_forward_plant": make_metric(forward), "head_steadiness": make_metric(1.0)}
        return written(make_measurements(metrics, mode="batting", view=side))

    behind = told(-12.0)
    assert "your head was 12 ± 1 % of your height behind the middle of your feet." in behind.text
    assert "-12" not in behind.text
    assert "Which way" not in behind.text, "the sentence says it already"
    assert "your head was 8 ± 1 % of your height in front of the middle of your feet." in told(8.0).text
    praise = section(behind, "strengths").text
    assert praise.startswith("- **Head and hips move as one.** ")
    assert "your head went with them: this does not show it." in praise
    assert "movement of your head against your hips" in behind.sections[0].text


def test_poses_alone_send_nobody_to_a_video_that_is_not_there(written, six_deliveries):
    """A reader of that report was told "check it against the pictures" beside "there are no pictures"."""
    measured = six_deliveries()
    without = replace(measured, recording=(*measured.recording, NO_VIDEO))
    assert "Check it against the pictures." in section(written(measured), "method").text
    assert "Check it against the pictures." not in written(without).text
    assert "of the video" not in section(written(without), "recording").text


@pytest.mark.parametrize(
    ("height_m", "said"),
    [
        (1.64, "10 % of your height is 16 cm, as you told us that you are 164 cm tall."),
        (None, "We do not know how tall you are. If you are 150 cm tall, 10 % of your height is 15 cm."),
    ],
)
def test_a_player_can_lay_a_tape_to_a_part_of_their_height(written, six_deliveries, height_m, said):
    measured = six_deliveries()
    told = replace(measured, options=measured.options.model_copy(update={"height_m": height_m}))
    assert f"- {said}\n" in section(written(told), "method").text
    analyst = replace(told, options=told.options.model_copy(update={"audience": "analyst"}))
    assert " cm" not in written(analyst).text
    angles = {name: one for name, one in told.metrics.items() if one.unit == "deg"}
    assert " cm" not in section(written(replace(told, metrics=angles)), "method").text


def test_a_less_certain_number_is_never_clear_and_the_player_reads_why(written, six_deliveries):
    assert "A less certain number is never “clear”." in section(written(six_deliveries()), "method").text


def test_the_computer_mixes_up_sides_and_not_the_player():
    said = load_words("player").say("30 pictures; left and right were exchanged in 5 % of the frames")
    assert said == "30 pictures; the computer mixed up your left and right in 5 % of the pictures"


def test_what_likely_means_holds_for_a_spread_too(written, make_measurements, make_metric):
    """A spread has no number after ±, and a close call is none in the words of the claims."""
    spread = make_metric(9.0, spread=9.0, rand=0.7, n=5)
    report = written(make_measurements({"head_sideways_contact": spread}))
    assert "±" not in section(report, "priorities").text.split("How we know")[0]
    assert "“Likely” means past the mark by more than we may be off." in section(report, "method").text
    near = written(make_measurements({"foot_line_offset": make_metric(10.0)}))
    assert "Nothing here is likely past a mark. But this came close" in near.sections[0].text
    assert "clearly" not in near.text


def test_a_narrow_stance_is_the_athletes_own():
    said = load_words("player").say("the feet were too close together at stance")
    assert said == "your feet were too close together in the stance"
