"""Rules as data: the built-in ones are sound, and a bad file says where."""

from __future__ import annotations

import pytest

from pipeline.biomechanics.measure import ROOMS
from pipeline.coaching.datafiles import DataFileError
from pipeline.coaching.rules import load_rules

WORDS = 'title = "t"\nseen = "s {measured}"\nwhy = "w"\nwatch = "a"\ncue = "c"\ndrill = "d"\n'
RULE = f"""version = 1
mode = "bowling"

[[rule]]
id = "first"
version = 1
metric = "head_sideways_contact"
unit = "pct_height"
comparison = "external"
direction = "above"
finding = 12
step = 4
reference = "at most {{finding}}"
reference_kind = "convention"

[rule.player]
{WORDS}
[rule.analyst]
{WORDS}"""


@pytest.fixture
def folder(tmp_path):
    """A valid rule set of one rule."""
    (tmp_path / "ruleset.toml").write_text('name = "club"\nversion = 3\n')
    (tmp_path / "bowling.toml").write_text(RULE)
    return tmp_path


def test_built_in_rules_are_about_metrics_of_their_mode(metric_ids):
    rules = load_rules()
    assert rules.label == "frontfoot@2"
    assert set(rules.rules) == set(metric_ids)
    for mode, of_mode in rules.rules.items():
        assert of_mode
        assert {rule.metric for rule in of_mode} <= set(metric_ids[mode])


def test_built_in_rules_are_in_the_units_and_views_of_what_is_measured():
    views = {"side": {"side"}, "along": {"front", "behind"}, "any": {"side", "front", "behind", "other"}}
    for mode, of_mode in load_rules().rules.items():
        specs = {spec.id: spec for spec in ROOMS[mode][0]}
        for rule in of_mode:
            assert rule.unit == specs[rule.metric].unit, rule.id
            assert set(rule.views) <= views[specs[rule.metric].view], rule.id


ALONG, SIDE, ANY = {"front", "behind"}, {"side"}, set()
TABLE = {
    # The coaching conventions that ordinary footage supports: metric, view, what is compared, direction, watch,
    # finding, tolerance. A size is compared where left and right do not matter.
    "bowling": [
        ("head_sideways_contact", ALONG, "size", "above", 8, 12, None),
        ("foot_line_offset", ALONG, "size", "above", None, 10, None),
        ("head_sideways_contact", ALONG, "spread", "above", None, 4, None),
        ("run_up_speed_ratio", SIDE, "value", "below", None, 0.90, None),
        ("stride_length", SIDE, "spread", "above", None, 5, None),
        ("front_knee_min", SIDE, "value", "below", None, 130, 10),
    ],
    "batting": [
        ("head_sideways_plant", ALONG, "size", "above", 6, 10, None),
        ("trunk_lateral_flexion_plant", ALONG, "size", "above", None, 20, 5),
        ("head_steadiness", ALONG, "value", "above", None, 4, None),
        ("head_forward_plant", SIDE, "value", "below", None, -5, None),
        ("head_steadiness", SIDE, "value", "above", None, 5, None),
        ("base_width", SIDE, "value", "below", None, 20, None),
        ("base_width", SIDE, "value", "above", None, 50, None),
    ],
    "wicketkeeping": [
        ("crouch_tilt", ALONG, "size", "above", None, 10, None),
        ("head_steadiness", ANY, "value", "above", None, 3, None),
        ("hand_height_ready", ALONG, "spread", "above", None, 5, None),
        ("crouch_depth", SIDE, "spread", "above", None, 4, None),
    ],
    "fielding": [
        ("head_outside_feet_pick_up", ALONG, "value", "above", None, 10, None),
        ("trunk_lateral_flexion_pick_up", ALONG, "size", "above", None, 25, None),
        ("reach_pick_up", ALONG, "spread", "above", None, 6, None),
        ("hip_height_pick_up", SIDE, "value", "above", None, 45, None),
        ("pick_up_speed_ratio", SIDE, "value", "above", None, 0.85, None),
        ("throw_elbow_height", SIDE, "value", "below", None, -5, None),
    ],
}


@pytest.mark.parametrize("mode", TABLE)
def test_built_in_rules_are_the_conventions_and_no_others(mode):
    def kind(rule):
        return "spread" if rule.comparison == "within_clip" else "size" if rule.absolute else "value"

    rules = [
        (rule.metric, set(rule.views), kind(rule), rule.direction, rule.watch, rule.finding, rule.tolerance)
        for rule in load_rules().rules[mode]
    ]
    assert rules == TABLE[mode]


