"""The bowler's front knee from contact to release."""

from __future__ import annotations

import numpy as np

from pipeline.biomechanics import errors
from pipeline.biomechanics.events.bowling import Delivery
from pipeline.biomechanics.gates import ADVISED_FPS, Verdict, refused, worst
from pipeline.biomechanics.readings import Outcome, Reading, read_at, read_over
from pipeline.biomechanics.scene import Scene

WINDOW_S = 0.2
CLASS_FPS = 60.0
CLASS_STEP = 10.0
NO_CONTACT = refused("front-foot contact was not found", "Keep the feet in the picture and unobstructed.")


def compute_front_knee(scene: Scene, delivery: Delivery) -> dict[str, Outcome]:
    """Front knee at contact, its minimum, at release (degrees, 180 = straight), and the class of its action.

    Formula: angle hip-knee-ankle in the picture, 12 Hz paths; the minimum over contact to contact + 0.2 s. Range
    0..180. Knee or ankle not seen within a frame of the moment, or in over 40 % of the window: none. sys: at least 8°
    (`errors.KNEE_SYS`) with what the low-pass flattens.
    """
    contact, release = delivery.events.get("front_foot_contact"), delivery.events["release"]
    knee = scene.knee(delivery.front)
    at_release = read_at(scene.motion, knee, release, scene.knee_sys, "release", camera=scene.knee_camera)
    if contact is None:
        return {
            "front_knee_angle_contact": NO_CONTACT, "front_knee_min": NO_CONTACT,
            "front_knee_angle_release": at_release, "front_knee_class": NO_CONTACT,
        }  # fmt: skip
    at_contact = read_at(scene.motion, knee, contact, scene.knee_sys, "front-foot contact", camera=scene.knee_camera)
    span = (contact.time_s, contact.time_s + WINDOW_S * scene.motion.slowmo)
    lowest = read_over(
        scene.motion,
        knee,
        span,
        scene.knee_sys,
        "after front-foot contact",
        camera=scene.knee_camera,
        reduce=np.min,
        moment=contact,
    )  # fmt: skip
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
        reason = f"needs at least {CLASS_FPS:g} real frames a second; there are {fps:.0f}"
        return refused(reason, f"Film at {ADVISED_FPS} frames a second or more.")
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
