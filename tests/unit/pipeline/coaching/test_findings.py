"""What becomes a finding, a watch or a strength, and on what ground."""

from __future__ import annotations

import pytest

from models.documents import Coverage, Evidence, ViewDocument
from models.requests import AnalysisOptions
from pipeline.coaching.findings import generate_findings
from pipeline.coaching.rules import RuleSet, load_rules
from pipeline.measurements import RecordingIssue

ISSUE = RecordingIssue(id="INSUFFICIENT_POSE_VISIBILITY", text="Seen in 20 % of the frames.", advice="Film nearer.")


def test_a_finding_says_what_was_seen_how_sure_and_what_to_do(make_metric, make_measurements):
    metric = make_metric(-17.0, expected_error=2.0, spread=4.0)  # too varied to praise, not enough to blame
    findings = generate_findings(make_measurements({"head_sideways_contact": metric}))
    (finding,) = findings.findings
    assert (finding.id, finding.type, finding.metric) == (
        "bowling_head_sideways",
        "technique",
        "head_sideways_contact",
    )
    assert (finding.severity, finding.claim, finding.confidence) == ("medium", "clear", 2.5)
    assert finding.text.startswith("Around letting go of the ball, your head was 17 ± 2 % of your height to one side")
    assert "That was past the mark in 6 of 6 deliveries." in finding.text
    assert finding.reference is not None
    assert "12 % of your height" in finding.reference
    assert finding.reference_kind == "convention"
    assert finding.evidence == metric.evidence
    assert finding.cue
    assert finding.drill
    assert findings.overall_level == "medium"
    assert findings.rules == "frontfoot@2"
    assert findings.compared == ("head_sideways_contact",)


def test_the_share_counts_repetitions_past_the_mark(make_metric, make_measurements):
    measured = make_measurements({"head_sideways_contact": make_metric(17.0)})
    values = (18.0, -16.0, 11.0, 20.0, None, 12.5)
    repetitions = tuple(
        repetition.model_copy(update={"metrics": {"head_sideways_contact": make_metric(value)}})
        for repetition, value in zip(measured.repetitions, values, strict=True)
    )
    changed = make_measurements({"head_sideways_contact": make_metric(17.0)}, repetitions=repetitions)
    assert "That was past the mark in 4 of 5 deliveries." in generate_findings(changed).findings[0].text


def test_near_a_reference_is_a_watch_and_counts_for_nothing(make_metric, make_measurements):
    findings = generate_findings(make_measurements({"foot_line_offset": make_metric(10.4)}))
    assert findings.findings == ()
    assert [watch.id for watch in findings.watches] == ["bowling_foot_line"]
    assert "10 ± 1 % of your height" in findings.watches[0].text
    assert findings.overall_level == "low"


def test_a_strength_is_low_and_has_no_claim(make_metric, make_measurements):
    findings = generate_findings(make_measurements({"foot_line_offset": make_metric(2.0)}))
    (strength,) = findings.findings
    assert (strength.type, strength.severity, strength.claim, strength.confidence) == ("strength", "low", None, 8.0)
    assert strength.title == "Feet on one line"


def test_consistency(make_metric, make_measurements):
    metric = make_metric(1.0, spread=8.0, rand=3.0, n=6)
    findings = generate_findings(make_measurements({"head_sideways_contact": metric}))
    by_id = {finding.id: finding for finding in findings.findings}
    assert by_id["bowling_head_repeatability"].type == "consistency"
    assert "varied by 7.4 % of your height" in by_id["bowling_head_repeatability"].text  # √(64 - 9)
    assert by_id["bowling_head_sideways"].type == "strength"


def test_worst_first_then_strengths(make_metric, make_measurements):
    metrics = {
        "foot_line_offset": make_metric(13.0),  # 3 of a step of 5: low
        "head_sideways_contact": make_metric(18.0, spread=1.6),  # 6 of a step of 4: medium
    }
    findings = generate_findings(make_measurements(metrics, recording=(ISSUE,)))
    assert [finding.id for finding in findings.findings] == [
        "INSUFFICIENT_POSE_VISIBILITY",
        "bowling_head_sideways",
        "bowling_foot_line",
        "bowling_head_repeatability",
    ]
    assert [finding.type for finding in findings.findings] == ["recording", "technique", "technique", "strength"]


def test_recording_never_raises_the_level(make_measurements):
    findings = generate_findings(make_measurements({}, recording=(ISSUE,)))
    (finding,) = findings.findings
    assert (finding.type, finding.metric, finding.cue) == ("recording", None, "Film nearer.")
    assert finding.title == "You were seen too little"
    assert (findings.overall_level, findings.basis) == ("low", "insufficient")


def test_an_unknown_issue_gets_a_readable_title(make_measurements):
    issue = RecordingIssue(id="CAMERA_MOVES", text="It moves.", advice="Use a tripod.")
    assert generate_findings(make_measurements({}, recording=(issue,))).findings[0].title == "Camera moves"


@pytest.mark.parametrize("mode", ["batting", "bowling", "wicketkeeping", "fielding"])
@pytest.mark.parametrize("view", ["side", "front", "behind", "other", None])
def test_what_was_not_measured_is_never_a_finding(make_measurements, mode, view):
    where = ViewDocument(value=view, source="caller" if view else "unknown", confidence=1.0)
    findings = generate_findings(make_measurements({}, mode=mode, view=where))
    assert findings.findings == findings.watches == findings.compared == ()
    assert (findings.overall_level, findings.basis) == ("low", "insufficient")


