"""A small version of `benchmarks/science.py findings`: nobody clean is faulted, and no gross fault is missed."""

from __future__ import annotations

import numpy as np
import pytest
from cricketer.catalogue import MODES
from cricketer.steer import Unreachable, closeness, steer, true_value

from benchmarks.verdicts import (
    FAULTS,
    Filming,
    Stated,
    clean_numbers,
    fault_number,
    faults_in,
    judged,
    perform,
    rules_for,
)

GOOD = {
    ("bowling", "side"): {"run_up_speed_ratio": 1.02, "front_knee_min": 165.0, "stride_length": 58.0},
    ("bowling", "behind"): {"head_sideways_contact": 0.0, "foot_line_offset": 1.0},
    ("batting", "side"): {"head_forward_plant": 5.0, "head_steadiness": 1.2, "base_width": 34.0},
    ("batting", "front"): {
        "head_sideways_plant": 1.0, "trunk_lateral_flexion_plant": 4.0, "head_steadiness": 1.0,
    },
    ("wicketkeeping", "side"): {"head_steadiness": 1.0, "hand_height_ready": 18.0, "crouch_depth": 28.0},
    ("wicketkeeping", "front"): {"crouch_tilt": 1.0, "head_steadiness": 1.0, "hand_height_ready": 18.0},
    ("fielding", "side"): {"hip_height_pick_up": 34.0, "pick_up_speed_ratio": 0.6, "throw_elbow_height": 4.0},
    ("fielding", "front"): {
        "head_outside_feet_pick_up": 0.0, "trunk_lateral_flexion_pick_up": 3.0, "reach_pick_up": 12.0,
    },
}  # fmt: skip
GROSS = [
    ("bowling", "side", "bowling_slows_before_crease", 0.65),
    ("bowling", "behind", "bowling_head_sideways", 30.0),
    ("bowling", "behind", "bowling_foot_line", -28.0),
    ("batting", "side", "batting_base_narrow", 6.0),
    ("batting", "front", "batting_trunk_tilt", -45.0),
    ("wicketkeeping", "side", "keeping_head_still", 8.0),
    ("wicketkeeping", "front", "keeping_crouch_tilt", -38.0),
    ("fielding", "side", "fielding_too_fast", 1.0),
    ("fielding", "front", "fielding_head_outside_feet", 28.0),
]


def filming(mode: str, view: str, balls: int = 2) -> Filming:
    return Filming(mode=mode, view=view, fps=60.0, balls=balls, yaw=10.0)


def findings_of(mode: str, view: str, numbers: dict[str, float], balls: int = 2, spread=None):
    """Of the first of three athletes whose body can do that."""
    for athlete in range(3):
        try:
            movements = perform(filming(mode, view, balls), [2026, athlete], numbers, spread)
        except Unreachable:
            continue
        return judged(filming(mode, view, balls), movements, np.random.default_rng([2026, athlete]))
    raise AssertionError(f"no body does {numbers}")


@pytest.mark.parametrize(("mode", "view"), GOOD)
def test_a_clean_athlete_is_judged_and_gets_no_fault(mode, view):
    findings = findings_of(mode, view, GOOD[mode, view])
    assert findings.compared
    assert faults_in(findings) == []


@pytest.mark.parametrize(("mode", "view", "rule", "number"), GROSS)
def test_a_gross_fault_is_found(mode, view, rule, number):
    metric = next(one.metric for one in rules_for(mode, view) if one.id == rule)
    assert rule in faults_in(findings_of(mode, view, {**GOOD[mode, view], metric: number}, balls=1))


def test_hands_in_another_place_every_ball_are_found():
    numbers = GOOD["wicketkeeping", "front"]
    assert faults_in(findings_of("wicketkeeping", "front", numbers, 4, ("hand_height_ready", 12.0))) == [
        "keeping_hands_repeatability"
    ]


def test_every_rule_has_a_fault_of_a_fixed_size_beyond_its_limit():
    rules = {rule.id: rule for mode, views in MODES.items() for view in views for rule in rules_for(mode, view)}
    assert set(FAULTS) == set(rules)
    assert all(rule.sign * (FAULTS[name] - rule.finding) > 0 for name, rule in rules.items())


def test_balls_differ_in_one_metric_by_the_spread_that_was_asked_for():
    movements = perform(filming("wicketkeeping", "side", 6), [5], GOOD["wicketkeeping", "side"], ("crouch_depth", 4.0))
    depths = [true_value(movement, "crouch_depth", "side") for movement in movements]
    assert np.std(depths, ddof=1) == pytest.approx(4.0, abs=0.2)
    assert np.ptp([true_value(movement, "hand_height_ready", "side") for movement in movements]) < 0.4


@pytest.mark.parametrize(("mode", "view"), GOOD)
def test_a_movement_shows_the_numbers_that_were_wanted(mode, view):
    for metric, number in GOOD[mode, view].items():
        movement = steer(mode, view, [3], {metric: number})
        assert true_value(movement, metric, view) == pytest.approx(number, abs=closeness(metric))


def test_a_number_that_stays_0_at_first_is_reached():
    numbers = {"head_outside_feet_pick_up": 0.6, "trunk_lateral_flexion_pick_up": 0.0}
    movement = steer("fielding", "front", [1], numbers)
    assert true_value(movement, "head_outside_feet_pick_up", "front") == pytest.approx(0.6, abs=0.2)


def test_what_no_body_can_do_is_said():
    with pytest.raises(Unreachable):
        steer("fielding", "side", [1], {"hip_height_pick_up": 60.0})


def test_clean_numbers_lie_so_many_errors_inside_and_faults_beyond():
    rules = rules_for("batting", "side")
    stated = {rule.id: Stated(sys=3.0, rand=4.0) for rule in rules}  # √(9 + 16/4) = 3.606 with 4 balls
    error = 13**0.5
    numbers = clean_numbers(rules, stated, 4, 1.0, np.random.default_rng(0))
    assert numbers["head_forward_plant"] == pytest.approx(-5 + error)
    assert numbers["base_width"] in (pytest.approx(20 + error), pytest.approx(50 - error))
    behind = next(rule for rule in rules if rule.id == "batting_head_behind")
    assert fault_number(behind, stated[behind.id], 4, 2.5) == pytest.approx(-5 - 2.5 * error)


def test_a_spread_lies_as_far_beyond_as_the_laws_count():
    rule = next(rule for rule in rules_for("bowling", "side") if rule.id == "bowling_stride_repeatability")
    stated = Stated(sys=6.0, rand=2.0)
    # (25 + 4) · (1 + 2 √(2/5)) is the variance that two errors beyond shows, 4 of it the measurement's own.
    assert stated.spread(rule, 6, 2.0) ** 2 == pytest.approx(29 * (1 + 2 * 0.4**0.5) - 4)
    assert stated.spread(rule, 6, -3.0) == 0
