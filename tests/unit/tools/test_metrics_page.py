"""docs/metrics.md: complete, and what the code says."""

from __future__ import annotations

import re

import pytest

from pipeline.biomechanics.filming import is_filmable
from pipeline.biomechanics.measure import ROOMS
from pipeline.coaching.rules import load_rules
from tools.metrics_page import PAGE, build_page, docstring_of, floor_of, main

SPECS = [(mode, spec) for mode, (specs, _) in ROOMS.items() for spec in specs]


def test_the_committed_page_is_what_the_code_says(monkeypatch, capsys, tmp_path):
    assert PAGE.read_text(encoding="utf-8") == build_page(), "run: make docs"
    monkeypatch.setattr("sys.argv", ["metrics_page", "--check"])
    assert main() == 0
    changed = tmp_path / "metrics.md"
    changed.write_text(build_page() + "more\n", encoding="utf-8")
    monkeypatch.setattr("tools.metrics_page.PAGE", changed)
    assert main() == 1
    assert "make docs" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["metrics_page"])
    assert main() == 0
    assert changed.read_text(encoding="utf-8") == build_page()


def test_every_metric_and_every_rule_is_on_it():
    page = build_page()
    by_metric = dict(re.findall(r"^`(\w+)`, (`\w+`\..*?)(?=^###|^##|\Z)", page, re.MULTILINE | re.DOTALL))
    for _, spec in SPECS:
        entry = by_metric[spec.id]
        assert f"### {spec.label}\n" in page
        for fact in (
            ("source: ", "view: ", "rate: ", "film it: ", "floor of the error (sys): ") if is_filmable(spec) else ()
        ):
            assert f"\n- {fact}" in entry, (spec.id, fact)
        assert is_filmable(spec) or "Never measured: " in entry
    for rules in load_rules().rules.values():
        for rule in rules:
            assert f"- rule `{rule.id}`: " in page
            assert rule.reference_kind in page


def test_the_advice_is_what_the_gates_ask_for():
    page = build_page()
    assert "| measurable | film square-on (or along the pitch" in page
    assert "at 120 frames a second or more, whole body in frame and at least 200 pixels tall" in page
    assert "| timing | 95 | 48 | 120 |" in page
    assert "| still | 10 | – | 30 |" in page
    assert re.search(r"`delivery_time`.*?film it: at 120 frames a second or more, whole body in frame", page, re.DOTALL)


@pytest.mark.parametrize(("mode", "spec"), SPECS, ids=[f"{mode}-{spec.id}" for mode, spec in SPECS])
def test_the_docstring_of_what_computes_a_metric_is_complete(mode, spec):
    """Formula, range, the edge rule (when there is none) and what is known of its error."""
    if not is_filmable(spec):
        return
    text = " ".join(docstring_of(mode, spec).split())
    assert "Formula: " in text
    assert re.search(r"-?\d+\.\.\d+", text), "its range"
    assert re.search(r"\bnone\b|not measured|degrade", text), "its edge rule"
    assert floor_of(text)


def test_what_is_not_documented_is_no_page(monkeypatch):
    with pytest.raises(LookupError, match="nothing about sys"):
        floor_of("Height of something. Formula: up.")
    unknown = SPECS[0][1].__class__(id="bat_speed", label="Bat speed", unit="m_per_s", method="guessed")
    with pytest.raises(LookupError, match="no documented function computes bat_speed"):
        docstring_of("batting", unknown)