def test_without_a_repetition_nothing_is_compared(make_metric, make_measurements):
    findings = generate_findings(make_measurements({"foot_line_offset": make_metric(30.0)}, repetitions=()))
    assert (findings.findings, findings.basis) == ((), "insufficient")
    assert findings.coverage == Coverage(measured=1, applicable=18)


@pytest.mark.parametrize(("mode", "measured"), [("bowling", 0), ("batting", 0), ("wicketkeeping", 0), ("fielding", 2)])
def test_who_walks_through_the_picture_has_done_nothing_of_the_mode(
    make_metric, make_measurements, metric_ids, mode, measured
):
    walk = {name: make_metric(1.0) for name in ("cadence", "step_length", "travel_speed", "trunk_lean")}
    findings = generate_findings(make_measurements(walk, mode=mode, repetitions=()))
    assert findings.coverage == Coverage(measured=measured, applicable=len(metric_ids[mode]))


def test_walking_does_not_make_a_basis_sufficient(make_metric, make_measurements):
    compared = {"head_sideways_contact": make_metric(1.0), "foot_line_offset": make_metric(1.0)}
    almost = {**compared, **{name: make_metric(1.0) for name in "abcdefghijklm"}}  # 15 of 31
    walk = {name: make_metric(1.0) for name in ("cadence", "step_length", "travel_speed", "trunk_lean")}
    assert generate_findings(make_measurements(almost | walk)).basis == "partial"
    assert generate_findings(make_measurements(almost | {"n": make_metric(1.0)})).basis == "sufficient"


def test_a_rule_holds_only_in_its_views(make_metric, make_measurements):
    side = ViewDocument(value="side", source="caller", confidence=1.0)
    findings = generate_findings(make_measurements({"foot_line_offset": make_metric(30.0)}, view=side))
    assert (findings.findings, findings.basis) == ((), "insufficient")


@pytest.mark.parametrize(
    ("measured", "recording", "basis"),
    [
        (("head_sideways_contact", "foot_line_offset"), (), "partial"),
        (("head_sideways_contact", "foot_line_offset", *"abcdefghijklmnop"), (), "sufficient"),
        (("head_sideways_contact", "foot_line_offset", *"abcdefghijklmnop"), (ISSUE,), "partial"),
        (tuple("abcdefghijklmnopqr"), (), "insufficient"),
    ],
)
def test_basis(make_metric, make_measurements, measured, recording, basis):
    metrics = {name: make_metric(1.0) for name in measured}
    findings = generate_findings(make_measurements(metrics, recording=recording))
    assert findings.basis == basis


def test_the_audience_chooses_the_words(make_metric, make_measurements):
    metrics = {"foot_line_offset": make_metric(30.0)}
    analyst = make_measurements(metrics, options=AnalysisOptions(audience="analyst"))
    (finding,) = generate_findings(analyst).findings
    assert finding.title == "Front foot off the back foot's line of travel"
    assert "30 ± 1 % of height" in finding.text
    (same,) = generate_findings(make_measurements(metrics)).findings
    assert (same.severity, same.claim, same.confidence) == (finding.severity, finding.claim, finding.confidence)


def test_other_rules(make_metric, make_measurements):
    nothing = RuleSet(name="club", version=7, rules={})
    findings = generate_findings(make_measurements({"foot_line_offset": make_metric(30.0)}), nothing)
    assert (findings.findings, findings.rules, findings.basis) == ((), "club@7", "insufficient")


@pytest.mark.parametrize("mode", ["batting", "bowling", "wicketkeeping", "fielding"])
@pytest.mark.parametrize("audience", ["player", "analyst"])
@pytest.mark.parametrize("excess", [20.0, 0.0, -20.0])
def test_every_rule_speaks(make_metric, make_measurements, mode, audience, excess):
    """Each built-in rule, pushed to each outcome, fills all its words in."""
    for rule in load_rules().rules[mode]:
        sign = rule.sign * excess * rule.step
        if rule.comparison == "external":
            value = rule.finding + sign if excess >= 0 or not rule.absolute else 0.0
            metric = make_metric(value, unit=rule.unit, expected_error=rule.step / 4)
        else:
            spread = {20.0: 9 * rule.finding, 0.0: 1.01 * rule.finding, -20.0: 0.01}[excess]
            metric = make_metric(1.0, unit=rule.unit, spread=spread, rand=0.001, expected_error=1.0)
        view = ViewDocument(value=(rule.views or ("side",))[0], source="caller", confidence=1.0)
        options = AnalysisOptions(audience=audience)
        measured = make_measurements({rule.metric: metric}, mode=mode, view=view, options=options)
        only = RuleSet(name="one", version=1, rules={mode: (rule,)})
        findings = generate_findings(measured, only)
        said = [*findings.findings, *findings.watches]
        praised = rule.words(audience).strength is not None
        assert len(said) == (1 if excess >= 0 or praised else 0), rule.id
        for one in said:
            assert "{" not in one.text
        if excess > 0:
            assert findings.findings[0].severity == "medium"  # conventions stop there


def test_no_still_no_convention(make_metric, make_measurements):
    metric = make_metric(30.0, evidence=Evidence())
    findings = generate_findings(make_measurements({"foot_line_offset": metric}))
    assert findings.findings == ()
    assert len(findings.watches) == 1
