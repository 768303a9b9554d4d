"""Steps seen from the side, and which way the athlete faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.signal import find_peaks

from pipeline.biomechanics.motion import Motion
from pipeline.biomechanics.signals import segments

Side = Literal["left", "right"]

PROMINENCE = 8.0
"""% of height by which the foot must come forward of the hips and go back again."""
AHEAD_MIN = 10.0
"""% of height in front of the hips: less is no step forward."""
SAME_FOOT_MIN_S = 0.3
STEP_MIN_S = 0.12
HALF_WIDTH_S = 0.067
"""Two frames at 30 a second: how well the peak meets footprints counted by eye."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A foot comes down in front of the hips."""

    side: Side
    index: int
    """Frame of the motion."""
    time_s: float
    half_width_s: float


def compute_facing(motion: Motion) -> int:
    """1: the athlete moves, or else looks, to the picture's right; -1: to the left; 0: neither is clear.

    Travel of at least half a stature decides; else the nose against the ears, at least 1 % of height apart in median.
    """
    hips = motion.point("hips").path[:, 0] / motion.stature
    hips = hips[~np.isnan(hips)]
    if len(hips) > 1 and abs(hips[-1] - hips[0]) >= 0.5:
        return 1 if hips[-1] > hips[0] else -1
    nose = motion.point("nose").path[:, 0]
    ears = np.stack([motion.point(f"{side}_ear").path[:, 0] for side in ("left", "right")])
    seen = ~np.isnan(ears).all(axis=0) & ~np.isnan(nose)
    if not seen.any():
        return 0
    ahead = float(np.median((nose[seen] - np.nanmean(ears[:, seen], axis=0)) / motion.stature[seen]))
    return 0 if abs(ahead) < 0.01 else int(np.sign(ahead))


def near_side(facing: int) -> Side | None:
    """The side of the body towards a camera that sees it from the side: facing right, it is the right one."""
    return {1: "right", -1: "left"}.get(facing)  # type: ignore[return-value]  # the literals are the type's


def find_steps(motion: Motion, facing: int) -> tuple[Step, ...]:
    """Foot contacts of walking and running, seen from the side: peaks of ankle minus hips along the direction of
    travel.

    Zeni, Richards and Higginson 2008 (Gait Posture 27:710), on 6 Hz paths. Both feet in order of time; of two within
    0.12 s the lower peak is dropped. Empty where `facing` is 0.
    """
    if facing == 0:
        return ()
    hips = motion.point("hips").path[:, 0]
    found: list[tuple[int, Side, float]] = []
    sides: tuple[Side, ...] = ("left", "right")
    for side in sides:
        ahead = facing * (motion.point(f"{side}_ankle").path[:, 0] - hips) / motion.stature * 100
        for part in segments(motion.real_s, ~np.isnan(ahead)):
            gap = max(1, round(SAME_FOOT_MIN_S * motion.fps))
            peaks, _ = find_peaks(ahead[part], prominence=PROMINENCE, distance=gap)
            found += [(part.start + int(i), side, float(ahead[part][i])) for i in peaks if ahead[part][i] >= AHEAD_MIN]
    kept: list[tuple[int, Side, float]] = []
    for step in sorted(found):
        if kept and motion.real_s[step[0]] - motion.real_s[kept[-1][0]] < STEP_MIN_S:
            kept[-1] = max(kept[-1], step, key=lambda s: s[2])
        else:
            kept.append(step)
    half_width = max(HALF_WIDTH_S, 1 / motion.fps) * motion.slowmo
    return tuple(
        Step(side=side, index=i, time_s=float(motion.times_s[i]), half_width_s=half_width) for i, side, _ in kept
    )
