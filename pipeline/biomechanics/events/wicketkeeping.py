"""The keeper's crouches, the rises out of them, and the takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.documents import Event
from pipeline.biomechanics.errors import Array
from pipeline.biomechanics.events.contacts import find_stretches
from pipeline.biomechanics.motion import Mask
from pipeline.biomechanics.scene import Scene

CROUCHED = 42.0
"""% of height: hips above the ground; they stand at 53."""
CROUCH_S = 0.4
RISEN = 5.0
"""% of height above the crouch's own median."""
LASTING_S = 0.2
"""The hips rise for longer than the model's slow error makes them seem to."""
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

    Rise: the last frame within 1.5 % of the crouch's median before the hips leave it by 5 % upwards for 0.2 s and more;
    the crouch itself lies between the first and the last such frame. Nor do hips that seem up for less end it.
    """
    motion, real = scene.motion, scene.motion.real_s
    height = scene.height_above_feet("hips").values
    across = motion.velocity(motion.point("hips"))[:, 0]
    crouches = []
    crouched = ~_lasting(~(height < CROUCHED), real)
    for low in find_stretches(crouched, real, CROUCH_S):
        depth = float(np.nanmedian(height[low.first : low.last + 1]))
        later = np.flatnonzero((real > real[low.first]) & (real <= real[low.last] + RISE_WITHIN_S))
        risen = _lasting(height > depth + RISEN, real)
        up = later[risen[later]]
        up = up[up > (low.first + low.last) // 2]
        down = np.arange(low.first, (up[0] if len(up) else low.last) + 1)
        down = down[height[down] <= depth + SETTLED]
        if len(down) < 2 or real[down[-1]] - real[down[0]] < CROUCH_S:
            continue
        drift = across[down][~np.isnan(across[down])]
        if len(drift) and abs(float(np.median(drift))) > TRAVEL_MAX:
            continue
        start, end = float(motion.times_s[down[0]]), float(motion.times_s[down[-1]])
        events = {"crouch": Event(time_s=(start + end) / 2, half_width_s=(end - start) / 2)}
        if len(up):
            climb_s = float(real[up[0]] - real[down[-1]])
            slow_s = HEIGHT_SLOW / (RISEN - SETTLED) * climb_s
            events["rise"] = scene.event(int(down[-1]), 2.0, min(slow_s, LASTING_S))
            take = find_take(scene, int(down[-1]))
            if take is not None:
                events["take"] = take
        crouches.append(Crouch(start_s=start, end_s=end, events=events))
    return tuple(crouches)


def _lasting(holds: Mask, real: Array) -> Mask:
    """Where `holds` (T,) does so for 0.2 s and more."""
    out = np.zeros(len(holds), dtype=bool)
    for run in find_stretches(holds, real, LASTING_S):
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
