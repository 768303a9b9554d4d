"""Bowling: what a delivery shows, one pure function a metric."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.documents import Event
from pipeline.biomechanics import errors
from pipeline.biomechanics.errors import Series
from pipeline.biomechanics.events.bowling import Delivery, find_deliveries
from pipeline.biomechanics.gates import Verdict, degraded, judge_timing, refused, worst
from pipeline.biomechanics.metrics import common
from pipeline.biomechanics.metrics.bowling_specs import SPECS
from pipeline.biomechanics.readings import (
    Found,
    ModeOutcome,
    Outcome,
    Reading,
    evidence_at,
    evidence_over,
    read_at,
    read_over,
)
from pipeline.biomechanics.scene import Scene
from pipeline.biomechanics.steps import Step

__all__ = ["SPECS", "measure_bowling"]

WINDOW_S = 0.2
CLASS_FPS = 60.0
CLASS_STEP = 10.0
RUN_UP_STEPS = 5
RUN_UP_PAUSE_S = 1.0
NO_CONTACT = refused("front-foot contact was not found", "Keep the feet in the picture and unobstructed.")
NO_BACK_CONTACT = refused("back-foot contact was not found", "Keep the feet in the picture and unobstructed.")
FAR_ARM = degraded("the bowling arm is on the far side of the body", "Film from the bowling arm's side.")
FAR_RELEASE = (
    "front_knee_angle_release",
    "front_knee_class",
    "trunk_flexion_change",
    "release_height",
    "delivery_time",
)
"""What hangs on the moment of release, or on the arm itself."""
NO_RUN_UP = refused("fewer than two steps of a run-up before the delivery were seen",
                    "Film from the side with the whole run-up in the picture.")  # fmt: skip
NO_DELIVERY = refused(
    "no delivery found in this clip: no bowling arm that passes overhead at speed",
    "Film one or more whole deliveries, run-up to follow-through, with the whole athlete in the picture.",
)


def measure_bowling(scene: Scene) -> ModeOutcome:
    """Find the deliveries and read every metric in each."""
    deliveries = find_deliveries(scene)
    return ModeOutcome(
        found=tuple(_measure_delivery(scene, delivery) for delivery in deliveries),
        whole_clip=common.measure_gait(scene), missing=NO_DELIVERY,
        hands=tuple((delivery.arm, delivery.clear) for delivery in deliveries),
    )  # fmt: skip


def _measure_delivery(scene: Scene, delivery: Delivery) -> Found:
    events, slow = delivery.events, scene.motion.slowmo
    first = events.get("back_foot_contact") or events.get("front_foot_contact") or events["release"]
    last = events.get("follow_through") or events["release"]
    run_up = _run_up(scene, first.time_s)
    outcomes: dict[str, Outcome] = {
        **compute_front_knee(scene, delivery),
        "trunk_lateral_flexion_release": compute_trunk_lateral_flexion(scene, delivery),
        "front_hip_flexion_contact": compute_front_hip_flexion(scene, delivery),
        "trunk_flexion_change": compute_trunk_flexion_change(scene, delivery),
        "bowling_arm_angle_contact": compute_bowling_arm_angle(scene, delivery),
        "run_up_speed": compute_run_up_speed(scene, run_up),
        "run_up_speed_ratio": compute_run_up_speed_ratio(scene, run_up, first.time_s),
        "stride_length": compute_stride_length(scene, delivery),
        "release_height": compute_release_height(scene, delivery),
        "delivery_time": compute_delivery_time(scene, delivery),
        "head_sideways_contact": compute_head_sideways(scene, delivery),
        "foot_line_offset": compute_foot_line_offset(scene, delivery),
    }
    if scene.view.value == "side" and scene.near != delivery.arm:
        outcomes = {name: _by_far_arm(one) if name in FAR_RELEASE else one for name, one in outcomes.items()}
    start = run_up[0].time_s if run_up else first.time_s - WINDOW_S * slow
    return Found(
        start_s=max(start, float(scene.motion.times_s[0])),
        end_s=min(last.time_s + WINDOW_S * slow, float(scene.motion.times_s[-1])),
        events=events,
        steps=tuple(Event(time_s=s.time_s, half_width_s=s.half_width_s) for s in run_up),
        outcomes=outcomes,
    )


def _run_up(scene: Scene, until_s: float) -> tuple[Step, ...]:
    """The steps without a pause that lead to `until_s`, that moment's own contact not among them."""
    slow = scene.motion.slowmo
    chain: list[Step] = []
    later = until_s
    for step in reversed([s for s in scene.steps if s.time_s < until_s - 0.1 * slow]):
        if later - step.time_s > RUN_UP_PAUSE_S * slow:
            break
        chain.insert(0, step)
        later = step.time_s
    return tuple(chain)


