"""The keeper's crouches and the rises out of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.documents import Event
from pipeline.biomechanics.events.contacts import find_stretches
from pipeline.biomechanics.scene import Scene

CROUCHED = 42.0
"""% of height: hips above the ground; they stand at 53."""
CROUCH_S = 0.4
RISEN = 5.0
"""% of height above the crouch's own median."""
RISE_WITHIN_S = 1.5
READY_S = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Crouch:
    """One crouch, and the rise if it was seen."""

    start_s: float
    end_s: float
    """Clip seconds; the rise, where there is one."""
    events: dict[str, Event]


def find_crouches(scene: Scene) -> tuple[Crouch, ...]:
    """Stretches of at least 0.4 s with the hips under 42 % of height, each up to the rise that follows.

    Rise: the last frame before the hips leave the crouch's median by 5 % of height upwards.
    """
    motion, real = scene.motion, scene.motion.real_s
    height = scene.height_above_feet("hips").values
    crouches = []
    for low in find_stretches(height < CROUCHED, real, CROUCH_S):
        depth = float(np.median(height[low.first : low.last + 1]))
        later = np.flatnonzero((real > real[low.first]) & (real <= real[low.last] + RISE_WITHIN_S))
        up = later[height[later] > depth + RISEN]
        up = up[up > (low.first + low.last) // 2]
        events = {"crouch": _spanning(motion.times_s[low.first], motion.times_s[low.last])}
        end = low.last
        if len(up):
            end = int(up[0]) - 1
            events = {"crouch": _spanning(motion.times_s[low.first], motion.times_s[end])}
            events["rise"] = scene.event(end, 2.0)
        crouches.append(
            Crouch(start_s=float(motion.times_s[low.first]), end_s=float(motion.times_s[end]), events=events)
        )
    return tuple(crouches)


def _spanning(start: float, end: float) -> Event:
    return Event(time_s=float(start + end) / 2, half_width_s=float(end - start) / 2)
