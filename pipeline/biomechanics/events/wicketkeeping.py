"""The keeper's crouches, the rises out of them, and the takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.documents import Event
from pipeline.biomechanics.errors import Array
from pipeline.biomechanics.events.contacts import SLOW_ERROR, Stretch, find_stretches
from pipeline.biomechanics.motion import Mask
from pipeline.biomechanics.scene import Scene

CROUCHED = 42.0
"""% of height: hips above the ground; they stand at 53."""
CROUCH_S = 0.4
RISEN = 5.0
"""% of height above the crouch's own median."""
LASTING_S = 0.2
"""The hips rise for longer than the model's slow error makes them seem to."""
UNSEEN_S = 1.0
CLIMBS, CLIMB_S = 0.4, 0.3
"""Of the fastest climb within 0.3 s of it: a rise has begun. The model's slow error lifts hips at a quarter of it."""
HEIGHT_SLOW = 2.45
"""% of height: slow error of mid-hips above an ankle, √(2² / 2 + 2²); over the speed of a rise, an error in time."""
SETTLED = 1.5
"""% of height about the median: down, and not on the way."""
RISE_WITHIN_S = 1.5
READY_S = 0.5
TAKE_WITHIN_S = 1.5
HANDS_TOGETHER = 16.0
"""% of height between the wrists: the gloves form one pocket."""
HANDS_REACH = 80.0
"""% of height per second, in the picture and against the hips: hands that go to the ball of themselves."""
HANDS_STOP = 0.4
"""Of their fastest: hands that give with the ball, and stop."""
TAKE_S = 0.04
TRAVEL_MAX = 30.0
"""% of height per second along the picture: a keeper waits in one place; who rolls or runs low does not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Crouch:
    """One crouch, and the rise if it was seen."""

    start_s: float
    end_s: float
    """Clip seconds; the rise, where there is one."""
    events: dict[str, Event]


def find_crouches(scene: Scene) -> tuple[Crouch, ...]:
    """Stretches of at least 0.4 s with the hips under 42 % of height, in one place, up to the rise that follows.

    Rise: the last frame within 1.5 % of height of where the hips began to climb (at 40 % of their fastest), before they
    are up by 5 % above the crouch's median for 0.2 s and more, or to the end of the clip. Half-width: two frames, and
    with them the hips' slow error over the speed of that climb, as for a contact. Neither hips that seem up for less
    nor up to a second in which hips or feet were not seen end a crouch; it begins with the first frame within 1.5 % of
    its median.
    """
    motion, real = scene.motion, scene.motion.real_s
    height = scene.height_above_feet("hips").values
    across = motion.velocity(motion.point("hips"))[:, 0]
    ends = _lasting(height >= CROUCHED, real, LASTING_S) | _lasting(np.isnan(height), real, UNSEEN_S)
    crouches: list[Crouch] = []
    for low in find_stretches(~ends, real, CROUCH_S):
        own = height[low.first : low.last + 1]
        if np.isnan(own).all():
            continue
        depth = float(np.nanmedian(own))
        up = _find_up(height, real, low, depth)
        last = low.last if up is None else _find_rise(height, real, up)
        down = np.arange(low.first, last + 1)
        down = down[height[down] <= depth + SETTLED]
        if len(down) < 2 or real[down[-1]] - real[down[0]] < CROUCH_S:
            continue
        drift = across[down][~np.isnan(across[down])]
        if len(drift) and abs(float(np.median(drift))) > TRAVEL_MAX:
            continue
        start, end = float(motion.times_s[down[0]]), float(motion.times_s[down[-1] if up is None else last])
        if crouches and start <= crouches[-1].end_s:
            continue
        events = {"crouch": Event(time_s=(start + end) / 2, half_width_s=(end - start) / 2)}
        if up is not None:
            climb = max(float(height[up] - height[last]), SETTLED) / max(float(real[up] - real[last]), 1 / motion.fps)
            slow_s = min(SLOW_ERROR * HEIGHT_SLOW / climb, LASTING_S)
            events["rise"] = scene.event(last, 2.0, float(np.hypot(2 / motion.fps, slow_s)))
            take = find_take(scene, last)
            if take is not None:
                events["take"] = take
        crouches.append(Crouch(start_s=start, end_s=end, events=events))
    return tuple(crouches)


def _find_up(height: Array, real: Array, low: Stretch, depth: float) -> int | None:
    """The first frame in which the hips are up to stay, in the later half of a crouch or within 1.5 s after it."""
    later = np.flatnonzero((real > real[low.first]) & (real <= real[low.last] + RISE_WITHIN_S))
    risen = height > depth + RISEN
    lasting = _lasting(risen, real, LASTING_S)
    lasting[np.max(np.flatnonzero(~risen & ~np.isnan(height)), initial=-1) + 1 :] = True  # up when the clip ends
    up = later[(lasting & risen)[later]]
    up = up[up > (low.first + low.last) // 2]
    return int(up[0]) if len(up) else None


def _find_rise(height: Array, real: Array, up: int) -> int:
    """The last frame before `up` within 1.5 % of height of where the hips began to climb, by their own speed then."""
    climb = np.gradient(height, real)
    near = (real >= real[up] - CLIMB_S) & (real <= real[up] + CLIMB_S)
    slow = np.flatnonzero((real <= real[up]) & (climb < CLIMBS * np.nanmax(climb[near])))
    if not len(slow):
        return up
    begun = np.arange(slow[-1], up + 1)
    return int(begun[height[begun] <= height[slow[-1]] + SETTLED][-1])


def _lasting(holds: Mask, real: Array, shortest: float) -> Mask:
    """Where `holds` (T,) does so for so many seconds and more."""
    out = np.zeros(len(holds), dtype=bool)
    for run in find_stretches(holds, real, shortest):
        out[run.first : run.last + 1] = True
    return out


def find_take(scene: Scene, rise: int) -> Event | None:
    """When the hands, having gone to the ball, stop together: within 1.5 s after the rise; None where they do not.

    Speed is the lower of that in the picture and that against the hips: neither a body that rises past quiet hands nor
    one that carries them along reaches for a ball. The take is the first frame after the fastest at which they are
    down to 40 % of it, wrists within 16 % of height. No ball is seen: a take and a miss look alike. Half-width: half
    the way from the fastest frame, at least 2 frames and 40 ms.
    """
    motion, real = scene.motion, scene.motion.real_s
    hands, hips = (motion.velocity(motion.point(name, "contact")) for name in ("hands", "hips"))
    speed = np.minimum(np.hypot(*hands.T), np.hypot(*(hands - hips).T))
    apart = np.hypot(*(scene.distance("left_wrist", "right_wrist", axis, "contact").values for axis in (0, 1)))
    window = np.flatnonzero((real >= real[rise]) & (real <= real[rise] + TAKE_WITHIN_S) & ~np.isnan(speed))
    if not len(window) or speed[window].max() < HANDS_REACH:
        return None
    fastest = int(window[np.argmax(speed[window])])
    later = window[window > fastest]
    stopped = later[speed[later] <= HANDS_STOP * speed[fastest]]
    if not len(stopped) or not apart[stopped[0]] <= HANDS_TOGETHER:
        return None
    take = int(stopped[0])
    return scene.event(take, 2.0, max(TAKE_S, float(real[take] - real[fastest]) / 2))
