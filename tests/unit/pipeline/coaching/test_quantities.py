"""Numbers for readers."""

from __future__ import annotations

import pytest

from pipeline.coaching.quantities import digits, measured, quantity, spread, varied, with_error
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


@pytest.mark.parametrize(
    ("value", "player", "analyst"),
    [
        (-5.2, "5 ± 4° backwards", "-5 ± 4°"),
        (5.2, "5 ± 4° forwards", "5 ± 4°"),
        (-0.3, "0 ± 4°", "0 ± 4°"),
        (0.3, "0 ± 4°", "0 ± 4°"),
        (-12.0, "12 ± 4° backwards", "-12 ± 4°"),
    ],
)
def test_a_side_is_told_in_one_notation(make_metric, value, player, analyst):
    """Words for a player, signs for an analyst."""
    metric = make_metric(value, unit="deg", expected_error=4.0)
    assert measured("trunk_lean", metric, load_words("player")) == player
    assert measured("trunk_lean", metric, load_words("analyst")) == analyst


@pytest.mark.parametrize("value", [3.0, -3.0])
def test_a_number_smaller_than_its_error_has_no_side(make_metric, value):
    metric = make_metric(value, unit="deg", expected_error=4.0)
    assert measured("trunk_lean", metric, load_words("player")) == "3 ± 4° forwards or backwards"


def test_a_ratio_is_told_to_a_player_in_hundredths(make_metric):
    """0.864 ± 0.034 and a mark of 0.9; a body that moved by a third of the way between the feet."""
    ratio = make_metric(0.864, unit="ratio", expected_error=0.034)
    player, analyst = load_words("player"), load_words("analyst")
    assert measured("run_up_speed_ratio", ratio, player) == "86 ± 3 %"
    assert measured("run_up_speed_ratio", ratio, analyst) == "0.86 ± 0.03"
    assert (quantity(0.9, "ratio", player), quantity(0.9, "ratio", analyst)) == ("90 %", "0.9")
    assert (spread(0.043, "ratio", player), spread(0.043, "ratio", analyst)) == ("4.3 %", "0.043")
    shift = make_metric(-0.345, unit="ratio", expected_error=0.132)
    said = "34 ± 13 % of the gap between your feet towards your back foot"
    assert measured("weight_transfer", shift, player) == said
    assert measured("weight_transfer", shift, analyst) == "-0.34 ± 0.13 of the distance between the ankles"


@pytest.mark.parametrize(
    ("sys", "player", "analyst"),
    [
        (0.0, "varied by 5.0 % of your height", "SD 5.0 % of height"),
        (
            3.0,
            "varied by 4.0 to 5.0 % of your height",
            "SD 5.0 % of height, 4.0 if sys varies",
        ),
        (5.0, "varied by 0 to 5.0 % of your height", "SD 5.0 % of height, 0 if sys varies"),
    ],
)
def test_a_spread_says_how_much_of_it_may_be_ours(make_metric, sys, player, analyst):
    """13² = 12² + 5² with a noise of 12; of 5, an error of 3 leaves 4."""
    metric = make_metric(spread=13.0, rand=12.0, sys=sys)
    assert varied(metric, load_words("player")) == player
    assert varied(metric, load_words("analyst")) == analyst


def test_a_spread_of_which_nothing_to_speak_of_is_ours_is_one_number(make_metric):
    said = varied(make_metric(spread=13.0, rand=12.0, sys=0.1), load_words("player"))
    assert "5.0" in said
    assert " to " not in said


def test_a_spread_that_the_noise_explains_is_not_told(make_metric):
    assert varied(make_metric(spread=1.0, rand=2.0), load_words("player")) == ""
    assert varied(make_metric(spread=9.0, n=3), load_words("player")) == ""


def test_words_hold_for_the_mode_and_the_view_and_the_hand():
    words = load_words("player")

    def label(mode, view):
        return words.about(mode, view, hand_given=False).label["head_steadiness"]

    assert label("batting", "side") == "movement of your head against your hips"
    assert label("batting", "front") == label("wicketkeeping", "side") == "movement of your head"
    sides = [words.about("batting", "front", hand_given=given).direction for given in (True, False)]
    assert [one["head_sideways_plant"].minus for one in sides] == ["to the leg side", "to the left of the picture"]


def test_a_wording_may_hold_any_number():
    words = load_words("player")
    for least in ("48", "23.5"):
        said = words.say(f"needs at least {least} real frames a second; there are 15")
        assert said == "too few pictures a second: 15"


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
