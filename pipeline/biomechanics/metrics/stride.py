"""The delivery stride: from where the back foot came down to where the front one did."""

from __future__ import annotations

import numpy as np

from models.documents import Event
from pipeline.biomechanics import errors
from pipeline.biomechanics.events.bowling import Delivery
from pipeline.biomechanics.events.contacts import SEEN_MIN_S
from pipeline.biomechanics.gates import Verdict, judge_timing, refused
from pipeline.biomechanics.metrics import common
from pipeline.biomechanics.metrics.front_knee import NO_CONTACT
from pipeline.biomechanics.readings import Outcome, Reading, evidence_at
from pipeline.biomechanics.scene import Scene
from pipeline.biomechanics.steps import Side

FOOT_STANDS_S = 0.1
"""Real seconds from its contact on in which either foot of a delivery stays where it landed."""
NO_BACK_CONTACT = refused("back-foot contact was not found", "Keep the feet in the picture and unobstructed.")


def compute_stride_length(scene: Scene, delivery: Delivery) -> Outcome:
    """Where the back foot came down to where the front one did, along the way, % of height, 0..150; side.

    Formula: way from the back ankle to the front one, each the median of the 0.1 s from its contact on. A foot seen in
    less than 0.03 s of it, or a moving camera, which shifts one contact against the other: none. sys: at least 5.75 %
    (Sports Biomech 2022), 3 % of stature, and what camera and line leave in doubt.
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
    middle = float(scene.motion.point("hips").path[scene.motion.at(contact.time_s), 0])
    camera = errors.combine(errors.STATURE_SYS, common.way_sys(scene, middle)) * value
    modelled = errors.combine(float(across.modelled or 0.0), camera)
    sys = max(errors.combine(errors.STRIDE_SYS, camera), modelled)
    return Reading(
        value=value, sys=sys, modelled=modelled, rand=across.rand, verdict=judge_timing(0.0, sys),
        evidence=across.evidence,
    )  # fmt: skip


def _between_contacts(scene: Scene, delivery: Delivery, contact: Event, back: Event) -> Outcome:
    """Front foot's place less the back foot's, along the way, % of height; `sys` is left 0."""
    motion = scene.motion
    landed, stood = _foot_place(scene, delivery.front, contact), _foot_place(scene, delivery.arm, back)
    if landed is None or stood is None:
        return refused("a foot was not seen at its contact", "Keep the feet in the picture and unobstructed.")
    (i, front), (j, rear) = landed, stood
    gap = common.gap_between(scene, (j, rear), (i, front))
    noise = [motion.noise[motion.names.index(f"{side}_ankle")] for side in (delivery.front, delivery.arm)]
    rand = np.hypot(*noise) / motion.stature[i] * 100
    slow = errors.combine(errors.POSITION_SYS, errors.POSITION_SYS)  # two ankles: each drifts on its own
    return Reading(value=gap, sys=0.0, modelled=slow, rand=float(rand), evidence=evidence_at(motion, i, j))


def _foot_place(scene: Scene, side: Side, contact: Event) -> tuple[int, float] | None:
    """A frame that shows a foot in the 0.1 s from its contact on, when it stands where it landed, and x there, pixels.

    The median of what was seen then: the moment itself is often hidden, when one leg passes behind the other. None
    where less than 0.03 s of it was seen.
    """
    motion = scene.motion
    window = motion.window(contact.time_s, contact.time_s + FOOT_STANDS_S * motion.slowmo)
    x = motion.cleaned[window, motion.names.index(f"{side}_ankle"), 0]
    seen = window[~np.isnan(x)]
    if len(seen) < max(1, SEEN_MIN_S * motion.fps):
        return None
    return int(seen[0]), float(np.nanmedian(x))