def compute_front_knee(scene: Scene, delivery: Delivery) -> dict[str, Outcome]:
    """Front knee at contact, its minimum, at release (degrees, 180 = straight), and the class of its action.

    Formula: angle hip-knee-ankle in the picture, 12 Hz paths; the minimum over contact to contact + 0.2 s. Range
    0..180. Knee or ankle not seen within a frame of the moment, or in over 40 % of the window: none. sys: at least 8°
    (`errors.KNEE_SYS`) with what the low-pass flattens.
    """
    contact, release = delivery.events.get("front_foot_contact"), delivery.events["release"]
    knee = scene.knee(delivery.front)
    at_release = read_at(scene.motion, knee, release, scene.knee_sys, "release")
    if contact is None:
        return {
            "front_knee_angle_contact": NO_CONTACT, "front_knee_min": NO_CONTACT,
            "front_knee_angle_release": at_release, "front_knee_class": NO_CONTACT,
        }  # fmt: skip
    at_contact = read_at(scene.motion, knee, contact, scene.knee_sys, "front-foot contact")
    span = (contact.time_s, contact.time_s + WINDOW_S * scene.motion.slowmo)
    lowest = read_over(
        scene.motion, knee, span, scene.knee_sys, "after front-foot contact", reduce=np.min, moment=contact
    )
    return {
        "front_knee_angle_contact": at_contact,
        "front_knee_min": lowest,
        "front_knee_angle_release": at_release,
        "front_knee_class": classify_front_knee(at_contact, lowest, at_release, scene.motion.fps_near(*span)),
    }


def classify_front_knee(contact: Outcome, lowest: Outcome, release: Outcome, fps: float) -> Outcome:
    """Flexor, flexor-extender, extender or constant brace: 10° on flexion and on extension (Portus 2004).

    Formula: flexion = contact − minimum, extension = release − minimum; more than 10° of each, range -180..180, or not.
    Within `rand` of a border: "between classes". Below 60 real frames a second, or where one of the three angles is
    not measured: none. sys: none, it drops out of differences of one knee.
    """
    if fps < CLASS_FPS * 0.995:
        return refused(f"needs 60 real frames a second; there are {fps:.0f}", "Film at 120 frames a second.")
    parts = (contact, lowest, release)
    for part in parts:
        if isinstance(part, Verdict):
            return part
    readings = [part for part in parts if isinstance(part, Reading)]
    at_contact, least, at_release = (float(r.value) for r in readings)
    noise = [errors.combine(readings[i].rand, readings[1].rand) for i in (0, 2)]
    flexion, extension = at_contact - least, at_release - least
    if abs(flexion - CLASS_STEP) <= noise[0] or abs(extension - CLASS_STEP) <= noise[1]:
        name = "between classes"
    else:
        name = {
            (True, True): "flexor-extender", (True, False): "flexor",
            (False, True): "extender", (False, False): "constant brace",
        }[flexion > CLASS_STEP, extension > CLASS_STEP]  # fmt: skip
    return Reading(value=name, sys=0.0, rand=max(noise), verdict=worst(*(r.verdict for r in readings)),
                   evidence=readings[1].evidence)  # fmt: skip


def compute_trunk_lateral_flexion(scene: Scene, delivery: Delivery) -> Outcome:
    """Tilt of mid-hips to mid-shoulders at release, degrees, positive away from the bowling arm; front or behind.

    Formula: median over release ± 0.05 s of atan2(Δx, Δy), turned to the arm's side. Range -90..90. Seen in under 60 %
    of the window: none. sys: at least 4.4° and 2° of the camera's roll. Source: Bayne 2014 for the association; sys
    Sports Biomech 2022.
    """
    release, slow = delivery.events["release"], scene.motion.slowmo
    sign = _away_from_arm(scene, delivery)
    tilt = scene.trunk_tilt("contact")
    turned = Series(values=sign * tilt.values, rand=tilt.rand, trusted=tilt.trusted)
    half = max(0.05 * slow, scene.motion.frame_s)
    sys = errors.combine(errors.LATERAL_TILT_SYS, errors.ROLL_SYS)
    return read_over(
        scene.motion, turned, (release.time_s - half, release.time_s + half), sys, "at release", moment=release
    )


