"""The delivery stride: from where the back foot came down to where the front one did."""

from __future__ import annotations

import numpy as np

from models.documents import Event
from pipeline.biomechanics import errors
from pipeline.biomechanics.events.bowling import Delivery
from pipeline.biomechanics.events.contacts import SEEN_MIN_S
from pipeline.biomechanics.gates import refused
from pipeline.biomechanics.metrics import common
from pipeline.biomechanics.metrics.front_knee import NO_CONTACT
from pipeline.biomechanics.readings import Outcome, Reading, evidence_at
from pipeline.biomechanics.scene import Scene
from pipeline.biomechanics.steps import Side

FOOT_ACROSS_SYS = 8.0
"""% of height by which the front foot lands off the back foot's line, one way or the other: within ± 14, evenly."""
FOOT_STANDS_S = 0.1
"""Real seconds from its contact on in which either foot of a delivery stays where it landed."""
NO_BACK_CONTACT = refused("back-foot contact was not found", "Keep the feet in the picture and unobstructed.")


def compute_stride_length(scene: Scene, delivery: Delivery) -> Outcome:
    """Where the back foot came down to where the front one did, along the way, % of height, 0..150; side.

    Formula: way from the back ankle to the front one, each the median of the 0.1 s from its contact on. A foot seen in
    less than 0.03 s of it, or a moving camera, which shifts one contact against the other: none. rand: 2 % a place, for
    between two deliveries the model forgets how it erred, the white noise, and what each place changes when its 0.1 s
    move by the contact's half-width either way, half of it / √3. sys: at least 5.75 % (Sports Biomech 2022), 3 % of
    stature, what camera and line leave in doubt, and what a camera off square shows along the way of feet that land
    across it.
    """
    contact, back = delivery.events.get("front_foot_contact"), delivery.events.get("back_foot_contact")
    if contact is None or back is None:
        return NO_CONTACT if contact is None else NO_BACK_CONTACT
    if scene.camera_moves:
        return common.CAMERA_MOVES
    motion = scene.motion
    front, rear = _foot_place(scene, delivery.front, contact), _foot_place(scene, delivery.arm, back)
    if front is None or rear is None:
        return refused("a foot was not seen at its contact", "Keep the feet in the picture and unobstructed.")
    value = abs(common.gap_between(scene, rear, front))
    middle = float(motion.point("hips").path[motion.at(contact.time_s), 0])
    across = FOOT_ACROSS_SYS * float(np.tan(np.radians(scene.travel.yaw or 0.0)))
    camera = errors.combine(errors.STATURE_SYS * value, common.way_sys(scene, middle) * value, across)
    return Reading(
        value=value, sys=errors.combine(errors.STRIDE_SYS, camera), modelled=camera,
        rand=errors.combine(_place_rand(scene, delivery.front, contact), _place_rand(scene, delivery.arm, back)),
        evidence=evidence_at(motion, front[0], rear[0]),
    )  # fmt: skip


def _place_rand(scene: Scene, side: Side, contact: Event) -> float:
    """% of height: what of a foot's place is another in the next delivery."""
    motion = scene.motion
    white = motion.noise[motion.names.index(f"{side}_ankle")] / motion.stature[motion.at(contact.time_s)] * 100
    early, late = (_foot_place(scene, side, contact, by * contact.half_width_s) for by in (-1, 1))
    moved = 0.0 if early is None or late is None else common.gap_between(scene, early, late) / 2
    return errors.combine(errors.POSITION_SYS, float(white), moved / float(np.sqrt(3)))


def _foot_place(scene: Scene, side: Side, contact: Event, later_s: float = 0.0) -> tuple[int, float] | None:
    """A frame that shows a foot in the 0.1 s from its contact on, when it stands where it landed, and x there, pixels.

    The median of what was seen then: the moment itself is often hidden, when one leg passes behind the other. None
    where less than 0.03 s of it was seen. `later_s`: clip seconds after the contact from which it is looked at.
    """
    motion = scene.motion
    start_s = contact.time_s + later_s
    window = motion.window(start_s, start_s + FOOT_STANDS_S * motion.slowmo)
    x = motion.cleaned[window, motion.names.index(f"{side}_ankle"), 0]
    seen = window[~np.isnan(x)]
    if len(seen) < max(1, SEEN_MIN_S * motion.fps):
        return None
    return int(seen[0]), float(np.nanmedian(x))
