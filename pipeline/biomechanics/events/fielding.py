"""Ground fielding: the lowest point, the pick-up, and a throw after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from models.documents import Event
from pipeline.biomechanics.scene import Scene
from pipeline.biomechanics.signals import segments
from pipeline.biomechanics.steps import Side

HAND_LOW = 22.0
"""% of height above the ground: standing, a hanging wrist is at 48."""
HIPS_DROP = 6.0
"""% of height below their median."""
FALL_MAX = 200.0
"""% of height per second downwards: whose feet stand can let the hips drop from 53 % of height to 15 %, and even a free
fall over that way ends at √(2 g · 0.38 / 1.75 m) = 2.06 heights a second. Faster is a jump or a tumble."""
FALL_S = 1.0
THROW_S = 3.0
THROW_SPEED = 300.0
"""% of height per second of the wrist relative to the hips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PickUp:
    """One pick-up, as far as it was seen."""

    hand: Side
    throwing: Side | None
    events: dict[str, Event]


def find_pick_ups(scene: Scene) -> tuple[PickUp, ...]:
    """Moments with a hand near the ground and the hips down, at least 1.5 s apart.

    Nobody who comes down from a jump or a tumble picks up a ball with it: no pick-up within a second after the hips
    fell faster than feet on the ground allow (`FALL_MAX`).
    Pick-up: the lower wrist's lowest frame, under 22 % of height. Lowest point: of the hips, within half a second of
    it.
    """
    motion, real = scene.motion, scene.motion.real_s
    heights = {side: scene.height_above_feet(f"{side}_wrist").values for side in ("left", "right")}
    lower = np.fmin(heights["left"], heights["right"])
    hips = scene.height_above_feet("hips").values
    if np.isnan(hips).all():
        return ()
    usual = float(np.nanpercentile(hips, 75))
    gap = max(1, round(1.5 * motion.fps))
    found = []
    for part in segments(real, ~np.isnan(lower)):
        dips, _ = find_peaks(-np.pad(lower[part], 1, constant_values=np.inf), height=-HAND_LOW, distance=gap)
        for i in (part.start + int(d) - 1 for d in dips):
            near = np.flatnonzero((np.abs(real - real[i]) <= 0.5) & ~np.isnan(hips))
            if not len(near) or usual - np.min(hips[near]) < HIPS_DROP:
                continue
            if _falls_before(scene, i):
                continue
            lowest = int(near[np.argmin(hips[near])])
            hand: Side = "left" if np.nan_to_num(heights["left"][i], nan=np.inf) <= np.nan_to_num(
                heights["right"][i], nan=np.inf) else "right"  # fmt: skip
            events = {"lowest_point": scene.event(lowest, 2.0), "pick_up": scene.event(i, 1.5, 0.02)}
            throw = _find_throw(scene, i)
            if throw is not None:
                events["throw_release"] = scene.event(throw[0], 1.5, 0.022)
            found.append(PickUp(hand=hand, throwing=throw[1] if throw else None, events=events))
    return tuple(found)


def _falls_before(scene: Scene, index: int) -> bool:
    """Whether the hips fell through the air in the second that ends here."""
    motion = scene.motion
    rise = motion.velocity(motion.point("hips"))[:, 1]
    before = motion.window(float(motion.times_s[index]) - FALL_S * motion.slowmo, float(motion.times_s[index]))
    return bool(np.any(rise[before] < -FALL_MAX))  # what was not seen is NaN and no fall


def _find_throw(scene: Scene, pick_up: int) -> tuple[int, Side] | None:
    """The fastest moment of a wrist above its shoulder within 3 s after the pick-up, and whose it is."""
    motion, real = scene.motion, scene.motion.real_s
    hips = motion.velocity(motion.point("hips", "contact"))
    best: tuple[float, int, Side] | None = None
    sides: tuple[Side, ...] = ("left", "right")
    for side in sides:
        velocity = motion.velocity(motion.point(f"{side}_wrist", "arm")) - hips
        speed = np.hypot(velocity[:, 0], velocity[:, 1])
        above = scene.distance(f"{side}_wrist", f"{side}_shoulder", 1, "arm").values > 0
        allowed = above & (real > real[pick_up] + 0.2) & (real <= real[pick_up] + THROW_S) & ~np.isnan(speed)
        for i in np.flatnonzero(allowed & (speed >= THROW_SPEED)):
            if best is None or speed[i] > best[0]:
                best = (float(speed[i]), int(i), side)
    return None if best is None else (best[1], best[2])
