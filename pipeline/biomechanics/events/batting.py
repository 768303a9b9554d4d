"""Shots: stance, top of the backlift, front-foot plant, impact, finish."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from models.documents import Event
from pipeline.biomechanics.events.contacts import find_plants
from pipeline.biomechanics.scene import Scene
from pipeline.biomechanics.steps import Side

HAND_SPEED, HAND_SPEED_ALONG = 250.0, 130.0
"""% of height per second relative to the hips, at the middle of the hands; along the pitch only the fall is seen."""
HANDS_TOGETHER = 16.0
"""% of height: both hands on one handle."""
DOWNSWING = 12.0
"""% of height by which the hands come down from the top of the backlift to impact."""
BACKLIFT_S = 1.0
STANCE_S = 0.4
STANCE_BEFORE_S = 2.5
STANCE_STILL = 40.0
"""% of height per second of the hips: a batter who waits."""
STRIDE_MIN = 4.0
"""% of height: a front foot that moves less has not stridden."""
FINISH_S = 0.8


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """One shot, as far as it was seen."""

    front: Side | None
    """The foot that strides, or the one that handedness says."""
    stance: tuple[float, float] | None
    """Span of the stance, clip seconds."""
    events: dict[str, Event]
    clear: float = 1.0
    """How clearly it is this foot, 0..1: 1 minus how far the other one moved / how far it did."""

    @property
    def hand(self) -> Side | None:
        """The batting hand: right for one who strides with the left foot."""
        return {"left": "right", "right": "left"}.get(self.front or "")  # type: ignore[return-value]  # the type's own


def find_shots(scene: Scene) -> tuple[Shot, ...]:
    """Every shot in order of time; of two within 1.5 s the faster counts.

    Impact: peak speed of the middle of the hands relative to the hips, both hands together, after a downswing.
    """
    motion, real = scene.motion, scene.motion.real_s
    hands = motion.velocity(motion.point("hands", "contact")) - motion.velocity(motion.point("hips", "contact"))
    speed = np.hypot(hands[:, 0], hands[:, 1])
    apart = np.hypot(*(scene.distance("left_wrist", "right_wrist", axis, "contact").values for axis in (0, 1)))
    height = scene.distance("hands", "hips", 1, "contact").values
    gap = max(1, round(1.5 * motion.fps))
    fast = HAND_SPEED if scene.athletes_left is None else HAND_SPEED_ALONG
    peaks, _ = find_peaks(np.nan_to_num(speed, nan=0.0), height=fast, distance=gap)
    shots = []
    for impact in (int(p) for p in peaks):
        before = np.flatnonzero((real >= real[impact] - BACKLIFT_S) & (real <= real[impact]) & ~np.isnan(height))
        top = int(before[np.argmax(height[before])]) if len(before) else impact
        if height[top] - height[impact] < DOWNSWING or not np.nanmedian(apart[top : impact + 1]) <= HANDS_TOGETHER:
            continue
        shots.append(_complete(scene, top, impact))
    return tuple(shots)


def _complete(scene: Scene, top: int, impact: int) -> Shot:
    real = scene.motion.real_s
    stance = find_stance(scene, real[top])
    front = find_front_foot(scene, stance, impact)
    events: dict[str, Event] = {}
    if stance is not None:
        middle = (stance[0] + stance[1]) / 2
        events["stance"] = Event(time_s=middle, half_width_s=(stance[1] - stance[0]) / 2)
    events["backlift_top"] = scene.event(top, 2.0)
    if front is not None:
        since = scene.motion.at(stance[1]) if stance else top
        landed = [
            p
            for p in find_plants(scene.motion, front, along=scene.athletes_left is not None)
            if since < p.first <= impact + 1
        ]
        if landed and front_foot_moved(scene, front, stance, landed[-1].first):
            events["front_foot_plant"] = scene.contact(front, landed[-1])
    events["impact"] = scene.event(impact, 1.5, 0.02)
    after = scene.distance("hands", "hips", 1, "contact").values
    rest = np.flatnonzero((real > real[impact]) & (real <= real[impact] + FINISH_S) & ~np.isnan(after))
    if len(rest):
        events["finish"] = scene.event(int(rest[np.argmax(after[rest])]), 2.0)
    return Shot(front=front, stance=stance, events=events, clear=_clearness(scene, front, stance, impact))


def find_stance(scene: Scene, before_real_s: float) -> tuple[float, float] | None:
    """The last 0.4 s or more in which the hips wait, within 2.5 s before the top of the backlift; clip seconds.

    At most the last second of it. None where the hips never wait, or were not seen.
    """
    motion, real = scene.motion, scene.motion.real_s
    hips = motion.velocity(motion.point("hips"))
    still = np.hypot(hips[:, 0], hips[:, 1]) < STANCE_STILL
    still &= (real <= before_real_s) & (real >= before_real_s - STANCE_BEFORE_S)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], still.astype(np.int8), [0]))))
    for start, end in reversed(list(zip(edges[::2], edges[1::2] - 1, strict=True))):
        if real[end] - real[start] >= STANCE_S:
            first = max(real[start], real[end] - 1.0)
            return float(first * motion.slowmo), float(motion.times_s[end])
    return None


def find_front_foot(scene: Scene, stance: tuple[float, float] | None, impact: int) -> Side | None:
    """Left for a right-handed batter.

    Not given: the foot that has moved more from stance to impact; None if neither.
    """
    if scene.options.handedness:
        return "left" if scene.options.handedness == "right" else "right"
    if stance is None:
        return None
    moved = {side: _moved(scene, side, stance, impact) for side in ("left", "right")}
    if not max(np.nan_to_num(list(moved.values()), nan=0.0)) >= STRIDE_MIN:
        return None
    return "left" if np.nan_to_num(moved["left"]) >= np.nan_to_num(moved["right"]) else "right"


def _clearness(scene: Scene, front: Side | None, stance: tuple[float, float] | None, impact: int) -> float:
    if scene.options.handedness or front is None or stance is None:
        return 1.0
    back = "right" if front == "left" else "left"
    own, other = (_moved(scene, side, stance, impact) for side in (front, back))
    return float(np.clip(1 - np.nan_to_num(other) / own, 0.0, 1.0))


def front_foot_moved(scene: Scene, front: Side, stance: tuple[float, float] | None, until: int) -> bool:
    """Whether the front foot strode at all before it stood again."""
    return stance is None or bool(_moved(scene, front, stance, until) >= STRIDE_MIN)


def _moved(scene: Scene, side: str, stance: tuple[float, float], until: int) -> float:
    """Farthest that a foot comes from its place at stance, along or up, until a frame; % of height, NaN if not seen."""
    ankle = scene.motion.point(f"{side}_ankle", "contact").path
    start = ankle[scene.motion.window(*stance)]
    start = start[~np.isnan(start[:, 0])]
    later = ankle[scene.motion.at(stance[1]) : until + 1]
    later = later[~np.isnan(later[:, 0])]
    if not len(start) or not len(later):
        return float("nan")
    away = later - np.median(start, axis=0)
    return float(np.max(np.hypot(away[:, 0], away[:, 1])) / scene.motion.stature[until] * 100)