def compute_front_hip_flexion(scene: Scene, delivery: Delivery) -> Outcome:
    """Flexion of the front hip at front-foot contact, degrees, 0..180, 0 = straight; side.

    Formula: 180 minus the angle mid-shoulders, hip, knee. Not seen within a frame of the contact: none. sys: at least
    20.8° (`errors.OTHER_ANGLE_SYS`: no floor of its own is published). Source: Bayne 2014.
    """
    contact = delivery.events.get("front_foot_contact")
    if contact is None:
        return NO_CONTACT
    hip = scene.hip(delivery.front)
    flexion = Series(values=180 - hip.values, rand=hip.rand, trusted=hip.trusted)
    return read_at(scene.motion, flexion, contact, errors.OTHER_ANGLE_SYS, "front-foot contact")


def compute_trunk_flexion_change(scene: Scene, delivery: Delivery) -> Outcome:
    """Forward lean of the trunk at release minus at front-foot contact, degrees; positive is further forward; side.

    Formula: tilt of mid-hips to mid-shoulders × facing, at release minus at contact; the camera's roll drops out. Range
    -90..90. Not known which way the athlete runs: none. sys: at least 6.3°, the trunk's position errors at both
    moments. Source: Worthington 2013.
    """
    contact = delivery.events.get("front_foot_contact")
    if contact is None:
        return NO_CONTACT
    tilt = scene.trunk_tilt("contact")
    forward = Series(values=(scene.facing or 1) * tilt.values, rand=tilt.rand, trusted=tilt.trusted)
    sys = common.trunk_sys()
    one = read_at(scene.motion, forward, contact, sys, "front-foot contact")
    two = read_at(scene.motion, forward, delivery.events["release"], sys, "release")
    if isinstance(one, Verdict) or isinstance(two, Verdict):
        return one if isinstance(one, Verdict) else two
    if scene.facing == 0:
        return refused("it is not clear which way the athlete runs", "Film from the side.")
    return Reading(
        value=float(two.value) - float(one.value), sys=sys * float(np.sqrt(2)), rand=errors.combine(one.rand, two.rand),
        verdict=worst(one.verdict, two.verdict),
        evidence=evidence_at(scene.motion, scene.motion.at(delivery.events["release"].time_s),
                             scene.motion.at(contact.time_s)),
    )  # fmt: skip


def compute_bowling_arm_angle(scene: Scene, delivery: Delivery) -> Outcome:
    """Angle of shoulder → wrist against mid-shoulders → mid-hips at front-foot contact, degrees, 0..180 (overhead);
    side.

    Formula: |atan2(a × b, a · b)| of the two lines, 18 Hz paths. The far arm is not measured: the model draws it on the
    trunk. sys: at least 20.8°. Source: Worthington 2013.
    """
    contact = delivery.events.get("front_foot_contact")
    if contact is None:
        return NO_CONTACT
    if scene.near != delivery.arm:
        return refused("the bowling arm is on the far side of the body", "Film from the bowling arm's side.")

    def compute(
        wrist: errors.Array, shoulder: errors.Array, hips: errors.Array, shoulders: errors.Array
    ) -> errors.Array:
        a, b = wrist - shoulder, hips - shoulders
        cross = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
        return np.asarray(np.degrees(np.arctan2(np.abs(cross), np.sum(a * b, axis=-1))))

    names = (f"{delivery.arm}_wrist", f"{delivery.arm}_shoulder", "hips", "shoulders")
    series = errors.evaluate(compute, scene.motion.points(names, "arm"))
    return read_at(scene.motion, series, contact, errors.OTHER_ANGLE_SYS, "front-foot contact")


