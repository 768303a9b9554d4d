"""Wicketkeeping: the crouch and the readiness of hands and head. Described; posture alone is no fault."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.biomechanics import errors
from pipeline.biomechanics.events.wicketkeeping import READY_S, Crouch, find_crouches
from pipeline.biomechanics.gates import refused
from pipeline.biomechanics.metrics import common
from pipeline.biomechanics.metrics.batting import compute_stray
from pipeline.biomechanics.metrics.footwork import NO_RISE, compute_footwork, find_footwork, to_events
from pipeline.biomechanics.readings import Found, ModeOutcome, Outcome, Spec, read_over
from pipeline.biomechanics.scene import Scene

NO_EFFECT = "J Hum Mov Stud 2006 51:181 (posture had no effect on the next movement)"
SPECS: tuple[Spec, ...] = (
    Spec(
        id="crouch_knee_angle",
        sided=True,
        label="Knee in the crouch",
        unit="deg",
        view="side",
        rate="still",
        static=True,
        angle=True,
        method="median hip-knee-ankle angle of the near leg over the crouch, 180 = straight",
        source=NO_EFFECT,
    ),
    Spec(
        id="crouch_hip_angle",
        sided=True,
        label="Hip in the crouch",
        unit="deg",
        view="side",
        rate="still",
        static=True,
        angle=True,
        method="median angle of trunk and near thigh over the crouch, 180 = straight",
        source=NO_EFFECT,
    ),
    Spec(
        id="crouch_depth",
        label="Height of the hips in the crouch",
        unit="pct_height",
        view="any",
        rate="still",
        static=True,
        method="mid-hips above the ground, median over the crouch",
        source=NO_EFFECT,
    ),
    Spec(
        id="crouch_tilt",
        label="Sideways tilt in the crouch",
        unit="deg",
        view="along",
        rate="still",
        static=True,
        angle=True,
        method="mid-hips to mid-shoulders against the vertical, median over the crouch; positive to the keeper's left",
    ),
    Spec(
        id="hand_height_ready",
        label="Height of the hands when ready",
        unit="pct_height",
        view="any",
        view_decides=True,
        rate="still",
        method="middle of the wrists (from the side the near one) above the ground, median over the last 0.5 s before "
        "the rise",
    ),
    Spec(
        id="head_steadiness",
        label="Steadiness of the head before the rise",
        unit="pct_height",
        view="any",
        rate="still",
        method="RMS of the head about its mean over the last 0.5 s before the rise",
    ),
    Spec(
        id="lateral_steps",
        sided=True,
        label="Sideways steps",
        unit="count",
        view="along",
        rate="contact",
        method="feet that come down at least 6 % of height beside their last place, from the rise to the take "
        "(else to 1.5 s after the rise)",
    ),
    Spec(
        id="shuffles",
        sided=True,
        label="Shuffles",
        unit="count",
        view="along",
        rate="contact",
        method="pairs of sideways steps the same way, one foot after the other, the feet never crossing",
    ),
    *common.DESCRIPTIVE,
)

CROUCH_LEAN = 40.0
"""Degrees forward in a usual crouch: what of it a camera off the pitch shows sideways."""
NEAR_UNKNOWN = refused(
    "which side is nearer to the camera is not clear", "Film square to the pitch and give that view."
)
NO_CROUCH = refused(
    "no crouch found in this clip: the hips never stay low and in one place for 0.4 s",
    "Film the keeper from before the crouch until after the take, the whole body in the picture.",
)


def measure_wicketkeeping(scene: Scene) -> ModeOutcome:
    """Find the crouches and read every metric in each."""
    found = tuple(_measure_crouch(scene, crouch) for crouch in find_crouches(scene))
    return ModeOutcome(found=found, whole_clip=common.measure_gait(scene), missing=NO_CROUCH)


def _measure_crouch(scene: Scene, crouch: Crouch) -> Found:
    moves = find_footwork(scene, crouch)
    outcomes: dict[str, Outcome] = {
        "crouch_knee_angle": compute_crouch_knee(scene, crouch),
        "crouch_hip_angle": compute_crouch_hip(scene, crouch),
        "crouch_depth": compute_crouch_depth(scene, crouch),
        "crouch_tilt": compute_crouch_tilt(scene, crouch),
        "hand_height_ready": compute_hand_height_ready(scene, crouch),
        "head_steadiness": compute_head_steadiness(scene, crouch),
        **compute_footwork(scene, crouch, moves),
    }
    last = crouch.events.get("take")
    return Found(
        start_s=crouch.start_s, end_s=last.time_s if last else crouch.end_s, events=crouch.events,
        steps=to_events(scene, moves), outcomes=outcomes,
    )  # fmt: skip


def compute_crouch_knee(scene: Scene, crouch: Crouch) -> Outcome:
    """Knee of the leg towards the camera in the crouch, degrees, 0..180, 180 = straight; side.

    Formula: median of the angle hip-knee-ankle. Not known which leg is nearer, or seen in under 60 % of it: none. sys:
    at least 8° (`errors.KNEE_SYS`).
    """
    if scene.near is None:
        return refused("which leg is nearer to the camera is not clear", "Film square to the pitch and give that view.")
    span = (crouch.start_s, crouch.end_s)
    return read_over(scene.motion, scene.knee(scene.near, "posture"), span, errors.KNEE_SYS, "in the crouch")


def compute_crouch_hip(scene: Scene, crouch: Crouch) -> Outcome:
    """Trunk against the near thigh in the crouch, degrees, 0..180.

    Formula: median of the angle mid-shoulders, hip, knee; side. Not known which leg is nearer: none. sys: at least
    20.8° (`errors.OTHER_ANGLE_SYS`).
    """
    if scene.near is None:
        return refused("which leg is nearer to the camera is not clear", "Film square to the pitch and give that view.")
    span = (crouch.start_s, crouch.end_s)
    return read_over(scene.motion, scene.hip(scene.near, "posture"), span, errors.OTHER_ANGLE_SYS, "in the crouch")


def compute_crouch_depth(scene: Scene, crouch: Crouch) -> Outcome:
    """Mid-hips above the ground in the crouch, % of height, 10..42; any view.

    Formula: median of hips above the lower ankle + 3.9 % (ankle height, Drillis and Contini). Seen in under 60 % of it:
    none. sys: at least 2 % a keypoint and 3 % of stature.
    """
    height = scene.height_above_feet("hips")
    span, value = (crouch.start_s, crouch.end_s), float(np.nan_to_num(np.nanmedian(height.values)))
    sys, camera = scene.offset_sys(value, 2, 1), scene.scale_sys(value)
    return read_over(scene.motion, height, span, sys, "in the crouch", camera=camera)


def compute_crouch_tilt(scene: Scene, crouch: Crouch) -> Outcome:
    """Sideways tilt of the trunk in the crouch, degrees, -90..90, positive to the keeper's left; front or behind.

    Formula: median of atan2(Δx, Δy) of mid-hips to mid-shoulders. Seen in under 60 % of it: none. sys: at least 4.4°
    and 2° of the camera's roll (Sports Biomech 2022).
    """
    tilt = scene.trunk_tilt()
    turned = replace(tilt, values=(scene.athletes_left or 1) * tilt.values)
    camera = errors.combine(errors.ROLL_SYS, errors.along_tilt_sys(CROUCH_LEAN))
    sys = errors.combine(errors.LATERAL_TILT_SYS, camera)
    span = (crouch.start_s, crouch.end_s)
    return read_over(scene.motion, turned, span, sys, "in the crouch", camera=camera)


def compute_hand_height_ready(scene: Scene, crouch: Crouch) -> Outcome:
    """Middle of the wrists above the ground, median over the last 0.5 s before the rise, % of height, 0..60; any view.

    Formula: median of wrists above the lower ankle + 3.9 %; from the side that of the near wrist alone, for the model
    draws the far one on the trunk. No rise, or not known which hand is nearer: none. sys: at least 2 % a keypoint and
    3 % of stature.
    """
    ready = _ready(scene, crouch)
    if ready is None:
        return NO_RISE
    side = scene.view.value == "side"
    if side and scene.near is None:
        return NEAR_UNKNOWN
    sys, camera = scene.offset_sys(20.0, 1 if side else 2, 1), scene.scale_sys(20.0)
    height = scene.height_above_feet(f"{scene.near}_wrist" if side else "hands")
    return read_over(scene.motion, height, ready, sys, "before the rise", camera=camera)


def compute_head_steadiness(scene: Scene, crouch: Crouch) -> Outcome:
    """RMS of the head about its mean over the last 0.5 s before the rise, % of height, 0..20; any view.

    Formula: √(var x + var y), the white noise taken out. No rise: none. sys: 1 %, the displacement of one keypoint.
    """
    ready = _ready(scene, crouch)
    return NO_RISE if ready is None else compute_stray(scene, "head", None, ready, "before the rise")


def _ready(scene: Scene, crouch: Crouch) -> tuple[float, float] | None:
    rise = crouch.events.get("rise")
    return None if rise is None else (max(crouch.start_s, rise.time_s - READY_S * scene.motion.slowmo), rise.time_s)
