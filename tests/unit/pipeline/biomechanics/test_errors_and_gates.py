import re

import numpy as np
import pytest

from models.documents import ViewDocument
from pipeline.biomechanics import errors, gates
from pipeline.biomechanics.errors import Point, evaluate
from pipeline.biomechanics.kinematics import compute_joint_angle
from pipeline.biomechanics.measure import ROOMS
from pipeline.biomechanics.recording import few_frames


def view(value, source="caller"):
    return ViewDocument(value=value, source=source, confidence=1.0 if value else 0.0)


def test_expected_error_shrinks_only_its_random_part():
    assert errors.expected_error(3.0, 4.0, 1) == pytest.approx(5.0)
    assert errors.expected_error(3.0, 4.0, 16) == pytest.approx(np.sqrt(10.0))
    with pytest.raises(ValueError, match="n is 0"):
        errors.expected_error(3.0, 4.0, 0)


def test_noise_is_carried_through_a_formula_as_an_experiment_finds_it():
    hip, knee, ankle = np.array([0.0, 100.0]), np.array([10.0, 0.0]), np.array([-30.0, -95.0])
    rng, many = np.random.default_rng(1), 40_000
    sigma = 1.5
    noisy = [p + rng.normal(0, sigma, (many, 2)) for p in (hip, knee, ankle)]
    seen = np.ones(1, dtype=bool)
    points = [Point(path=p[None], sigma=sigma, slow=np.full(1, 2.0), trusted=seen) for p in (hip, knee, ankle)]
    series = evaluate(compute_joint_angle, points)
    assert series.rand[0] == pytest.approx(np.std(compute_joint_angle(*noisy)), rel=0.03)
    assert series.slow[0] == pytest.approx(series.rand[0] * 2.0 / sigma, rel=0.01)


@pytest.mark.parametrize(
    ("need", "fps", "status"),
    [
        ("timing", 120, "measurable"), ("timing", 94, "degraded"), ("timing", 47.952, "degraded"),
        ("timing", 30, "not_measurable"), ("contact", 47.952, "measurable"), ("contact", 30, "degraded"),
        ("contact", 23.976, "degraded"), ("contact", 20, "not_measurable"), ("posture", 60, "measurable"),
        ("posture", 24, "degraded"), ("posture", 10, "not_measurable"), ("still", 10, "measurable"),
        ("still", 5, "not_measurable"), ("still", float("nan"), "not_measurable"),
    ],
)  # fmt: skip
def test_the_gates_of_the_frame_rate(need, fps, status):
    assert gates.judge_rate(need, fps).status == status


@pytest.mark.parametrize(
    ("need", "value", "yaw", "status"),
    [
        ("side", "side", 20, "measurable"), ("side", "side", 21, "degraded"), ("side", "side", 36, "not_measurable"),
        ("side", "behind", None, "not_measurable"), ("side", None, None, "not_measurable"),
        ("along", "front", None, "measurable"), ("along", "behind", 80, "measurable"),
        ("along", "side", None, "not_measurable"), ("along", "other", None, "not_measurable"),
        ("any", None, None, "measurable"), ("never", "side", 0, "not_measurable"),
    ],
)  # fmt: skip
def test_the_gates_of_the_view(need, value, yaw, status):
    verdict = gates.judge_view(need, view(value), yaw)
    assert verdict.status == status
    assert status == "measurable" or (verdict.reason and verdict.advice)


@pytest.mark.parametrize(
    ("pixels", "angle", "status"),
    [(119, True, "not_measurable"), (119, False, "degraded"), (120, True, "degraded"), (200, True, "measurable"),
     (float("nan"), True, "not_measurable")],
)  # fmt: skip
def test_the_gates_of_the_athletes_size(pixels, angle, status):
    assert gates.judge_size(pixels, angle=angle).status == status


def test_the_gate_of_the_moment():
    assert [gates.judge_timing(t, 8.0).status for t in (4.0, 4.1, 12.0, 12.1)] == [
        "measurable", "degraded", "degraded", "not_measurable",
    ]  # fmt: skip


def test_the_worst_verdict_wins_and_equals_add_their_reasons():
    one, two = gates.degraded("a", "x."), gates.degraded("b", "x.")
    assert gates.worst(gates.MEASURABLE, one, two, one) == gates.degraded("a; b", "x.")
    assert gates.worst(one, gates.refused("c"), gates.refused("d")) == gates.refused("c")
    assert gates.worst() == gates.MEASURABLE


def test_an_estimated_view_degrades_and_a_given_one_does_not():
    estimated = gates.judge_estimated_view(view("side", "estimate"))
    assert (estimated.status, "--view" in (estimated.advice or "")) == ("degraded", True)
    assert gates.judge_estimated_view(view("side")) == gates.MEASURABLE


@pytest.mark.parametrize("mode", ROOMS)
def test_few_frames_are_said_to_limit_what_the_mode_has(mode):
    """At 30 a second: the numbers named are those that the mode's own metrics ask for."""
    asked = {gates.RATES[spec.rate][0] for spec in ROOMS[mode][0] if spec.view != "never"}
    text = few_frames(mode, 30.0).text
    assert {float(number) for number in re.findall(r"\d+", text)} == {30.0, *(rate for rate in asked if rate > 30)}
    for word, needed in (("release", "bowling"), ("impact", "batting"), ("throw", "fielding")):
        assert (word in text) == (mode == needed)
