"""Numbers for readers."""

from __future__ import annotations

import pytest

from pipeline.coaching.quantities import digits, measured, quantity, with_error
from pipeline.coaching.words import load_words


@pytest.mark.parametrize(
    ("value", "error", "unit", "text"),
    [
        (14.2, 3.1, "pct_height", "14 ± 3 % of height"),
        (-14.2, 0.6, "pct_height", "-14 ± 1 % of height"),
        (14.24, 0.31, "pct_height", "14.2 ± 0.3 % of height"),
        (160.4, 8.2, "deg", "160 ± 8°"),
        (0.871, 0.04, "ratio", "0.87 ± 0.04"),
        (0.8714, 0.0021, "ratio", "0.871 ± 0.002"),
        (0.214, 0.012, "s", "0.21 ± 0.01 s"),
        (5.24, 0.31, "m_per_s", "5.2 ± 0.3 m/s"),
        (112.3, 4.0, "per_min", "112 ± 4 steps/min"),
        (-0.2, 1.0, "deg", "0 ± 1°"),
        (3.0, 0.000001, "count", "3.000 ± 0.000"),
    ],
)
def test_a_number_is_rounded_to_its_error(value, error, unit, text):
    assert with_error(value, error, unit, load_words("analyst")) == text


@pytest.mark.parametrize(("value", "text"), [(12.0, "12°"), (0.9, "0.9°"), (0.85, "0.85°"), (1 / 3, "0.333°")])
def test_a_reference_has_the_decimals_it_needs(value, text):
    assert quantity(value, "deg", load_words("analyst")) == text


def test_digits_knows_no_minus_zero():
    assert [digits(value, 1) for value in (-0.04, -0.06, 0.0, -0.0)] == ["0.0", "-0.1", "0.0", "0.0"]


def test_a_class_is_its_own_word_and_nothing_is_no_number(make_metric):
    words = load_words("player")
    extender = make_metric("extender", unit="class", expected_error=None)
    assert measured("front_knee_class", extender, load_words("analyst")) == "extender"
    assert measured("front_knee_class", extender, words) == "straightens"
    assert measured("shuffles", make_metric(4.0, unit="count", expected_error=None), words) == "4"
    with pytest.raises(ValueError, match="no number"):
        measured("shuffles", make_metric(None), words)


@pytest.mark.parametrize("audience", ["player", "analyst"])
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-5.2, "5 ± 4° backwards"),
        (5.2, "5 ± 4° forwards"),
        (-0.3, "0 ± 4°"),
        (0.3, "0 ± 4°"),
        (-12.0, "12 ± 4° backwards"),
    ],
)
def test_a_lean_has_a_word_and_no_sign(make_metric, audience, value, text):
    metric = make_metric(value, unit="deg", expected_error=4.0)
    assert measured("trunk_lean", metric, load_words(audience)) == text


@pytest.mark.parametrize("value", [3.0, -3.0])
def test_a_number_smaller_than_its_error_has_no_side(make_metric, value):
    metric = make_metric(value, unit="deg", expected_error=4.0)
    assert measured("trunk_lean", metric, load_words("player")) == "3 ± 4° either way"
    assert measured("trunk_lean", metric, load_words("analyst")) == "3 ± 4° (side not resolved)"


def test_lists():
    words = load_words("player")
    assert words.listed(()) == ""
    assert words.listed(("a",)) == "a"
    assert words.listed(("a", "b", "c")) == "a, b and c"
    assert words.listed(("a", "b, most bent", "c")) == "a; b, most bent and c"
    assert (words.counted("bowling", 1), words.counted("fielding", 2)) == ("1 delivery", "2 pick-ups")


def test_both_audiences_know_the_same_things():
    player, analyst = load_words("player"), load_words("analyst")
    for words in (player, analyst):
        assert len(words.unit) == 9
        assert len(words.view) == len(words.mode) == 4
        assert len(words.kind) == 6
        assert set(words.claim) == {"likely", "clear"}
    assert set(player.issue) == set(analyst.issue)
