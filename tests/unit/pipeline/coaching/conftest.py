"""Measurements built by hand: every id of a mode is there, and a test says only what it is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import sqrt
from typing import Any

import pytest

from models.documents import Evidence, Metric, Repetition, SubjectDocument, ViewDocument
from models.requests import AnalysisOptions, Mode
from pipeline.measurements import Measurements

METRICS: dict[Mode, tuple[str, ...]] = {
    "bowling": (
        "front_knee_angle_contact",
        "front_knee_min",
        "front_knee_angle_release",
        "front_knee_class",
        "trunk_lateral_flexion_release",
        "front_hip_flexion_contact",
        "trunk_flexion_change",
        "bowling_arm_angle_contact",
        "run_up_speed",
        "run_up_speed_ratio",
        "stride_length",
        "release_height",
        "delivery_time",
        "head_sideways_contact",
        "foot_line_offset",
        "elbow_extension",
        "shoulder_counter_rotation",
        "hip_shoulder_separation",
    ),
    "batting": (
        "head_sideways_plant",
        "head_forward_plant",
        "head_forward_impact",
        "head_steadiness",
        "trunk_lateral_flexion_plant",
        "plant_before_impact",
        "front_knee_angle_impact",
        "lead_elbow_angle_impact",
        "base_width",
        "weight_transfer",
        "x_factor",
    ),
    "wicketkeeping": (
        "crouch_knee_angle",
        "crouch_hip_angle",
        "crouch_depth",
        "crouch_tilt",
        "hand_height_ready",
        "head_steadiness",
        "lateral_steps",
        "shuffles",
    ),
    "fielding": (
        "first_step_length",
        "second_step_length",
        "step_length",
        "cadence",
        "approach_speed",
        "pick_up_speed_ratio",
        "hip_height_pick_up",
        "head_outside_feet_pick_up",
        "trunk_lateral_flexion_pick_up",
        "reach_pick_up",
        "throw_elbow_height",
    ),
}
"""The ids that apply to each mode."""

MISSING = Metric(value=None, unit="deg", status="not_measurable", reason="not seen", advice="Film it square-on.")


def a_metric(value: float | str | None = 14.0, **fields: Any) -> Metric:
    """A measurable metric of 14 ± 1 % of height from 6 repetitions, with a still; `fields` change it."""
    known: dict[str, Any] = {
        "unit": "pct_height",
        "expected_error": 1.0,
        "sys": 0.8,
        "rand": 1.5,
        "status": "measurable",
        "n": 6,
        "spread": 2.0,
        "evidence": Evidence(frames=(40,), times_s=(1.5,)),
    }
    return Metric(value=value, **(known | fields))


def _in_one(metric: Metric, index: int) -> Metric:
    """Repetitions alternate about the mean, with the metric's spread as the SD of the six."""
    if not isinstance(metric.value, float) or metric.spread is None:
        return metric
    return metric.model_copy(update={"value": metric.value + (-1) ** index * sqrt(5 / 6) * metric.spread})


def measurements_with(metrics: dict[str, Metric], *, mode: Mode = "bowling", **fields: Any) -> Measurements:
    """A deep pass seen from behind with 6 repetitions, where all that is not in `metrics` is missing."""
    every = {name: metrics.get(name, MISSING) for name in METRICS[mode]} | metrics
    repetitions = tuple(
        Repetition(
            index=index,
            start_s=index * 10.0,
            end_s=index * 10.0 + 4,
            metrics={name: _in_one(metric, index) for name, metric in metrics.items() if metric.value is not None},
        )
        for index in range(6)
    )
    base = Measurements(
        mode=mode,
        stage="deep",
        view=ViewDocument(value="behind", source="caller", confidence=1.0),
        options=AnalysisOptions(),
        metrics=every,
        repetitions=repetitions,
        signals=(),
        recording=(),
        real_fps=30.0,
        visible_share=0.9,
    )
    return replace(base, **fields)


@pytest.fixture
def subject() -> SubjectDocument:
    """The only person of a clip."""
    return SubjectDocument(
        source="automatic", confidence=0.9, people=1, visible_share=0.95, box=(10.0, 20.0, 60.0, 220.0), time_s=1.5
    )


@pytest.fixture
def make_metric() -> Callable[..., Metric]:
    """`a_metric`."""
    return a_metric


@pytest.fixture
def make_measurements() -> Callable[..., Measurements]:
    """`measurements_with`."""
    return measurements_with


@pytest.fixture
def metric_ids() -> dict[Mode, tuple[str, ...]]:
    """The ids that apply to each mode."""
    return METRICS
