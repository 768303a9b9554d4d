"""Steps seen from the side, and which way the athlete faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.signal import find_peaks

from pipeline.biomechanics.errors import POSITION_SYS, Array, combine
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
PASSES_S = 0.75
"""Real seconds from its peak within which the hips pass over a foot: half a step of the slowest amble, and more."""
STANDS_S = 0.2
"""Real seconds from its peak within which a foot has come to stand, a runner's last step and a walker's alike."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A foot comes down in front of the hips."""

    side: Side
    index: int
    """Frame of the motion."""
    time_s: float
    half_width_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Passing:
    """The hips pass over a step's foot."""

    time_s: float
    """Clip seconds."""
    doubt_s: float
    """One standard error of it, real seconds."""
    speed: float
    """At which the foot falls behind the hips, % of height per real second."""


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
    """Foot contacts of walking and running, seen from the side: peaks of foot minus hips along the direction of
    travel.

    Zeni, Richards and Higginson 2008 (Gait Posture 27:710), on 6 Hz paths. The foot is the ankle, or the middle of
    ankle, heel and toes where the skeleton has them: it comes farther forward. Both feet in order of time; of two
    within 0.12 s the lower peak is dropped. Empty where `facing` is 0.
    """
    if facing == 0:
        return ()
    found: list[tuple[int, Side, float]] = []
    sides: tuple[Side, ...] = ("left", "right")
    for side in sides:
        ahead = _ahead(motion, facing, side)
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


def find_passing(motion: Motion, facing: int, step: Step) -> Passing | None:
    """When the hips pass over a step's foot.

    The first descent of foot minus hips through 0 after the step's peak, between frames by a straight line. There the
    foot stands and falls behind at the hips' speed, so that neither the low-pass, which rounds the peak and moves it,
    nor a hole between merged legs shifts it. Error: place of foot and mid-hips (2 % of height a keypoint, the white
    noise, and a sixth of its way in a hole: it was surely between the ends, and most likely in the middle) / that
    speed. None where it is not seen within 0.75 s, or the foot comes forward again before.
    """
    ahead, real = _ahead(motion, facing, step.side), motion.real_s
    after = np.flatnonzero((real >= real[step.index]) & (real <= real[step.index] + PASSES_S))
    own = ahead[after]
    passed = np.flatnonzero((own[:-1] >= 0) & (own[1:] < 0))
    own = own[: passed[0] + 2] if len(passed) else own[:0]
    again = own - np.minimum.accumulate(own) > PROMINENCE
    if not len(passed) or np.isnan(own).any() or again.any():
        return None
    i = int(after[passed[0]])
    fall = float(ahead[i] - ahead[i + 1])
    time_s = float(motion.times_s[i] + (motion.times_s[i + 1] - motion.times_s[i]) * ahead[i] / fall)
    points = motion.point(f"{step.side}_foot"), motion.point("hips")
    white = combine(*(point.sigma for point in points)) / float(motion.stature[i]) * 100
    hidden = find_unseen_way(motion, step.side, i) / 6
    place = combine(POSITION_SYS, POSITION_SYS / np.sqrt(2), white, hidden)
    speed = fall / float(real[i + 1] - real[i])
    return Passing(time_s=time_s, doubt_s=place / speed, speed=speed)


def find_unseen_way(motion: Motion, side: Side, index: int) -> float:
    """How far a foot came across the picture while it was not seen around a frame, % of height; 0 where it was seen.

    Legs that pass each other hide the foot that stands just when the hips are over it. What fills the hole is one of
    many ways between its ends.
    """
    ankle = motion.names.index(f"{side}_ankle")
    seen = np.flatnonzero(motion.trusted[:, ankle])
    after = int(np.searchsorted(seen, index))
    if after == len(seen) or seen[after] == index or after == 0:
        return 0.0
    ends = motion.cleaned[seen[[after - 1, after]], ankle, 0]
    return float(abs(ends[1] - ends[0]) / motion.stature[index] * 100)


def find_stand(motion: Motion, step: Step) -> tuple[int, float] | None:
    """Where a step's foot stands: the frame within 0.2 s from its peak in which it is slowest across the picture, and x
    there, pixels (12 Hz path).

    At the peak itself it still swings, by as much as the low-pass moved that. In the middle of a stand the path is even
    on both sides, and a hole between merged legs begins and ends where the foot is. None where it was not seen.
    """
    real, path = motion.real_s, motion.point(f"{step.side}_ankle", "contact").path[:, 0]
    speed = np.abs(np.gradient(path, real))
    window = np.flatnonzero((real >= real[step.index]) & (real <= real[step.index] + STANDS_S) & ~np.isnan(speed))
    if not len(window):
        return None
    i = int(window[np.argmin(speed[window])])
    return i, float(path[i])


def find_reach(motion: Motion, facing: int, run: Sequence[Step]) -> float:
    """How far the feet come forward of the hips, median over the steps, % of height (6 Hz)."""
    return float(np.median([_ahead(motion, facing, step.side)[step.index] for step in run]))


def _ahead(motion: Motion, facing: int, side: Side) -> Array:
    """(T,) foot before the hips, % of height, 6 Hz."""
    hips = motion.point("hips").path[:, 0]
    return np.asarray(facing * (motion.point(f"{side}_foot").path[:, 0] - hips) / motion.stature * 100)