def compute_run_up_speed(scene: Scene, run_up: tuple[Step, ...]) -> Outcome:
    """Speed of mid-hips over up to the last 5 steps (at least 2), metres per second; side.

    Formula: slope of the way along the picture in heights × the given height. Range 0..12. Without a given height, or
    with a moving camera: none. sys: at least 1 % of height over the span, 3 % of stature, and what an oblique camera
    shortens. Source: Ramachandran 2021 (r 0.50 with ball speed).
    """
    if scene.options.height_m is None:
        return refused("metres need the athlete's height", "Give the athlete's height (--height).")
    if scene.camera_moves:
        return common.CAMERA_MOVES
    if len(run_up) < 2:
        return NO_RUN_UP
    steps = run_up[-RUN_UP_STEPS:]
    reading = common.compute_speed_between(scene.motion, steps[0].time_s, steps[-1].time_s, scene.travel.yaw or 0.0)
    return common.to_metres(reading, scene.options.height_m)


def compute_run_up_speed_ratio(scene: Scene, run_up: tuple[Step, ...], until_s: float) -> Outcome:
    """Hip speed in the last third of the visible run-up / in its middle third; side. Below 1: slows before delivery.

    Formula: slope of the hips' way over the last third / over the middle third, by time from the first step seen to the
    delivery; the stature drops out. Range 0..2. Fewer than 3 steps, or a moving camera: none. sys: at least 1 % of
    height of displacement in each third.
    """
    if scene.camera_moves:
        return common.CAMERA_MOVES
    if len(run_up) < 3:
        return NO_RUN_UP
    start, third = run_up[0].time_s, (until_s - run_up[0].time_s) / 3
    middle = common.compute_speed_between(scene.motion, start + third, start + 2 * third, 0.0)
    last = common.compute_speed_between(scene.motion, start + 2 * third, until_s, 0.0)
    if isinstance(middle, Verdict) or isinstance(last, Verdict):
        return middle if isinstance(middle, Verdict) else last
    one, two = float(middle.value), float(last.value)
    if one <= 0:
        return NO_RUN_UP
    real_third = third / scene.motion.slowmo
    ratio = two / one
    drift = errors.DISPLACEMENT_SYS / real_third
    return Reading(
        value=ratio, sys=ratio * errors.combine(drift / one, drift / two),
        rand=ratio * errors.combine(middle.rand / one, last.rand / two),
        evidence=evidence_over(scene.motion, start + third, until_s),
    )  # fmt: skip


def compute_stride_length(scene: Scene, delivery: Delivery) -> Outcome:
    """Back ankle at its contact to front ankle at its own, along the picture, % of height, 0..150; side.

    Formula: |front ankleₓ at its contact − back ankleₓ at its own| / stature. A moving camera shifts one contact
    against the other: none. sys: at least 5.75 % (Sports Biomech 2022) and what an oblique camera shortens.
    """
    contact, back = delivery.events.get("front_foot_contact"), delivery.events.get("back_foot_contact")
    if contact is None or back is None:
        return NO_CONTACT if contact is None else NO_BACK_CONTACT
    if scene.camera_moves:
        return common.CAMERA_MOVES
    across = _between_contacts(scene, delivery, contact, back)
    if isinstance(across, Verdict):
        return across
    value = abs(float(across.value))
    sys = errors.combine(errors.STRIDE_SYS, common.oblique_sys(value, scene.travel.yaw or 0.0))
    return Reading(value=value, sys=sys, rand=across.rand, verdict=judge_timing(0.0, sys), evidence=across.evidence)


def _between_contacts(scene: Scene, delivery: Delivery, contact: Event, back: Event) -> Outcome:
    """Front ankle at its contact minus back ankle at its own, along the picture, % of height; `sys` is left 0."""
    motion = scene.motion
    i, j = motion.at(contact.time_s), motion.at(back.time_s)
    front_foot = motion.point(f"{delivery.front}_ankle", "contact")
    back_foot = motion.point(f"{delivery.arm}_ankle", "contact")
    if not (front_foot.trusted[i] and back_foot.trusted[j]):
        return refused("a foot was not seen at its contact", "Keep the feet in the picture and unobstructed.")
    size = (motion.stature[i] + motion.stature[j]) / 2
    gap = (front_foot.path[i, 0] - back_foot.path[j, 0]) / size * 100
    rand = np.hypot(front_foot.sigma, back_foot.sigma) / size * 100
    return Reading(value=float(gap), sys=0.0, rand=float(rand), evidence=evidence_at(motion, i, j))


