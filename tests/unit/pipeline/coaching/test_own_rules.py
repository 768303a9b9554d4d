"""A coach's own rules: alone or on top of ours, in one file or a folder, and what is told of a bad one."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from models.requests import OwnRules
from pipeline.biomechanics.measure import ROOMS
from pipeline.coaching.datafiles import DataFileError
from pipeline.coaching.findings import generate_findings
from pipeline.coaching.measured import Measured, measured_in
from pipeline.coaching.rules import load_rules, own_rules, rule_faults, rules_of

WORDS = 'title = "t"\nseen = "s {measured}"\nwhy = "w"\nwatch = "a"\ncue = "c"\ndrill = "d"\n'
NEW = f"""[[rule]]
id = "club_stride"
version = 1
metric = "stride_length"
unit = "pct_height"
views = ["side"]
comparison = "external"
direction = "above"
finding = 90
step = 5
reference = "at most {{finding}}"
reference_kind = "convention"

[rule.player]
{WORDS}
[rule.analyst]
{WORDS}"""
HEAD = 'name = "club"\nversion = 3\n'
EXTENDS = HEAD + 'extends = "frontfoot"\n'
REPLACES = '[[rule]]\nid = "bowling_head_sideways"\nfinding = 14\n'


@pytest.fixture
def read(tmp_path):
    """The set that a text makes, or its faults without the folder's name."""

    def read(text):
        path = tmp_path / "club.toml"
        path.write_text(text)
        try:
            return load_rules(path)
        except DataFileError as error:
            return str(error).replace(f"{tmp_path}/", "").splitlines()

    return read


def ids(rules, mode="bowling"):
    return [rule.id for rule in rules.rules.get(mode, ())]


def test_one_file_stands_alone(read, tmp_path):
    rules = read(f'{HEAD}mode = "bowling"\n{NEW}')
    assert (rules.label, rules.extends, list(rules.rules)) == ("club@3", None, ["bowling"])
    assert ids(rules) == ["club_stride"]
    said = subprocess.run(["sha256sum", tmp_path / "club.toml"], capture_output=True, text=True, check=True).stdout
    assert rules.document.sha256 == said.split()[0]


