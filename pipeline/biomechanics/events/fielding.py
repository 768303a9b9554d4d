"""Ground fielding: the lowest point, the pick-up, and a throw after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from models.documents import Event
from pipeline.biomechanics.motion import Mask
from pipeline.biomechanics.scene import Scene
from pipeline.biomechanics.signals import segments
from pipeline.biomechanics.steps import Side

HAND_LOW = 22.0
"""% of height above the ground: standing, a hanging wrist is at 48."""
DOWN = 1.5
"""% of height by which the model's slow error changes within 0.1 s, 2 · √(2 · (1 - e^(-0.1 / 0.3))): so near its lowest
a hand is down."""
HIPS_DROP = 6.0
"""% of height below their median."""
FALL_MAX = 200.0
"""% of height per second downwards: whose feet stand can let the hips drop from 53 % of height to 15 %, and even a free
fall over that way ends at √(2 g · 0.38 / 1.75 m) = 2.06 heights a second. Faster is a jump or a tumble."""
FALL_S = 1.0
THROW_S = 3.0
THROW_SPEED = 200.0
"""% of height per second of the wrist relative to the hips: 3.5 m/s, the gentlest of lobs."""
THROW_TOP = 0.8
"""Of its peak: in that stretch the hand is at its fastest, as far as a noisy path tells."""
MOMENT_S = 0.022
"""Least half-width, that of a release (Sports Biomech 2022)."""
BLURRED_S = 0.07
"""Real seconds for which a hand at its fastest may be blurred away: the fastest that was seen is then at an edge of it,
and looks the more sudden for it."""


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
    Pick-up: the middle of the stretch in which the lower wrist is within 1.5 % of height of its lowest, which is under
    22 %; its half-width is half of that stretch. Lowest point: of the hips, within half a second of
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
            down = _around_peak(scene, lower <= lower[i] + DOWN, i, f"{hand}_wrist", MOMENT_S)
            events = {"lowest_point": scene.event(lowest, 2.0), "pick_up": down}
            throw = _find_throw(scene, i)
            if throw is not None:
                events["throw_release"] = throw[0]
            found.append(PickUp(hand=hand, throwing=throw[1] if throw else None, events=events))
    return tuple(found)


def _falls_before(scene: Scene, index: int) -> bool:
    """Whether the hips fell through the air in the second that ends here."""
    motion = scene.motion
    rise = motion.velocity(motion.point("hips"))[:, 1]
    before = motion.window(float(motion.times_s[index]) - FALL_S * motion.slowmo, float(motion.times_s[index]))
    return bool(np.any(rise[before] < -FALL_MAX))  # what was not seen is NaN and no fall


def _find_throw(scene: Scene, pick_up: int) -> tuple[Event, Side] | None:
    """The fastest moment of a hand above its shoulder within 3 s after the pick-up, and whose it is.

    The hand then goes more across the picture than up or down: an arm that is merely raised does not. From the side
    only the arm towards the camera is looked at: the model draws the far one on the trunk and back again, faster than
    any throw. The moment is the middle of the stretch at 80 % of the peak and more; the half-width is half of that
    stretch, or half of the hole in which the hand was too fast to be seen, at least 1.5 frames and 41 ms: the 22 ms of
    a release, and half of such a hole, which hardly shows where its edge passes for the fastest moment.
    """
    motion, real = scene.motion, scene.motion.real_s
    hips = motion.velocity(motion.point("hips", "contact"))
    best: tuple[float, int, Side] | None = None
    sides: tuple[Side, ...] = ("left", "right") if scene.near is None else (scene.near,)
    speeds = {}
    for side in sides:
        across, up = (motion.velocity(motion.point(f"{side}_wrist", "arm")) - hips).T
        speed = speeds[side] = np.hypot(across, up)
        above = scene.distance(f"{side}_wrist", f"{side}_shoulder", 1, "arm").values > 0
        allowed = above & (np.abs(across) > np.abs(up)) & (real > real[pick_up] + 0.2)
        allowed &= (real <= real[pick_up] + THROW_S) & ~np.isnan(speed)
        for i in np.flatnonzero(allowed & (speed >= THROW_SPEED)):
            if best is None or speed[i] > best[0]:
                best = (float(speed[i]), int(i), side)
    if best is None:
        return None
    peak, index, side = best
    return _around_peak(
        scene, speeds[side] >= THROW_TOP * peak, index, f"{side}_wrist", float(np.hypot(MOMENT_S, BLURRED_S / 2))
    ), side


def _around_peak(scene: Scene, holds: Mask, peak: int, name: str, least_s: float) -> Event:
    """The middle of the stretch of `holds` (T,) around a frame, as wide as it or as the hole in what was seen there;
    half-width at least 1.5 frames and `least_s` real seconds."""
    motion, times = scene.motion, scene.motion.times_s
    seen, over = np.flatnonzero(motion.trusted[:, motion.names.index(name)]), np.flatnonzero(~holds)
    first, last = np.max(over[over < peak], initial=-1) + 1, np.min(over[over > peak], initial=len(holds)) - 1
    middle = float(times[first] + times[last]) / 2
    i = int(np.searchsorted(times[seen], middle))
    hole = float(times[seen[i]] - times[seen[i - 1]]) if 0 < i < len(seen) else 0.0
    floor = max(least_s * motion.slowmo, 1.5 * motion.frame_s)
    return Event(time_s=middle, half_width_s=max(floor, float(times[last] - times[first]) / 2, hole / 2))
