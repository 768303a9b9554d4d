"""Bowling: what a delivery shows, one pure function a metric."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.documents import Event
from pipeline.biomechanics import errors
from pipeline.biomechanics.events.bowling import BACK_FOOT_S, Delivery, find_deliveries
from pipeline.biomechanics.gates import Verdict, degraded, refused, worst
from pipeline.biomechanics.metrics import common
from pipeline.biomechanics.metrics.bowling_specs import SPECS
from pipeline.biomechanics.metrics.front_knee import NO_CONTACT, WINDOW_S, compute_front_knee
from pipeline.biomechanics.metrics.stride import compute_stride_length
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

__all__ = ["NO_CONTACT", "SPECS", "measure_bowling"]

RELEASE_LEAN, HEAD_AHEAD, FOOT_AHEAD = 30.0, 15.0, 15.0
"""A usual forward lean at release (°), and how far the head after contact, and the front foot less the hips' way, are
ahead (% of height): what of it a camera off the pitch shows sideways."""
RUN_UP_PAUSE_S = 1.0
CONTACT_BEFORE_S = 0.12
"""Real seconds from front-foot contact to release: where the first is not to be had, the second tells it about."""
FRONT_STANDS_S, BACK_STANDS_S = (-0.06, 0.06), (-0.26, -0.14)
"""From release, real seconds: each foot is on the ground then in every delivery but the slowest and the quickest."""
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
    run_ups = [_run_up(scene, _last_stride(scene, delivery)) for delivery in deliveries]
    return ModeOutcome(
        found=tuple(_measure_delivery(scene, delivery) for delivery in deliveries),
        whole_clip=common.measure_gait(scene, max(run_ups, key=len) if run_ups else None), missing=NO_DELIVERY,
        hands=tuple((delivery.arm, delivery.clear) for delivery in deliveries),
    )  # fmt: skip


def _measure_delivery(scene: Scene, delivery: Delivery) -> Found:
    events, slow = delivery.events, scene.motion.slowmo
    first_s = _run_up_ends(scene, delivery)
    last = events.get("follow_through") or events["release"]
    run_up = _run_up(scene, _last_stride(scene, delivery))
    outcomes: dict[str, Outcome] = {
        **compute_front_knee(scene, delivery),
        "trunk_lateral_flexion_release": compute_trunk_lateral_flexion(scene, delivery),
        "front_hip_flexion_contact": compute_front_hip_flexion(scene, delivery),
        "trunk_flexion_change": compute_trunk_flexion_change(scene, delivery),
        "bowling_arm_angle_contact": compute_bowling_arm_angle(scene, delivery),
        "run_up_speed": compute_run_up_speed(scene, run_up),
        "run_up_speed_ratio": compute_run_up_speed_ratio(scene, run_up, first_s),
        "stride_length": compute_stride_length(scene, delivery),
        "release_height": compute_release_height(scene, delivery),
        "delivery_time": compute_delivery_time(scene, delivery),
        "head_sideways_contact": compute_head_sideways(scene, delivery),
        "foot_line_offset": compute_foot_line_offset(scene, delivery),
    }
    if scene.view.value == "side" and scene.near != delivery.arm:
        outcomes = {name: _by_far_arm(one) if name in FAR_RELEASE else one for name, one in outcomes.items()}
    start = run_up[0].time_s if run_up else first_s - WINDOW_S * slow
    return Found(
        start_s=max(start, float(scene.motion.times_s[0])),
        end_s=min(last.time_s + WINDOW_S * slow, float(scene.motion.times_s[-1])),
        events=events,
        steps=tuple(Event(time_s=s.time_s, half_width_s=s.half_width_s) for s in run_up),
        outcomes=outcomes,
    )


def _run_up_ends(scene: Scene, delivery: Delivery) -> float:
    """Clip seconds of the delivery's first contact; where none was found, of the earliest usual back-foot contact."""
    events = delivery.events
    contact = events.get("back_foot_contact") or events.get("front_foot_contact")
    if contact is not None:
        return contact.time_s
    return events["release"].time_s + BACK_STANDS_S[0] * scene.motion.slowmo


def _last_stride(scene: Scene, delivery: Delivery) -> float:
    """Clip seconds of the step that begins the delivery: the back foot's contact, or its peak where that was hidden.

    So the back foot's own step is none of the run-up: without its contact it would be taken for the last one.
    """
    front = delivery.events.get("front_foot_contact")
    if front is not None and "back_foot_contact" not in delivery.events:
        earliest = front.time_s - BACK_FOOT_S * scene.motion.slowmo
        back = [s.time_s for s in scene.steps if s.side == delivery.arm and earliest <= s.time_s < front.time_s]
        if back:
            return back[-1]
    return _run_up_ends(scene, delivery)


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