def test_the_checksum_of_a_folder_is_that_of_its_list(tmp_path):
    (tmp_path / "ruleset.toml").write_text(HEAD)
    (tmp_path / "a.toml").write_text(f'version = 1\nmode = "bowling"\n{NEW}')
    listed = subprocess.run(
        ["sha256sum", "a.toml", "ruleset.toml"], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    assert load_rules(tmp_path).sha256 == hashlib.sha256(listed).hexdigest()


def test_an_own_rule_replaces_what_it_names_and_keeps_the_rest(read):
    ours = {rule.id: rule for rule in load_rules().rules["bowling"]}
    rules = read(f'{EXTENDS}mode = "bowling"\n{REPLACES}\n[rule.player]\ncue = "Tall."\n\n{NEW}')
    assert rules.label == "club@3+frontfoot@2"
    assert ids(rules) == [*ours, "club_stride"]
    assert ids(rules, "batting") == ids(load_rules(), "batting")
    changed, before = rules.rules["bowling"][0], ours["bowling_head_sideways"]
    assert (changed.finding, changed.watch, changed.player.cue) == (14, 8, "Tall.")
    assert changed.model_dump(exclude={"finding", "player"}) == before.model_dump(exclude={"finding", "player"})
    assert changed.player.seen == before.player.seen


def test_the_example_of_the_documentation_is_a_set_of_rules(read):
    text = (Path(__file__).parents[4] / "docs" / "rules.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    rules = read(example)
    changed = next(rule for rule in rules.rules["bowling"] if rule.id == "bowling_head_sideways")
    assert (rules.label, changed.finding) == ("club@3+frontfoot@2", 14)
    assert "bowling_foot_line" not in ids(rules)
    assert "club_stride" in ids(rules)


def test_rules_of_ours_can_be_disabled(read):
    rules = read(f'{EXTENDS}disable = ["bowling_foot_line"]\n')
    assert ids(rules) == [name for name in ids(load_rules()) if name != "bowling_foot_line"]


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("name = club\n", ["club.toml:1: Invalid value (column 8)"]),
        ('name = "club', ["club.toml:1: Unterminated string"]),
        (f'{HEAD}\nmode = "bowling"\n', ["club.toml:1: rule: Field required"]),
        (HEAD, ["club.toml:1: no rule in the whole set"]),
        (f'{HEAD}mode = "juggling"\n{NEW}', ["club.toml:3: mode: Input should be 'batting'"]),
        (f'{HEAD}colour = "red"\nmode = "bowling"\n{NEW}', ["club.toml:3: colour: Extra inputs"]),
        (f'{HEAD}disable = ["x"]\nmode = "bowling"\n{NEW}', ["club.toml:3: disable: nothing is extended"]),
        (f'{EXTENDS}disable = ["nobody"]\n', ["club.toml:4: disable: nobody is no rule of frontfoot"]),
        (f'{HEAD}extends = "rugby"\nmode = "bowling"\n{NEW}', ["club.toml:3: extends: Input should be 'frontfoot'"]),
        ('name = "frontfoot"\nversion = 9\nextends = "frontfoot"\n', ["club.toml:1: name: frontfoot is the built-in"]),
        (
            f'{EXTENDS}mode = "batting"\n{REPLACES}',
            ["club.toml:5: rule.0.metric: batting has no metric head_sideways_contact"],
        ),
        (
            f'{EXTENDS}disable = ["bowling_head_sideways"]\nmode = "bowling"\n{REPLACES}',
            ["club.toml:7: rule.0.id: rule bowling_head_sideways is disabled"],
        ),
        (
            f'{EXTENDS}mode = "bowling"\n{REPLACES}\n{REPLACES}',
            ["club.toml:10: rule.1.id: rule bowling_head_sideways is already in"],
        ),
        (f'{EXTENDS}mode = "bowling"\n{REPLACES}watch = 15\n', ["club.toml:5: rule.0: Value error, watch must lie"]),
        (f'{HEAD}mode = "bowling"\n{NEW}'.replace("stride_length", "stride"), ["club.toml:7: rule.0.metric: bowling"]),
        (
            f'{HEAD}mode = "bowling"\n{NEW}'.replace('"pct_height"', '"deg"'),
            ["club.toml:8: rule.0.unit: stride_length"],
        ),
        (
            f'{HEAD}mode = "bowling"\n{NEW}'.replace('["side"]', '["side", "behind"]'),
            ["club.toml:9: rule.0.views: stride_length cannot be seen from behind, only from side"],
        ),
        (
            f'{HEAD}mode = "bowling"\n{NEW}'.replace("stride_length", "elbow_extension"),
            ["club.toml:7: rule.0.metric: one camera never shows elbow_extension"],
        ),
        (
            f'{HEAD}mode = "bowling"\n{NEW}'.replace("stride_length", "front_knee_class"),
            ["club.toml:7: rule.0.metric: front_knee_class is a class"],
        ),
        (
            f'{HEAD}mode = "bowling"\n{NEW}'.replace('"convention"', '"none"'),
            ["club.toml:4: rule.0: Value error, a rule has a reference"],
        ),
        (
            f'{HEAD}mode = "bowling"\n{NEW}'.replace("version = 1", "version = 0").replace("step = 5", "step = -1"),
            [
                "club.toml:6: rule.0.version: Input should be greater",
                "club.toml:13: rule.0.step: Input should be greater",
            ],
        ),
        (
            f'name = "Club"\nversion = 3\nmode = "bowling"\n{NEW}'.replace("step = 5", "step = 0"),
            ["club.toml:1: name: String should match", "club.toml:13: rule.0.step: Input should be greater"],
        ),
    ],
)
def test_every_fault_is_told_with_its_line(read, text, faults):
    told = read(text)
    assert isinstance(told, list), "this was taken"
    assert len(told) == len(faults), told
    for line, begins in zip(told, faults, strict=True):
        assert line.startswith(begins), told


