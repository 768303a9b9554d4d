"""Fielding: the approach, the pick-up and the throw, one pure function a metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.documents import Event
from pipeline.biomechanics import errors
from pipeline.biomechanics.errors import Array
from pipeline.biomechanics.events.fielding import PickUp, find_pick_ups
from pipeline.biomechanics.gates import Verdict, refused
from pipeline.biomechanics.metrics import common
from pipeline.biomechanics.readings import (
    MIN_COVERED,
    Found,
    ModeOutcome,
    Outcome,
    Reading,
    Spec,
    evidence_at,
    evidence_over,
    read_over,
)
from pipeline.biomechanics.scene import Scene
from pipeline.biomechanics.steps import Step

LOCKIE = "Lockie 2014 J Sports Sci Med 13:128 (no norms: described)"
SPECS: tuple[Spec, ...] = (
    Spec(
        id="first_step_length",
        sided=True,
        label="First step",
        unit="pct_height",
        view="side",
        rate="gait",
        method="way of the foot that leaves first, from standing to its contact, along the run",
        source=LOCKIE,
    ),
    Spec(
        id="second_step_length",
        sided=True,
        label="Second step",
        unit="pct_height",
        view="side",
        rate="gait",
        method="distance between the ankles of the first and the second contact, along the run",
        source=LOCKIE,
    ),
    common.STEP_LENGTH,
    common.CADENCE,
    Spec(
        id="approach_speed",
        label="Approach speed",
        unit="m_per_s",
        view="side",
        rate="gait",
        method="slope of the hips' way over up to the last 5 steps before the pick-up; metres by the given height",
    ),
    Spec(
        id="pick_up_speed_ratio",
        label="Speed kept at the pick-up",
        unit="ratio",
        view="side",
        rate="gait",
        method="hip speed over pick-up ± 0.15 s / fastest hip speed of the approach over ± 0.3 s",
    ),
    Spec(
        id="hip_height_pick_up",
        label="Height of the hips at the pick-up",
        unit="pct_height",
        view="side",
        rate="posture",
        method="mid-hips above the ground, median over pick-up ± 0.1 s",
    ),
    Spec(
        id="head_outside_feet_pick_up",
        label="Head outside the feet at the pick-up",
        unit="pct_height",
        view="along",
        rate="posture",
        method="distance of the head sideways beyond the nearer foot, 0 between the feet, median over pick-up ± 0.1 s",
    ),
    Spec(
        id="trunk_lateral_flexion_pick_up",
        label="Sideways lean of the trunk at the pick-up",
        unit="deg",
        view="along",
        rate="posture",
        angle=True,
        method="mid-hips to mid-shoulders against the vertical, median over pick-up ± 0.1 s; "
        "positive to the fielder's left",
        source="Sports Biomech 2022, 10.1080/14763141.2022.2137425 (for the error)",
    ),
    Spec(
        id="reach_pick_up",
        sided=True,
        label="Hand from the nearer foot at the pick-up",
        unit="pct_height",
        view="along",
        rate="posture",
        method="sideways distance of the picking hand's wrist from the nearer ankle, median over pick-up ± 0.1 s",
    ),
    Spec(
        id="throw_elbow_height",
        sided=True,
        label="Elbow against the shoulder at the throw",
        unit="pct_height",
        view="side",
        rate="posture",
        method="elbow above the shoulder of the throwing arm, median over the throw ± 0.05 s",
    ),
    common.TRAVEL_SPEED,
    common.TRUNK_LEAN,
)

WINDOW_S = 0.1
SPEED_WINDOW_S = 0.15
HEAD_AHEAD = 30.0
"""% of height by which the head is ahead of the nearer foot: what of it a camera off the pitch shows sideways."""
HAND_AHEAD = 25.0
"""The same of the hand, which picks up before the foot beside it or as far behind."""
TRUNK, TRUNK_SHOWN = 0.288, 0.5
"""Mid-hips to mid-shoulders / stature (Drillis and Contini 1966), and the share of it below which it points at the
camera."""
RATIO_MAX = 1.1
"""Who is faster still at the pick-up was not seen on the approach, or fell."""
APPROACH_S = 5.0
STANDING = 35.0
"""% of height per second."""
STANDING_S = 0.2
NO_APPROACH = refused("fewer than two steps of an approach were seen",
                      "Film from the side with the whole approach in the picture.")  # fmt: skip
NO_START = refused("the start from standing was not seen", "Start filming before the fielder moves.")
NO_FEET = refused(
    "the feet were not both seen at the start, so which step was the first is not known",
    "Keep both feet in the picture and unobstructed.",
)
POINTS_AT_CAMERA = refused(
    "the trunk points towards the camera or away from it, which hides its tilt", "Film the pick-up from the side too."
)
NO_THROW = refused("no throw was found after the pick-up", "Keep filming until after the throw.")
NO_PICK_UP = refused(
    "no pick-up found in this clip: no hand near the ground with the hips down",
    "Film the whole approach, pick-up and throw, with the whole fielder in the picture.",
)


def measure_fielding(scene: Scene) -> ModeOutcome:
    """Find the pick-ups and read every metric in each; steps and speed are those of the whole clip."""
    pick_ups = find_pick_ups(scene)
    starts = [_start_of(scene, pick_ups[:place], one) for place, one in enumerate(pick_ups)]
    return ModeOutcome(
        found=tuple(_measure_pick_up(scene, one, start) for one, start in zip(pick_ups, starts, strict=True)),
        whole_clip=common.measure_gait(scene), missing=NO_PICK_UP,
        hands=tuple((pick_up.throwing, 1.0) for pick_up in pick_ups if pick_up.throwing),
    )  # fmt: skip


def _start_of(scene: Scene, before: Sequence[PickUp], pick_up: PickUp) -> float:
    """Clip seconds from which on the approach is looked for: the steps up to the pick-up or the throw before it belong
    to that one, and who walks back between them would seem to approach slowly.
    """
    motion, moment = scene.motion, pick_up.events["pick_up"].time_s
    others = (event.time_s for one in before for event in one.events.values() if event.time_s < moment)
    return max(float(motion.times_s[0]), moment - APPROACH_S * motion.slowmo, *others)


def _measure_pick_up(scene: Scene, pick_up: PickUp, start: float) -> Found:
    motion, moment = scene.motion, pick_up.events["pick_up"]
    approach = tuple(s for s in scene.steps if start <= s.time_s <= moment.time_s)
    outcomes: dict[str, Outcome] = {
        **compute_first_steps(scene, approach, start),
        "approach_speed": compute_approach_speed(scene, approach, moment),
        "pick_up_speed_ratio": compute_pick_up_speed_ratio(scene, moment, start),
        "hip_height_pick_up": compute_hip_height(scene, moment),
        "head_outside_feet_pick_up": compute_head_outside_feet(scene, moment),
        "trunk_lateral_flexion_pick_up": compute_trunk_lateral_flexion(scene, moment),
        "reach_pick_up": compute_reach(scene, pick_up),
        "throw_elbow_height": compute_throw_elbow_height(scene, pick_up),
    }
    last = pick_up.events.get("throw_release") or moment
    return Found(
        start_s=approach[0].time_s if approach else max(start, moment.time_s - motion.slowmo),
        end_s=min(last.time_s + 0.3 * motion.slowmo, float(motion.times_s[-1])), events=pick_up.events,
        steps=tuple(Event(time_s=s.time_s, half_width_s=s.half_width_s) for s in approach), outcomes=outcomes,
    )  # fmt: skip


def _around(scene: Scene, event: Event, half_s: float = WINDOW_S) -> tuple[float, float]:
    half = max(half_s * scene.motion.slowmo, scene.motion.frame_s)
    return event.time_s - half, event.time_s + half


def compute_first_steps(scene: Scene, approach: tuple[Step, ...], start_s: float) -> dict[str, Outcome]:
    """Lengths of the first two steps out of standing, % of height, 0..120; side.

    Formula: way from the ankle's place while standing to its first contact; from there to the other ankle's. Less than
    0.2 s of standing (hips under 35 % of height/s) before, a foot that was not seen in 60 % of the time from there to
    the first contact, or a moving camera: none. sys: at least 5.75 % (Sports Biomech 2022, stride) and what camera and
    line leave in doubt. Source: Lockie 2014.
    """
    names = ("first_step_length", "second_step_length")
    if scene.camera_moves:
        return dict.fromkeys(names, common.CAMERA_MOVES)
    if len(approach) < 2:
        return dict.fromkeys(names, NO_APPROACH)
    motion = scene.motion
    speed = np.abs(motion.velocity(motion.point("hips"))[:, 0])
    window = motion.window(start_s, approach[0].time_s)
    slow = window[speed[window] < STANDING]
    if len(slow) < max(3, STANDING_S * motion.fps):
        return dict.fromkeys(names, NO_START)
    first, second = approach[:2]
    setting_off = motion.window(motion.times_s[slow[0]], first.time_s)
    if np.mean(motion.point("feet").trusted[setting_off]) < MIN_COVERED:
        return dict.fromkeys(names, NO_FEET)
    foot = motion.point(f"{first.side}_ankle")
    landed = (first.index, float(foot.path[first.index, 0]))
    standing = (int(slow[len(slow) // 2]), float(np.median(foot.path[slow, 0])))
    lengths = {"first_step_length": (common.gap_between(scene, standing, landed), first)}
    if second.side != first.side:
        other = motion.point(f"{second.side}_ankle")
        place = (second.index, float(other.path[second.index, 0]))
        lengths["second_step_length"] = (common.gap_between(scene, landed, place), second)
    out: dict[str, Outcome] = dict.fromkeys(names, refused("the feet of the first two steps could not be told apart"))
    for name, (gap, step) in lengths.items():
        value = scene.facing * gap
        if np.isfinite(value) and value > 0:
            out[name] = Reading(
                value=value, sys=errors.combine(errors.STRIDE_SYS, common.way_sys(scene, landed[1]) * value),
                rand=float(foot.sigma * np.sqrt(2) / motion.stature[step.index] * 100),
                evidence=evidence_at(motion, step.index, first.index),
            )  # fmt: skip
    return out


def compute_approach_speed(scene: Scene, approach: tuple[Step, ...], moment: Event) -> Outcome:
    """Speed of mid-hips over up to the last 5 steps before the pick-up, metres per second, 0..11; side.

    Formula: slope of the hips' way in heights × the given height, over `common.compute_speed_over_steps`; the steps
    up to the pick-up or throw before it are none of its approach. Without a given height, with fewer than 2 steps or a
    moving camera: none. sys: at least 1 % of height over the span, 3 % of stature, and what camera and line leave in
    doubt.
    """
    if scene.options.height_m is None:
        return refused("metres need the athlete's height", "Give the athlete's height (--height).")
    if scene.camera_moves:
        return common.CAMERA_MOVES
    if len(approach) < 2:
        return NO_APPROACH
    reading = common.compute_speed_over_steps(scene, approach, moment.time_s)
    return common.to_metres(reading, scene.options.height_m)


def compute_pick_up_speed_ratio(scene: Scene, moment: Event, start_s: float) -> Outcome:
    """Hip speed around the pick-up / fastest of the approach, 0..1.1; side. The stature drops out.

    Formula: slope of the hips' way over pick-up ± 0.15 s / largest such slope over ± 0.3 s before it: the largest of
    many short, noisy ones would be the noise's. No running approach, a ratio above 1.1 or a moving camera: none. sys:
    at least 1 % of height of displacement in each window, and 3 % of scale.
    """
    if scene.camera_moves:
        return common.CAMERA_MOVES
    motion, half = scene.motion, SPEED_WINDOW_S * scene.motion.slowmo
    at_pick_up = common.compute_speed_between(scene, moment.time_s - half, moment.time_s + half)
    if isinstance(at_pick_up, Verdict):
        return at_pick_up
    fastest: tuple[Reading, float] | None = None
    for centre in np.arange(moment.time_s - 2 * half, start_s + 2 * half, -half):
        speed = common.compute_speed_between(scene, float(centre) - 2 * half, float(centre) + 2 * half)
        if isinstance(speed, Reading) and (fastest is None or float(speed.value) > float(fastest[0].value)):
            fastest = speed, float(centre)
    if fastest is None or float(fastest[0].value) < 2 * STANDING:
        return refused("no running approach was seen before the pick-up", "Film the whole approach from the side.")
    peak, now = float(fastest[0].value), float(at_pick_up.value)
    if now > RATIO_MAX * peak:
        return refused("no approach faster than the pick-up itself was seen", "Film the whole approach from the side.")
    drifts = [
        max(errors.DISPLACEMENT_SYS / (2 * width / motion.slowmo), common.slope_drift(motion, at - width, at + width))
        for at, width in ((moment.time_s, half), (fastest[1], 2 * half))
    ]
    scale = np.sqrt(2) * errors.LOCAL_SCALE_SYS * now / peak
    return Reading(
        value=now / peak, sys=errors.combine(drifts[0] / peak, drifts[1] * now / peak**2, float(scale)),
        rand=errors.combine(at_pick_up.rand / peak, fastest[0].rand * now / peak**2),
        evidence=evidence_over(motion, moment.time_s - half, moment.time_s + half, motion.at(moment.time_s)),
    )  # fmt: skip


def compute_hip_height(scene: Scene, moment: Event) -> Outcome:
    """Mid-hips above the ground over pick-up ± 0.1 s, % of height, 15..60; side.

    Formula: median of hips above the lower ankle + 3.9 %. Seen in under 60 % of it: none. sys: at least 2 % a keypoint
    and 3 % of stature.
    """
    height, sys, camera = scene.height_above_feet("hips"), scene.offset_sys(40.0, 2, 1), scene.scale_sys(40.0)
    return read_over(scene.motion, height, _around(scene, moment), sys, "at the pick-up", camera=camera, moment=moment)


def compute_head_outside_feet(scene: Scene, moment: Event) -> Outcome:
    """How far the head is sideways beyond the nearer foot, % of height, 0..60; 0 between the feet; front or behind.

    Formula: median over pick-up ± 0.1 s of max(0, headₓ − the right ankle of the picture, the left one − headₓ) /
    stature. Seen in under 60 % of it: none. sys: at least 2 % a keypoint and 2° of roll over the head's height then.
    """
    motion = scene.motion

    def compute(head: Array, left: Array, right: Array) -> Array:
        low, high = np.minimum(left[..., 0], right[..., 0]), np.maximum(left[..., 0], right[..., 0])
        return np.maximum(0.0, np.maximum(head[..., 0] - high, low - head[..., 0])) / motion.stature * 100

    series = errors.evaluate(compute, motion.points(("head", "left_ankle", "right_ankle"), "contact"))
    camera = errors.combine(errors.roll_sys(60.0), errors.along_sys(HEAD_AHEAD))
    sys = errors.combine(scene.offset_sys(0.0, 1, 1), camera)
    return read_over(motion, series, _around(scene, moment), sys, "at the pick-up", camera=camera, moment=moment)


def compute_trunk_lateral_flexion(scene: Scene, moment: Event) -> Outcome:
    """Tilt of mid-hips to mid-shoulders at the pick-up, degrees, -90..90, positive to the fielder's left; front or
    behind.

    Formula: median over pick-up ± 0.1 s of atan2(Δx, Δy). Seen in under 60 % of it: none; nor where the trunk shows
    less than half of its length, so that it points at the camera or away by 60° and more, and little of its tilt is
    left to see. sys: at least 4.4° and 2° of the camera's roll (Sports Biomech 2022), and what a camera a little off
    the pitch makes of the lean that the trunk's length in the picture tells, that length less its own error.
    """
    motion, span = scene.motion, _around(scene, moment)
    tilt = scene.trunk_tilt("contact")
    turned = replace(tilt, values=(scene.athletes_left or 1) * tilt.values)
    trunk = motion.point("shoulders", "contact").path - motion.point("hips", "contact").path
    shown = (np.hypot(*trunk.T) / motion.stature)[motion.window(*span)]
    shown = shown[~np.isnan(shown)]
    share = float(np.median(shown)) / TRUNK if len(shown) else 1.0  # not seen at all: `read_over` says so
    if share < TRUNK_SHOWN:
        return POINTS_AT_CAMERA
    least = max(share - errors.combine(errors.POSITION_SYS / 100 / TRUNK, errors.STATURE_ALONG_SYS * share), 0.0)
    lean = float(np.degrees(np.arccos(min(1.0, least))))  # as far as it may be: the lean's own error is mostly that way
    camera = errors.combine(errors.ROLL_SYS, errors.along_tilt_sys(lean))
    sys = errors.combine(errors.LATERAL_TILT_SYS, camera)
    return read_over(motion, turned, span, sys, "at the pick-up", camera=camera, moment=moment)


def compute_reach(scene: Scene, pick_up: PickUp) -> Outcome:
    """Sideways distance of the picking hand from the nearer foot, % of height, 0..60; front or behind.

    Formula: median over pick-up ± 0.1 s of the smaller |wristₓ − ankleₓ| of both ankles / stature. Seen in under 60 %
    of it: none. sys: 2 % a keypoint, the roll over the hand's height, and what a camera a little off the pitch shows
    sideways of the hand's way before the foot.
    """
    motion = scene.motion

    def compute(hand: Array, left: Array, right: Array) -> Array:
        gaps = np.abs(hand[..., 0] - left[..., 0]), np.abs(hand[..., 0] - right[..., 0])
        return np.minimum(*gaps) / motion.stature * 100

    points = motion.points((f"{pick_up.hand}_wrist", "left_ankle", "right_ankle"), "contact")
    camera = errors.combine(errors.roll_sys(10.0), errors.along_sys(HAND_AHEAD))
    sys = errors.combine(scene.offset_sys(0.0, 1, 1), camera)
    return read_over(motion, errors.evaluate(compute, points), _around(scene, pick_up.events["pick_up"]), sys,
                     "at the pick-up", camera=camera)  # fmt: skip


def compute_throw_elbow_height(scene: Scene, pick_up: PickUp) -> Outcome:
    """Elbow above the shoulder of the throwing arm, % of height, -20..20; side, near arm.

    Formula: median over the throw ± 0.05 s of (elbow − shoulder)ᵧ / stature. The far arm is not measured: the model
    draws it on the trunk; no throw: none. sys: at least 2 % a keypoint.
    """
    throw = pick_up.events.get("throw_release")
    if throw is None or pick_up.throwing is None:
        return NO_THROW
    if scene.near != pick_up.throwing:
        return refused("the throwing arm is on the far side of the body", "Film from the throwing arm's side.")
    arm = pick_up.throwing
    height = scene.distance(f"{arm}_elbow", f"{arm}_shoulder", 1, "arm")
    return read_over(
        scene.motion, height, _around(scene, throw, 0.05), scene.offset_sys(0.0, 1, 1), "at the throw", moment=throw
    )