def compute_release_height(scene: Scene, delivery: Delivery) -> Outcome:
    """Height of the bowling wrist above the ground at release, % of height, 80..140; any view.

    Formula: wrist above the lower ankle + 3.9 % (ankle height, Drillis and Contini). sys: 2 % for each of the two
    keypoints and 3 % of stature. The far arm of a side view is degraded: the model may draw it on the trunk.
    """
    height = scene.height_above_feet(f"{delivery.arm}_wrist", "arm")
    i = scene.motion.at(delivery.events["release"].time_s)
    sys = scene.offset_sys(float(np.nan_to_num(height.values[i])), 1, 1)
    return read_at(scene.motion, height, delivery.events["release"], sys, "release")


def _by_far_arm(outcome: Outcome) -> Outcome:
    return replace(outcome, verdict=worst(outcome.verdict, FAR_ARM)) if isinstance(outcome, Reading) else outcome


def compute_delivery_time(scene: Scene, delivery: Delivery) -> Outcome:
    """Front-foot contact to release, real seconds, 0..0.5.

    Formula: (t_release − t_contact) / slow motion. Any view. No contact: none. rand: both half-widths / √3. sys: 22 ms
    (release; Sports Biomech 2022).
    """
    contact, release = delivery.events.get("front_foot_contact"), delivery.events["release"]
    if contact is None:
        return NO_CONTACT
    motion = scene.motion
    rand = errors.combine(contact.half_width_s, release.half_width_s) / np.sqrt(3) / motion.slowmo
    return Reading(
        value=(release.time_s - contact.time_s) / motion.slowmo, sys=errors.RELEASE_SYS_S, rand=float(rand),
        evidence=evidence_over(motion, contact.time_s, release.time_s, motion.at(release.time_s),
        motion.at(contact.time_s)),
    )  # fmt: skip


def compute_head_sideways(scene: Scene, delivery: Delivery) -> Outcome:
    """Head against the middle of the feet, sideways, % of height, positive away from the bowling arm; front or behind.

    Formula: median over contact to contact + 0.2 s of (head − mid-ankles)ₓ / stature. Range -60..60. Seen in under 60 %
    of it: none. sys: at least 2 % a keypoint and 2° of unknown roll over the height of the head.
    """
    contact = delivery.events.get("front_foot_contact")
    if contact is None:
        return NO_CONTACT
    motion, sign = scene.motion, _away_from_arm(scene, delivery)
    offset = scene.distance("head", "feet", 0, "contact")
    turned = Series(values=sign * offset.values, rand=offset.rand, trusted=offset.trusted)
    span = (contact.time_s, contact.time_s + WINDOW_S * motion.slowmo)
    sys = errors.combine(scene.offset_sys(0.0, 1, 2), errors.roll_sys(90.0))
    return read_over(motion, turned, span, sys, "after front-foot contact", moment=contact)


def compute_foot_line_offset(scene: Scene, delivery: Delivery) -> Outcome:
    """Front foot off the line of travel through the back foot, % of height; front or behind.

    Formula: (front ankle at its contact − back ankle at its own)ₓ − (hips then − hips then)ₓ, in statures;
    positive towards the bowling arm's side (across the body). Range -50..50. A contact not found, or the hips not seen
    at one: none. sys: at least 2 % for each of two keypoints.
    """
    contact, back = delivery.events.get("front_foot_contact"), delivery.events.get("back_foot_contact")
    if contact is None or back is None:
        return NO_CONTACT if contact is None else NO_BACK_CONTACT
    across = _between_contacts(scene, delivery, contact, back)
    if isinstance(across, Verdict):
        return across
    motion = scene.motion
    i, j = motion.at(contact.time_s), motion.at(back.time_s)
    hips = motion.point("hips").path[:, 0]
    drift = (hips[i] - hips[j]) / (motion.stature[i] + motion.stature[j]) * 200
    if np.isnan(drift):
        return refused("the hips were not seen between the contacts", "Keep the whole athlete unobstructed.")
    value = -_away_from_arm(scene, delivery) * (float(across.value) - float(drift))
    return Reading(value=value, sys=scene.offset_sys(value, 1, 1), rand=across.rand, evidence=across.evidence)


def _away_from_arm(scene: Scene, delivery: Delivery) -> int:
    """1 where the picture's right is the athlete's side away from the bowling arm; -1 where it is the arm's; else 1."""
    left = scene.athletes_left or 1
    return left if delivery.arm == "right" else -left
