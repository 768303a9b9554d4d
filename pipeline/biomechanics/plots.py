"""The signals behind the metrics, for drawing. Only what was measured."""

from __future__ import annotations

import numpy as np

from models.documents import Metric
from pipeline.biomechanics.errors import Array
from pipeline.biomechanics.metrics.common import find_roll
from pipeline.biomechanics.scene import Scene
from pipeline.measurements import Signal

KNEE_METRICS = (
    "front_knee_angle_contact", "front_knee_min", "front_knee_angle_release", "front_knee_angle_impact",
    "crouch_knee_angle",
)  # fmt: skip
MIN_SAMPLES = 5


def collect_signals(scene: Scene, metrics: dict[str, Metric]) -> tuple[Signal, ...]:
    """Heights, angles and speed over time, in a fixed order; a signal with fewer than 5 samples is left out.

    `Signal.metrics` names those read off it that have a value. Angles are drawn only in the view that shows them,
    and never the far wrist of a side view: it is often hidden, and then drawn on the trunk.
    """
    side, along = scene.view.value == "side", scene.athletes_left is not None
    hips = scene.motion.velocity(scene.motion.point("hips"))
    speed = np.hypot(hips[:, 0], hips[:, 1])
    candidates: list[tuple[str, str, str, Array, tuple[str, ...]]] = [
        ("head_height", "Height of the head", "pct_height",
         scene.height_above_feet("head").values, ("head_steadiness",)),
        ("hip_height", "Height of the hips", "pct_height", scene.height_above_feet("hips").values,
         ("crouch_depth", "hip_height_pick_up")),
        ("hip_speed", "Speed of the hips", "pct_height_per_s", speed,
         ("travel_speed", "run_up_speed", "run_up_speed_ratio", "approach_speed", "pick_up_speed_ratio")),
        ("left_wrist_height", "Height of the left wrist", "pct_height",
         scene.height_above_feet("left_wrist").values, ("hand_height_ready", "release_height")),
        ("right_wrist_height", "Height of the right wrist", "pct_height",
         scene.height_above_feet("right_wrist").values, ("hand_height_ready", "release_height")),
    ]  # fmt: skip
    if side:
        candidates += [
            ("left_knee_angle", "Left knee", "deg", scene.knee("left").values, KNEE_METRICS),
            ("right_knee_angle", "Right knee", "deg", scene.knee("right").values, KNEE_METRICS),
        ]
        if scene.facing:
            lean = scene.facing * (scene.trunk_tilt().values + find_roll(scene).degrees)
            candidates.append(
                ("trunk_lean", "Forward lean of the trunk", "deg", lean, ("trunk_lean", "trunk_flexion_change"))
            )
            apart = np.abs(scene.distance("left_ankle", "right_ankle", 0).values)
            candidates.append(("feet_apart", "Distance between the ankles", "pct_height", apart,
                               ("cadence", "step_length", "stride_length", "base_width")))  # fmt: skip
    if along:
        candidates += [
            ("trunk_tilt", "Sideways tilt of the trunk", "deg", scene.trunk_tilt().values,
             ("trunk_lateral_flexion_release", "trunk_lateral_flexion_plant", "trunk_lateral_flexion_pick_up",
              "crouch_tilt")),
            ("head_sideways", "Head sideways of the feet", "pct_height", scene.distance("head", "feet", 0).values,
             ("head_sideways_contact", "head_sideways_plant", "head_outside_feet_pick_up")),
        ]  # fmt: skip
    far_wrist = {"left": "right_wrist_height", "right": "left_wrist_height"}.get(scene.near or "")
    measured = {name for name, metric in metrics.items() if metric.value is not None}
    return tuple(
        Signal(
            id=name, label=label, unit=unit, times_s=scene.motion.times_s, values=np.round(values, 3),
            metrics=tuple(m for m in readers if m in measured),
        )
        for name, label, unit, values, readers in candidates
        if name != far_wrist and np.sum(~np.isnan(values)) >= MIN_SAMPLES
    )  # fmt: skip
