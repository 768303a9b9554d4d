"""Batting: what a shot shows, one pure function a metric."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.documents import Event
from pipeline.biomechanics import errors
from pipeline.biomechanics.events.batting import Shot, find_shots
from pipeline.biomechanics.gates import refused
from pipeline.biomechanics.metrics import common
from pipeline.biomechanics.metrics.weight import NO_FRONT, NO_STANCE, compute_weight_transfer
from pipeline.biomechanics.readings import (
    Found,
    ModeOutcome,
    Outcome,
    Reading,
    Spec,
    evidence_over,
    read_at,
    read_over,
    root_mean_square,
)
from pipeline.biomechanics.scene import Scene

SPECS: tuple[Spec, ...] = (
    Spec(
        id="head_sideways_plant",
        label="Head sideways of the feet before impact",
        unit="pct_height",
        view="along",
        rate="posture",
        method="head against the middle of the feet, median over the 0.2 s before impact (the front foot lands "
        "in it); positive to the off side where the batter's hand is given, else to the picture's right",
    ),
    Spec(
        id="head_forward_plant",
        sided=True,
        label="Head forward of the feet at front-foot plant",
        unit="pct_height",
        view="side",
        rate="posture",
        method="head against the middle of the feet, median over plant ± 0.1 s, positive to the front foot",
        source="Sports Biomech 2007 6:345 (direction)",
    ),
    Spec(
        id="head_forward_impact",
        sided=True,
        label="Head forward of the feet at impact",
        unit="pct_height",
        view="side",
        rate="posture",
        method="head against the middle of the feet, median over impact ± 0.1 s, positive to the front foot",
        source="Sports Biomech 2007 6:345 (direction)",
    ),
    Spec(
        id="head_steadiness",
        label="Steadiness of the head",
        unit="pct_height",
        view="any",
        view_decides=True,
        rate="still",
        method="from the side: RMS of the head against the hips from stance to plant; "
        "along the pitch: RMS of the head about its mean at stance",
    ),
    Spec(
        id="trunk_lateral_flexion_plant",
        label="Sideways lean of the trunk before impact",
        unit="deg",
        view="along",
        rate="posture",
        angle=True,
        method="mid-hips to mid-shoulders against the vertical, median over the 0.2 s before impact; "
        "signed like head_sideways_plant",
        source="Sports Biomech 2022, 10.1080/14763141.2022.2137425 (for the error)",
    ),
    Spec(
        id="plant_before_impact",
        label="Front-foot plant before impact",
        unit="s",
        view="side",
        rate="timing",
        method="impact (peak hand speed) minus front-foot plant",
        source="Stuelcken 2005 Sports Biomech 4:17",
    ),
    Spec(
        id="front_knee_angle_impact",
        sided=True,
        label="Front knee at impact",
        unit="deg",
        view="side",
        rate="posture",
        angle=True,
        method="median hip-knee-ankle angle over impact ± 0.1 s, 180 = straight",
    ),
    Spec(
        id="lead_elbow_angle_impact",
        sided=True,
        label="Lead elbow at impact",
        unit="deg",
        view="side",
        rate="posture",
        angle=True,
        method="median shoulder-elbow-wrist angle of the near arm over impact ± 0.1 s, 180 = straight",
    ),
    Spec(
        id="base_width",
        label="Width of the stance",
        unit="pct_height",
        view="side",
        rate="still",
        method="distance along the picture between the ankles, median over the stance",
    ),
    Spec(
        id="weight_transfer",
        sided=True,
        label="Body's centre moved towards the front foot",
        unit="ratio",
        view="side",
        rate="posture",
        method="where the body's centre of mass is between back ankle (0) and front ankle (1), median over impact "
        "± 0.1 s minus median over the stance; a picture shows no force under the feet",
        source="Winter 2009, Biomechanics and Motor Control of Human Movement, table 4.1 (segments' masses)",
    ),
    Spec(
        id="x_factor",
        label="X-factor",
        unit="deg",
        view="never",
        rate="timing",
        method="not measured: rotation of shoulders against hips about the body's long axis",
    ),
    *common.DESCRIPTIVE,
)

PLANT_S = 0.1
BEFORE_IMPACT_S = 0.2
"""Along the pitch a low stride does not show when it ends, but the foot lands just before impact (Stuelcken 2005)."""
PLANT_LEAN, HEAD_AHEAD = 15.0, 10.0
"""A usual forward lean at plant (°), and how far the head is ahead of the feet (% of height): what of it a camera off
the pitch shows sideways."""
HEAD_LEVER = 85.0
"""% of height from the feet to the head of a batter in his shot."""
NO_PLANT = refused("no front-foot plant was found in this shot", "Keep the feet in the picture and unobstructed.")
PLANT_AFTER = refused("the front foot seems to land after the hit, so one of the two moments is wrong",
                      "Film at 120 frames a second, with the feet unobstructed.")  # fmt: skip
NO_SHOT = refused(
    "no shot found in this clip: no downswing with both hands together",
    "Film one or more whole shots, stance to finish, with the whole batter in the picture.",
)


def measure_batting(scene: Scene) -> ModeOutcome:
    """Find the shots and read every metric in each."""
    shots = find_shots(scene)
    return ModeOutcome(
        found=tuple(_measure_shot(scene, shot) for shot in shots),
        whole_clip=common.measure_gait(scene), missing=NO_SHOT,
        hands=tuple((shot.hand, shot.clear) for shot in shots if shot.hand),
    )  # fmt: skip


def _measure_shot(scene: Scene, shot: Shot) -> Found:
    motion = scene.motion
    last = shot.events.get("finish") or shot.events["impact"]
    start = shot.stance[0] if shot.stance else shot.events["backlift_top"].time_s
    outcomes: dict[str, Outcome] = {
        "head_sideways_plant": compute_head_sideways(scene, shot),
        "head_forward_plant": compute_head_forward(scene, shot, "front_foot_plant"),
        "head_forward_impact": compute_head_forward(scene, shot, "impact"),
        "head_steadiness": compute_head_steadiness(scene, shot),
        "trunk_lateral_flexion_plant": compute_trunk_lateral_flexion(scene, shot),
        "plant_before_impact": compute_plant_before_impact(scene, shot),
        "front_knee_angle_impact": compute_front_knee_impact(scene, shot),
        "lead_elbow_angle_impact": compute_lead_elbow_impact(scene, shot),
        "base_width": compute_base_width(scene, shot),
        "weight_transfer": compute_weight_transfer(scene, shot),
    }
    return Found(
        start_s=start, end_s=min(last.time_s + 0.2 * motion.slowmo, float(motion.times_s[-1])), events=shot.events,
        outcomes=outcomes,
    )  # fmt: skip


def _around(scene: Scene, event: Event) -> tuple[float, float]:
    half = max(PLANT_S * scene.motion.slowmo, scene.motion.frame_s)
    return event.time_s - half, event.time_s + half


def _before(scene: Scene, event: Event) -> tuple[float, float]:
    return event.time_s - max(BEFORE_IMPACT_S * scene.motion.slowmo, 2 * scene.motion.frame_s), event.time_s


def compute_head_sideways(scene: Scene, shot: Shot) -> Outcome:
    """Head against the middle of the feet, sideways, % of height, -60..60; front or behind.

    Formula: median over the 0.2 s before impact of (head − mid-ankles)ₓ / stature; positive to the off side where the
    batter's hand is given. Seen in under 60 % of it: none. sys: at least 2 % a keypoint and 2° of unknown roll over the
    height of the head.
    """
    impact = shot.events["impact"]
    offset = scene.distance("head", "feet", 0, "contact")
    turned = replace(offset, values=_off_side(scene) * offset.values)
    camera = errors.combine(errors.roll_sys(HEAD_LEVER), errors.along_sys(HEAD_AHEAD))
    sys = errors.combine(scene.offset_sys(0.0, 1, 2), camera)
    return read_over(
        scene.motion, turned, _before(scene, impact), sys, "just before impact", camera=camera, moment=impact
    )


def compute_head_forward(scene: Scene, shot: Shot, event: str) -> Outcome:
    """Head ahead of the middle of the feet at plant or impact, % of height, -60..60, positive to the front foot; side.

    Formula: median over the event ± 0.1 s of (head − mid-ankles)ₓ / stature. Ankles within 3 % of height: none. sys: at
    least 2 % a keypoint and 2° of unknown roll over the height of the head. Source: Sports Biomech 2007 6:345.
    """
    moment = shot.events.get(event)
    if moment is None:
        return NO_PLANT
    if shot.front is None:
        return NO_FRONT
    motion = scene.motion
    back = "right" if shot.front == "left" else "left"
    base = scene.distance(f"{shot.front}_ankle", f"{back}_ankle", 0).values[motion.at(moment.time_s)]
    if np.isnan(base) or abs(base) < 3:
        return refused("front and back foot cannot be told apart then", "Film square to the pitch.")
    offset = scene.distance("head", "feet", 0, "contact")
    turned = replace(offset, values=np.sign(base) * offset.values)
    camera, what = errors.roll_sys(HEAD_LEVER), f"at {event.replace('_', ' ')}"
    sys = errors.combine(scene.offset_sys(0.0, 1, 2), camera)
    return read_over(motion, turned, _around(scene, moment), sys, what, camera=camera, moment=moment)


def compute_head_steadiness(scene: Scene, shot: Shot) -> Outcome:
    """How far the head strays, % of height, 0..30.

    From the side: RMS about its mean of head − hips from stance to plant. Along the pitch (or unknown): RMS of the head
    about its mean at stance. Formula: √(var x + var y), the white noise taken out. No stance, or the head seen in under
    60 % of it: none. sys: at least 1 %, the displacement of one keypoint, with what a camera 6° off its view mixes in
    of the other direction, and the scale.
    """
    if shot.stance is None:
        return NO_STANCE
    plant = shot.events.get("front_foot_plant")
    if scene.view.value != "side":
        return _with_camera(compute_stray(scene, "head", None, shot.stance, "at stance"))
    if plant is None:
        return NO_PLANT
    span = shot.stance[0], plant.time_s
    return _with_camera(compute_stray(scene, "head", "hips", span, "from stance to plant"))


def _with_camera(stray: Outcome) -> Outcome:
    """A camera a little off its view mixes in as much of what strays along its axis; and the scale."""
    if not isinstance(stray, Reading):
        return stray
    value = float(stray.value)
    return replace(stray, sys=errors.combine(stray.sys, errors.along_sys(value), errors.LONG_CHAIN_SYS * value))


def compute_stray(scene: Scene, name: str, against: str | None, span: tuple[float, float], what: str) -> Outcome:
    """RMS distance of a point from its mean place over a span, % of height, on its own or against another point.

    The white noise left in the paths, and what the slow error of the head (and of two hips) strays within the span, are
    taken out: √(max(0, var − noise² − slow²)). sys: that slow stray over the root of how many independent values it
    takes within the span (one in 2 τ), at least 1 % (`errors.DISPLACEMENT_SYS`).
    """
    motion = scene.motion
    point = motion.point(name)
    place, sigma, trusted = point.path, point.sigma, point.trusted
    if against is not None:
        other = motion.point(against)
        place, sigma, trusted = place - other.path, float(np.hypot(sigma, other.sigma)), trusted & other.trusted
    window = motion.window(*span)
    good = window[trusted[window] & ~np.isnan(place[window, 0])]
    if len(good) < max(4, 0.6 * len(window)):
        return refused(f"the head was not seen {what}", "Keep the whole athlete unobstructed.")
    scale = motion.stature[good, None] / 100
    variance = sum(root_mean_square(axis) ** 2 for axis in (place[good] / scale).T)
    noise = sigma / float(np.median(scale))
    keypoints = 1.0 if against is None else 1.5  # the head drifts as one, the hips' middle half as much
    slow = errors.POSITION_SYS * np.sqrt(keypoints * (1 - errors.drift_of_mean(motion.real_s[good]) ** 2))
    value = float(np.sqrt(max(0.0, variance - 2 * noise**2 - 2 * slow**2)))
    rand = noise / np.sqrt(max(1.0, (span[1] - span[0]) / motion.slowmo * 6.0))
    apart = 2 * errors.SLOW_TAU_S * motion.slowmo / max(span[1] - span[0], 2 * errors.SLOW_TAU_S * motion.slowmo)
    sys = max(errors.DISPLACEMENT_SYS, float(slow * np.sqrt(apart)))
    return Reading(value=value, sys=sys, rand=float(rand), evidence=evidence_over(motion, *span))


def compute_trunk_lateral_flexion(scene: Scene, shot: Shot) -> Outcome:
    """Tilt of mid-hips to mid-shoulders before impact, degrees, -90..90, signed like the head; front or behind.

    Formula: median over the 0.2 s before impact of atan2(Δx, Δy). Seen in under 60 % of it: none. sys: at
    least 4.4° and 2° of the camera's roll (Sports Biomech 2022).
    """
    impact = shot.events["impact"]
    tilt = scene.trunk_tilt("contact")
    turned = replace(tilt, values=_off_side(scene) * tilt.values)
    camera = errors.combine(errors.ROLL_SYS, errors.along_tilt_sys(PLANT_LEAN))
    sys = errors.combine(errors.LATERAL_TILT_SYS, camera)
    return read_over(
        scene.motion, turned, _before(scene, impact), sys, "just before impact", camera=camera, moment=impact
    )


def compute_plant_before_impact(scene: Scene, shot: Shot) -> Outcome:
    """Front-foot plant to impact, real seconds, 0..1; side.

    Formula: (t_impact − t_plant) / slow motion. No plant, or one that comes after impact by more than the error: none.
    rand: both half-widths / √3. sys: 22 ms (release in Sports Biomech 2022; no study of impact).
    Source: Stuelcken 2005.
    """
    plant, impact = shot.events.get("front_foot_plant"), shot.events["impact"]
    if plant is None:
        return NO_PLANT
    slow = scene.motion.slowmo
    rand = errors.combine(plant.half_width_s, impact.half_width_s) / np.sqrt(3) / slow
    value = (impact.time_s - plant.time_s) / slow
    if value + errors.combine(errors.RELEASE_SYS_S, float(rand)) < 0:
        return PLANT_AFTER
    return Reading(
        value=value, sys=errors.RELEASE_SYS_S, modelled=0.0, rand=float(rand),
        evidence=evidence_over(scene.motion, min(plant.time_s, impact.time_s), max(plant.time_s, impact.time_s),
                               scene.motion.at(plant.time_s), scene.motion.at(impact.time_s)),
    )  # fmt: skip


def compute_front_knee_impact(scene: Scene, shot: Shot) -> Outcome:
    """Front knee over impact ± 0.1 s, degrees, 0..180, 180 = straight; side.

    Formula: median of the angle hip-knee-ankle. Front foot not known: none. sys: at least 8° (`errors.KNEE_SYS`) with
    what the low-pass flattens.
    """
    if shot.front is None:
        return NO_FRONT
    span = _around(scene, shot.events["impact"])
    knee, camera = scene.knee(shot.front), scene.knee_camera
    return read_over(scene.motion, knee, span, scene.knee_sys, "at impact", camera=camera, moment=shot.events["impact"])


def compute_lead_elbow_impact(scene: Scene, shot: Shot) -> Outcome:
    """Elbow of the front arm at impact, degrees, 0..180, 180 = straight; side, near arm only.

    Formula: angle shoulder-elbow-wrist. The far arm is not measured: the model draws it on the trunk. sys: at least
    22.7°, markerless bowling (10.1177/17479541251348081).
    """
    if shot.front is None:
        return NO_FRONT
    if scene.near != shot.front:
        return refused(
            "the lead arm is on the far side of the body", "Film from the off side's front: the lead arm's side."
        )
    elbow = scene.elbow(shot.front)
    return read_at(scene.motion, elbow, shot.events["impact"], 22.7, "impact")


def compute_base_width(scene: Scene, shot: Shot) -> Outcome:
    """Distance between the ankles along the picture, median over the stance, % of height, 0..100; side.

    Formula: median of |left ankle − right ankle|ₓ / stature. No stance: none. sys: at least 2 % a keypoint, 3 % of
    stature between people and 5 % of it that the noise makes too long.
    """
    if shot.stance is None:
        return NO_STANCE
    apart = scene.distance("left_ankle", "right_ankle", 0)
    width = replace(apart, values=np.abs(apart.values))
    known = width.values[scene.motion.window(*shot.stance)]
    known = known[~np.isnan(known)]
    usual = float(np.median(known)) if len(known) else 0.0
    long = errors.LONG_CHAIN_SYS * usual
    sys = errors.combine(scene.offset_sys(usual, 1, 1), long)
    camera = errors.combine(scene.scale_sys(usual), long)
    return read_over(scene.motion, width, shot.stance, sys, "at stance", camera=camera)


def _off_side(scene: Scene) -> int:
    """1 where the picture's right is the off side, -1 where it is the leg side; 1 where the batter's hand is not given.

    From behind the batter (he looks away, the camera behind his wicket) a right-hander's off side is to the right.
    """
    if scene.options.handedness is None or scene.athletes_left is None:
        return 1
    off = 1 if scene.options.handedness == "right" else -1
    return -scene.athletes_left * off
