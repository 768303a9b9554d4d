"""Shots: stance, top of the backlift, front-foot plant, impact, finish."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from models.documents import Event
from pipeline.biomechanics.errors import Array
from pipeline.biomechanics.events.contacts import WANDER, Stretch, find_plants
from pipeline.biomechanics.scene import Scene
from pipeline.biomechanics.steps import Side

HAND_SPEED, HAND_SPEED_ALONG = 200.0, 130.0
"""% of height per second relative to the hips, at the middle of the hands; along the pitch only the fall is seen."""
HANDS_TOGETHER, TOGETHER_SHARE = 16.0, 0.35
"""% of height: both hands on one handle, in at least this share of the last 1.5 s before impact: the model draws the
wrist that it does not see on the trunk, in two frames of five from the side."""
TOGETHER_S = 1.5
APART_SHARE = 0.05
"""Of the frames with the wrists apart: up to that many, both are where the hands are."""
SPEED_NOISE = 35.0
"""% of height per second: 1.5 times what the slow error (2 %, 0.3 s) of wrist and hips makes of a speed at 6 Hz
(2 % · √(4 · 6 Hz / 0.3 s) = 18 for the wrist, 13 for mid-hips, and the white noise). Hands that are slower than their
peak by less may have been the fastest."""
NEAR_S = 0.15
"""How far impact may lie from the peak at 12 Hz, which the noise moves more than one at 6 Hz."""
RISING = 0.25
"""Share of the hands' speed that may go upwards in the downswing: more is the backlift or the finish."""
DOWNSWING = 12.0
"""% of height by which the hands come down from the top of the backlift to impact."""
BACKLIFT_S = 1.0
IMPACT_FRAMES, IMPACT_S = 1.5, 0.02
"""Half-width of an impact, at least."""
STANCE_S = 0.4
STANCE_BEFORE_S = 2.5
STANCE_STILL = 40.0
"""% of height per second of the hips: a batter who waits."""
STRIDE_STILL = 40.0
"""% of height per second: twice the wander of a planted ankle. A short stride (15 % in 0.3 s) hardly exceeds 60."""
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

    Impact: peak speed of the hands relative to the hips while they do not rise, both on one handle, after a downswing;
    the middle of the frames within `SPEED_NOISE` of it, with those about it in which the hands are too fast to be seen.
    """
    motion, real, grip = scene.motion, scene.motion.real_s, choose_hands(scene)
    hands = motion.velocity(motion.point(grip, "contact")) - motion.velocity(motion.point("hips", "contact"))
    speed = np.hypot(hands[:, 0], hands[:, 1])
    falling = np.where(hands[:, 1] <= RISING * speed, speed, 0.0)
    together = compute_apart(scene) <= HANDS_TOGETHER
    height = scene.distance(grip, "hips", 1, "contact").values
    gap = max(1, round(1.5 * motion.fps))
    fast = HAND_SPEED if scene.athletes_left is None else HAND_SPEED_ALONG
    peaks, _ = find_peaks(np.nan_to_num(falling, nan=0.0), height=fast, distance=gap)
    shots = []
    for impact in (int(p) for p in peaks):
        before = np.flatnonzero((real >= real[impact] - BACKLIFT_S) & (real <= real[impact]) & ~np.isnan(height))
        top = int(before[np.argmax(height[before])]) if len(before) else impact
        held = (real >= real[impact] - TOGETHER_S) & (real <= real[impact])
        if height[top] - height[impact] < DOWNSWING or np.mean(together[held]) < TOGETHER_SHARE:
            continue
        shots.append(_complete(scene, top, _time_impact(scene, grip, impact), grip))
    return tuple(shots)


def _time_impact(scene: Scene, grip: str, peak: int) -> Event:
    motion, point = scene.motion, scene.motion.point
    hands = motion.velocity(point(grip)) - motion.velocity(point("hips"))
    speed = np.hypot(hands[:, 0], hands[:, 1])
    near = motion.window(motion.times_s[peak] - NEAR_S * motion.slowmo, motion.times_s[peak] + NEAR_S * motion.slowmo)
    peak = int(near[np.argmax(np.nan_to_num(speed[near], nan=0.0))])
    slow = np.flatnonzero((speed < speed[peak] - SPEED_NOISE) & point(grip).trusted)
    first = max(int(slow[slow < peak].max(initial=-1)) + 1, int(near[0]))
    last = min(int(slow[slow > peak].min(initial=len(speed))) - 1, int(near[-1]))
    start, end = float(motion.times_s[first]), float(motion.times_s[last])
    width = max(IMPACT_FRAMES * motion.frame_s, IMPACT_S * motion.slowmo, (end - start) / 2)
    return Event(time_s=(start + end) / 2, half_width_s=width)


def choose_hands(scene: Scene) -> str:
    """The point that shows the hands: the middle of both wrists, or one wrist where the other is drawn on the trunk.

    Both hold one handle. So where they are apart one is not where it is drawn, and that is the one nearer to the middle
    of the trunk: there the model puts a wrist that it does not see. One wrist for the whole clip: paths do not jump.
    """
    apart = compute_apart(scene) > HANDS_TOGETHER
    if np.mean(apart) <= APART_SHARE:
        return "hands"
    point = scene.motion.point
    trunk = (point("shoulders", "contact").path + point("hips", "contact").path) / 2
    left, right = (np.hypot(*(point(f"{side}_wrist", "contact").path - trunk).T) for side in ("left", "right"))
    return "right_wrist" if np.sum(apart & (left < right)) > np.sum(apart & (left > right)) else "left_wrist"


def compute_apart(scene: Scene) -> Array:
    """(T,) distance between the wrists, % of height; NaN where not seen."""
    return np.hypot(*(scene.distance("left_wrist", "right_wrist", axis, "contact").values for axis in (0, 1)))


def _complete(scene: Scene, top: int, hit: Event, grip: str) -> Shot:
    real, impact = scene.motion.real_s, scene.motion.at(hit.time_s)
    stance = find_stance(scene, real[top])
    front = find_front_foot(scene, stance, impact)
    events: dict[str, Event] = {}
    if stance is not None:
        middle = (stance[0] + stance[1]) / 2
        events["stance"] = Event(time_s=middle, half_width_s=(stance[1] - stance[0]) / 2)
    events["backlift_top"] = scene.event(top, 2.0)
    if front is not None:
        since = scene.motion.at(stance[1]) if stance else top
        plant = find_plant(scene, front, since, impact)
        if plant is not None and front_foot_moved(scene, front, stance, plant.first):
            events["front_foot_plant"] = scene.contact(front, plant)
    events["impact"] = hit
    after = scene.distance(grip, "hips", 1, "contact").values
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
            return motion.to_clip(float(first)), float(motion.times_s[end])
    return None


def find_plant(scene: Scene, side: Side, since: int, impact: int) -> Stretch | None:
    """The stand in which the foot is at impact, begun after `since`: the first plant in the place of the last one.

    A foot that seems to stir after it has landed stands on. Along the pitch a stride shows only its low lift, and not
    when it ends: none there.
    """
    motion = scene.motion
    if scene.athletes_left is not None:
        return None
    found = find_plants(motion, side, along=False, floor=STRIDE_STILL)
    plants = [plant for plant in found if since < plant.first <= impact + 1]
    path = motion.point(f"{side}_ankle", "contact").path / motion.stature[:, None] * 100
    places = [np.nanmedian(path[plant.first : plant.last + 1], axis=0) for plant in plants]
    first = None
    for plant, place in zip(reversed(plants), reversed(places), strict=True):
        if np.hypot(*(place - places[-1])) > WANDER:
            break
        first = plant
    return first


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