def compute_trunk_lateral_flexion(scene: Scene, delivery: Delivery) -> Outcome:
    """Tilt of mid-hips to mid-shoulders at release, degrees, positive away from the bowling arm; front or behind.

    Formula: median over release ± 0.05 s of atan2(Δx, Δy), turned to the arm's side. Range -90..90. Seen in under 60 %
    of the window: none. sys: at least 4.4° and 2° of the camera's roll. Source: Bayne 2014 for the association; sys
    Sports Biomech 2022.
    """
    release, slow = delivery.events["release"], scene.motion.slowmo
    sign = _away_from_arm(scene, delivery)
    tilt = scene.trunk_tilt("contact")
    turned = replace(tilt, values=sign * tilt.values)
    half = max(0.05 * slow, scene.motion.frame_s)
    camera = errors.combine(errors.ROLL_SYS, errors.along_tilt_sys(RELEASE_LEAN))
    sys = errors.combine(errors.LATERAL_TILT_SYS, camera)
    span = (release.time_s - half, release.time_s + half)
    return read_over(scene.motion, turned, span, sys, "at release", camera=camera, moment=release)


def compute_front_hip_flexion(scene: Scene, delivery: Delivery) -> Outcome:
    """Flexion of the front hip at front-foot contact, degrees, 0..180, 0 = straight; side.

    Formula: 180 minus the angle mid-shoulders, hip, knee. Not seen within a frame of the contact: none. sys: at least
    20.8° (`errors.OTHER_ANGLE_SYS`: no floor of its own is published). Source: Bayne 2014.
    """
    contact = delivery.events.get("front_foot_contact")
    if contact is None:
        return NO_CONTACT
    hip = scene.hip(delivery.front)
    flexion = replace(hip, values=180 - hip.values)
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
    forward = replace(tilt, values=(scene.facing or 1) * tilt.values)
    sys = common.trunk_sys()
    one = read_at(scene.motion, forward, contact, sys, "front-foot contact")
    two = read_at(scene.motion, forward, delivery.events["release"], sys, "release")
    if isinstance(one, Verdict) or isinstance(two, Verdict):
        return one if isinstance(one, Verdict) else two
    if scene.facing == 0:
        return refused("it is not clear which way the athlete runs", "Film from the side.")
    moved = errors.drift(np.array([-1.0, 1.0]), np.array([contact.time_s, delivery.events["release"].time_s])
                         / scene.motion.slowmo)  # fmt: skip
    modelled = float(np.hypot(one.modelled or 0.0, two.modelled or 0.0) / np.sqrt(2)) * moved
    return Reading(
        value=float(two.value) - float(one.value), sys=max(sys * float(np.sqrt(2)), modelled), modelled=modelled,
        rand=errors.combine(one.rand, two.rand),
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

    Formula: slope of the hips' way in heights × the given height, over `common.compute_speed_over_steps`. Range 0..12.
    Without a given height, or with a moving camera: none. sys: at least 1 % of height over the span, 3 % of stature,
    and what camera and line leave in doubt. Source: Ramachandran 2021 (r 0.50 with ball speed).
    """
    if scene.options.height_m is None:
        return refused("metres need the athlete's height", "Give the athlete's height (--height).")
    if scene.camera_moves:
        return common.CAMERA_MOVES
    if len(run_up) < 2:
        return NO_RUN_UP
    reading = common.compute_speed_over_steps(scene, run_up)
    return common.to_metres(reading, scene.options.height_m)


def compute_run_up_speed_ratio(scene: Scene, run_up: tuple[Step, ...], until_s: float) -> Outcome:
    """Hip speed in the last third of the visible run-up / in its middle third; side. Below 1: slows before delivery.

    Formula: slope of the hips' way over the last third / over the middle third, by time from the first step seen to the
    delivery; the stature drops out. Range 0..2. Fewer than 3 steps, or a moving camera: none. sys: at least 1 % of
    height of displacement or the hips' slow error in each third, and 3 % of scale.
    """
    if scene.camera_moves:
        return common.CAMERA_MOVES
    if len(run_up) < 3:
        return NO_RUN_UP
    start, third = run_up[0].time_s, (until_s - run_up[0].time_s) / 3
    middle = common.compute_speed_between(scene, start + third, start + 2 * third)
    last = common.compute_speed_between(scene, start + 2 * third, until_s)
    if isinstance(middle, Verdict) or isinstance(last, Verdict):
        return middle if isinstance(middle, Verdict) else last
    one, two = float(middle.value), float(last.value)
    if one <= 0:
        return NO_RUN_UP
    real_third = third / scene.motion.slowmo
    ratio = two / one
    local = float(np.ptp(scene.motion.stature)) > 0.0
    scale = np.sqrt(2) * errors.LOCAL_SCALE_SYS if local else errors.LOCAL_SCALE_SYS
    drift = max(errors.DISPLACEMENT_SYS / real_third, common.slope_drift(scene.motion, start + 2 * third, until_s))
    return Reading(
        value=ratio, sys=ratio * errors.combine(drift / one, drift / two, float(scale)),
        rand=ratio * errors.combine(middle.rand / one, last.rand / two),
        evidence=evidence_over(scene.motion, start + third, until_s),
    )  # fmt: skip


def compute_release_height(scene: Scene, delivery: Delivery) -> Outcome:
    """Height of the bowling wrist above the ground at release, % of height, 80..140; any view.

    Formula: wrist above the lower ankle + 3.9 % (ankle height, Drillis and Contini). sys: 2 % for each of the two
    keypoints and 3 % of stature. The far arm of a side view is degraded: the model may draw it on the trunk.
    """
    height = scene.height_above_feet(f"{delivery.arm}_wrist", "arm")
    i = scene.motion.at(delivery.events["release"].time_s)
    sys = scene.offset_sys(float(np.nan_to_num(height.values[i])), 1, 1)
    camera = scene.scale_sys(float(np.nan_to_num(height.values[i])))
    return read_at(scene.motion, height, delivery.events["release"], sys, "release", camera=camera)


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
        value=(release.time_s - contact.time_s) / motion.slowmo, sys=errors.RELEASE_SYS_S, modelled=0.0,
        rand=float(rand),
        evidence=evidence_over(motion, contact.time_s, release.time_s, motion.at(release.time_s),
        motion.at(contact.time_s)),
    )  # fmt: skip


def compute_head_sideways(scene: Scene, delivery: Delivery) -> Outcome:
    """Head against the middle of the feet, sideways, % of height, positive away from the bowling arm; front or behind.

    Formula: median over release − 0.12 s to release + 0.08 s of (head − mid-ankles)ₓ / stature. Range -60..60. Seen in
    under 60 % of it: none. sys: at least 2 % a keypoint and 2° of unknown roll over the height of the head.

    These are the 0.2 s from front-foot contact of a delivery that takes 0.12 s from contact to release. Along the pitch
    no contact is given, for those found were often another step's; a release is found in nineteen deliveries of twenty.
    """
    release = delivery.events["release"]
    motion, sign = scene.motion, _away_from_arm(scene, delivery)
    offset = scene.distance("head", "feet", 0, "contact")
    turned = replace(offset, values=sign * offset.values)
    start_s = release.time_s - CONTACT_BEFORE_S * motion.slowmo
    span = (start_s, start_s + WINDOW_S * motion.slowmo)
    camera = errors.combine(errors.roll_sys(90.0), errors.along_sys(HEAD_AHEAD))
    sys = errors.combine(scene.offset_sys(0.0, 1, 2), camera)
    return read_over(motion, turned, span, sys, "around release", camera=camera, moment=release)


def compute_foot_line_offset(scene: Scene, delivery: Delivery) -> Outcome:
    """Front foot off the line of travel through the back foot, % of height; front or behind.

    Formula: (front ankle − mid-hips)ₓ, median over release ± 0.06 s, less (back ankle − mid-hips)ₓ, median over release
    − 0.26 to − 0.14 s, in statures; positive towards the bowling arm's side (across the body). Range -50..50. A foot or
    the hips seen in under 60 % of its span: none. sys: at least 2 % for each of two keypoints.

    A planted foot stays where it landed, and the hips drift on as much after the one contact as after the other, so
    these spans within both stands stand for the contacts, which the view along the pitch seldom shows.
    """
    release, motion = delivery.events["release"], scene.motion
    ahead = {side: scene.distance(f"{side}_ankle", "hips", 0, "contact") for side in (delivery.front, delivery.arm)}
    stands = ((delivery.front, FRONT_STANDS_S, "front"), (delivery.arm, BACK_STANDS_S, "back"))
    feet = []
    for side, (since, until), name in stands:
        span = (release.time_s + since * motion.slowmo, release.time_s + until * motion.slowmo)
        foot = read_over(motion, ahead[side], span, 0.0, f"while the {name} foot stood", moment=release)
        if isinstance(foot, Verdict):
            return foot
        feet.append(foot)
    front, back = feet
    value = -_away_from_arm(scene, delivery) * (float(front.value) - float(back.value))
    modelled = errors.combine(
        *(float(foot.modelled or 0.0) for foot in feet), scene.scale_sys(value), errors.along_sys(FOOT_AHEAD)
    )
    sys = max(scene.offset_sys(value, 1, 1), modelled)
    rand = errors.combine(front.rand, back.rand)
    i, j = (motion.at(release.time_s + sum(span) / 2 * motion.slowmo) for span in (FRONT_STANDS_S, BACK_STANDS_S))
    return Reading(value=value, sys=sys, modelled=modelled, rand=rand, evidence=evidence_at(motion, i, j))


def _away_from_arm(scene: Scene, delivery: Delivery) -> int:
    """1 where the picture's right is the athlete's side away from the bowling arm; -1 where it is the arm's; else 1."""
    left = scene.athletes_left or 1
    return left if delivery.arm == "right" else -left