def test_no_built_in_rule_diagnoses_or_judges_an_action():
    for of_mode in load_rules().rules.values():
        for rule in of_mode:
            said = rule.model_dump_json().lower()
            assert not any(word in said for word in ("injur", "legal", "chuck", "you will", "causes", "must ")), rule.id


def test_built_in_rules_hold_in_every_useful_view_and_call_a_convention_one():
    for mode, of_mode in load_rules().rules.items():
        for view in ("side", "behind"):
            assert load_rules().applicable(mode, view), f"{mode} from {view}: no rule holds"
        assert all(rule.reference_kind == "convention" for rule in of_mode)


def test_rules_of_a_folder(folder):
    rules = load_rules(folder)
    assert rules.label == "club@3"
    assert [rule.id for rule in rules.applicable("bowling", None)] == ["first"]
    assert rules.applicable("batting", "side") == ()


@pytest.mark.parametrize(
    ("before", "after", "line", "what"),
    [
        ("step = 4", "step = 0", 12, "greater than 0"),
        ("step = 4", "step = nan", 12, "finite number"),
        ('direction = "above"', 'direction = "sideways"', 10, "'above' or 'below'"),
        ("version = 1\nmode", 'version = "x"\nmode', 1, "valid integer"),
        ("finding = 12", "finding = 12\nfindings = 3", 12, "Extra inputs"),
        ('why = "w"\nwatch = "a"\ncue = "c"\ndrill = "d"\n\n[rule.analyst]', "[rule.analyst]", 16, "Field required"),
        ('title = "t"', 'title = "{measured}"', 17, "cannot be filled in"),
        ('seen = "s {measured}"', 'seen = "s {measured:.1f}"', 18, "cannot be filled in"),
        ('seen = "s {measured}"', 'seen = "s {measured"', 18, "expected '}'"),
        ("finding = 12", "finding = 12\nwatch = 14", 4, "good side"),
        ('reference = "at most {finding}"', 'reference = "from {watch} on"', 4, "the rule has none"),
        ('"external"', '"within_clip"\nwatch = -1', 4, "above 0"),
        (
            'drill = "d"\n\n[rule.analyst]',
            'drill = "d"\nstrength = { title = "a", text = "b" }\n\n[rule.analyst]',
            4,
            "both",
        ),
        ("mode = ", "mode : ", 2, "Expected '='"),
    ],
)
def test_a_fault_names_its_file_and_line(folder, before, after, line, what):
    path = folder / "bowling.toml"
    assert before in RULE
    path.write_text(RULE.replace(before, after, 1))
    with pytest.raises(DataFileError) as caught:
        load_rules(folder)
    message = str(caught.value)
    assert str(path) in message
    assert f":{line}:" in message or f"line {line}," in message
    assert what in message


def test_the_second_rule_is_found_behind_a_long_string(folder):
    second = RULE.split("\n\n", 1)[1].replace('id = "first"', 'id = "Second"')
    text = RULE.replace('why = "w"', 'why = """\n[[rule]]\nfinding = 1\n"""', 1) + "\n" + second
    (folder / "bowling.toml").write_text(text)
    line = next(number for number, row in enumerate(text.splitlines(), start=1) if row == 'id = "Second"')
    with pytest.raises(DataFileError, match=rf"bowling\.toml:{line}: rule\.1\.id"):
        load_rules(folder)


def test_all_faults_are_reported_at_once(folder):
    (folder / "bowling.toml").write_text(RULE.replace("step = 4", "step = 0").replace("finding = 12", "finding = inf"))
    with pytest.raises(DataFileError) as caught:
        load_rules(folder)
    assert len(str(caught.value).splitlines()) == 2


def test_ids_are_unique_over_all_files(folder):
    (folder / "more.toml").write_text(RULE)
    with pytest.raises(DataFileError, match=r"more\.toml:5: rule\.0\.id: rule first is already in .*bowling\.toml"):
        load_rules(folder)


def test_what_is_not_a_rule_set(tmp_path, folder):
    with pytest.raises(DataFileError, match=r"ruleset\.toml: No such file"):
        load_rules(tmp_path / "nowhere")
    (folder / "bowling.toml").unlink()
    with pytest.raises(DataFileError, match=r"ruleset\.toml:1: no rule in the whole set"):
        load_rules(folder)
    (folder / "bowling.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(DataFileError, match="not UTF-8"):
        load_rules(folder)