def test_a_rule_of_ours_is_not_replaced_in_another_mode(read):
    other = REPLACES + 'metric = "base_width"\nviews = ["side"]\n'
    (told,) = read(f'{EXTENDS}mode = "batting"\n{other}')
    assert told == "club.toml:6: rule.0.id: rule bowling_head_sideways of frontfoot is about bowling"


def test_faults_of_all_files_are_told_at_once(tmp_path):
    (tmp_path / "ruleset.toml").write_text('name = "Club"\nversion = 3\n')
    (tmp_path / "a.toml").write_text('version = 1\nmode = "bowling"\n' + NEW.replace("step = 5", "step = 0"))
    (tmp_path / "b.toml").write_text("version = 1\nmode = \n")
    with pytest.raises(DataFileError) as caught:
        load_rules(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/b.toml:2: ")  # nothing else can be checked before it is TOML
    (tmp_path / "b.toml").write_text('version = 1\nmode = "batting"\nrule = 3\n')
    with pytest.raises(DataFileError) as caught:
        load_rules(tmp_path)
    places = [line.split(": ")[0].removeprefix(f"{tmp_path}/") for line in str(caught.value).splitlines()]
    assert places == ["ruleset.toml:1", "a.toml:12", "b.toml:3"]


def test_bytes_that_are_no_text_name_their_line(tmp_path):
    path = tmp_path / "club.toml"
    path.write_bytes(HEAD.encode() + b"# caf\xe9\n")
    with pytest.raises(DataFileError, match=r"club\.toml:3: not UTF-8 text"):
        load_rules(path)


def test_rules_travel_with_a_request_and_come_back_the_same(tmp_path):
    (tmp_path / "ruleset.toml").write_text(EXTENDS)
    (tmp_path / "a.toml").write_text(f'version = 1\nmode = "bowling"\n{REPLACES}')
    asked = own_rules(tmp_path)
    sent = OwnRules.model_validate_json(asked.model_dump_json())
    assert rules_of(sent) == load_rules(tmp_path)
    assert rule_faults(sent) == ()
    assert rules_of(None) is rules_of("frontfoot") is load_rules()


def test_rules_of_more_than_64_kib_do_not_travel(tmp_path):
    path = tmp_path / "club.toml"
    path.write_text(EXTENDS + "#" * 65_536)
    with pytest.raises(DataFileError, match=r"club\.toml: String should have at most 65536"):
        own_rules(path)


def test_the_results_name_the_rules(read, make_metric, make_measurements):
    rules = read(f'{EXTENDS}mode = "bowling"\n{REPLACES}')
    head = {
        "head_sideways_contact": make_metric(13.5, spread=None)
    }  # 1.5 errors past our 12, within one of the club's 14
    assert [one.id for one in generate_findings(make_measurements(head)).findings] == ["bowling_head_sideways"]
    findings = generate_findings(make_measurements(head), rules)
    assert (findings.findings, [one.id for one in findings.watches]) == ((), ["bowling_head_sideways"])
    named = findings.rule_set
    assert (findings.rules, named.name, named.version, named.extends) == (
        "club@3+frontfoot@2",
        "club",
        3,
        "frontfoot@2",
    )
    text = f'{EXTENDS}mode = "bowling"\n{REPLACES}'
    assert named.sha256 == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("mode", ROOMS)
def test_what_rules_may_name_is_what_is_measured(mode):
    views = {spec.id: Measured(unit=spec.unit, view=spec.view) for spec in ROOMS[mode][0] if spec.id != "travel_speed"}
    assert dict(measured_in(mode)) == views, "run: make docs"
