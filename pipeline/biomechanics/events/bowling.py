"""Deliveries: release, the contacts before it, the follow-through after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from models.documents import Event
from pipeline.biomechanics.errors import RELEASE_SYS_S
from pipeline.biomechanics.events.contacts import Stretch, find_plants
from pipeline.biomechanics.scene import Scene
from pipeline.biomechanics.signals import segments
from pipeline.biomechanics.steps import Side

OVERHEAD = 8.0
"""% of height by which the bowling wrist passes above the head."""
HIGH = 85.0
"""% of height by which it is above the ground: a batter's hands pass over a head that bends down to the bat, too."""
ARM_SPEED = 350.0
"""% of height per second relative to the hips, at the wrist: about 6 m/s, half of a slow bowler's."""
UPRIGHT = 60.0
ARC_S = 0.6
"""The wrist comes from below the shoulder and is below it again within this time: a circle, not a wave."""
NEAR_SPEED_S = 0.15
FRONT_FOOT_S = 0.3
BACK_FOOT_S = 0.45
"""Real seconds: front foot to release takes about 0.1, back to front foot about 0.2; what lies further back is a step
of the run-up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One delivery, as far as it was seen."""

    arm: Side
    events: dict[str, Event]
    clear: float = 1.0
    """How clearly it was this arm, 0..1: 1 minus the other arm's speed / its own, where the other went over too."""

    @property
    def front(self) -> Side:
        """The leg that lands last: opposite the bowling arm."""
        return "left" if self.arm == "right" else "right"


def find_deliveries(scene: Scene) -> tuple[Delivery, ...]:
    """Every delivery in order of time; of two releases within a second the faster arm's counts.

    Release: the bowling wrist passes its highest point above the head at speed, on an arc from below the shoulder to
    below the shoulder, while the other hand is not up too (a jumping jack) and the trunk is upright (a somersault).
    """
    given = scene.options.handedness
    arms: tuple[Side, ...] = (given,) if given else ("left", "right")
    candidates = sorted((i, speed, arm) for arm in arms for i, speed in _releases(scene, arm))
    real = scene.motion.real_s
    groups: list[list[tuple[int, float, Side]]] = []
    best: list[tuple[int, float, Side]] = []
    for candidate in candidates:
        if best and real[candidate[0]] - real[best[-1][0]] < 1.0:
            groups[-1].append(candidate)
            best[-1] = max(best[-1], candidate, key=lambda c: c[1])
        else:
            groups.append([candidate])
            best.append(candidate)
    return tuple(_complete(scene, own, group) for own, group in zip(best, groups, strict=True))


def _releases(scene: Scene, arm: Side) -> list[tuple[int, float]]:
    motion, real = scene.motion, scene.motion.real_s
    wrist = motion.point(f"{arm}_wrist", "arm")
    over_head = scene.distance(f"{arm}_wrist", "head", 1, "arm").values
    over_shoulder = scene.distance(f"{arm}_wrist", f"{arm}_shoulder", 1, "arm").values
    height = scene.height_above_feet(f"{arm}_wrist", "arm").values
    other: Side = "left" if arm == "right" else "right"
    other_up = scene.distance(f"{other}_wrist", f"{other}_shoulder", 1, "arm").values
    tilt = scene.trunk_tilt().values
    relative = motion.velocity(wrist) - motion.velocity(motion.point("hips", "contact"))
    speed = np.hypot(relative[:, 0], relative[:, 1])
    found = []
    for part in segments(real, ~np.isnan(over_head)):
        peaks, _ = find_peaks(over_head[part], height=OVERHEAD)
        for i in (part.start + int(p) for p in peaks):
            fast = np.nanmax(speed[np.abs(real - real[i]) <= NEAR_SPEED_S], initial=0.0)
            arc = [
                np.nanmin(over_shoulder[(real - real[i] <= high) & (real - real[i] >= low)], initial=np.inf) < 0
                for low, high in ((-ARC_S, 0.0), (0.0, ARC_S))
            ]
            high = not height[i] < HIGH  # feet that were not seen tell nothing
            if fast >= ARM_SPEED and high and all(arc) and not other_up[i] > 0 and abs(tilt[i]) < UPRIGHT:
                found.append((i, float(fast)))
    return found


def _complete(scene: Scene, own: tuple[int, float, Side], group: Sequence[tuple[int, float, Side]]) -> Delivery:
    release, speed, arm = own
    rival = max((other for _, other, side in group if side != arm), default=0.0)
    motion, real = scene.motion, scene.motion.real_s
    front: Side = "left" if arm == "right" else "right"
    events = {"release": scene.event(release, 1.5, float(np.hypot(RELEASE_SYS_S, 1 / motion.fps)))}
    frame = 1 / motion.fps
    landed = [p for p in _plants(scene, front)
              if -FRONT_FOOT_S <= real[p.first] - real[release] <= frame and p.first > 0]  # fmt: skip
    if landed:
        contact = events["front_foot_contact"] = scene.contact(front, landed[-1])
        front_s = motion.to_real(contact.time_s)
        back = [p for p in _plants(scene, arm)
                if -BACK_FOOT_S <= real[p.first] - front_s <= -0.04 and p.first > 0]  # fmt: skip
        if back:
            events["back_foot_contact"] = scene.contact(arm, back[-1])
    low = scene.distance(f"{arm}_wrist", f"{arm}_shoulder", 1, "arm").values
    after = np.flatnonzero((real > real[release]) & (real <= real[release] + ARC_S) & ~np.isnan(low))
    if len(after):
        events["follow_through"] = scene.event(int(after[np.argmin(low[after])]), 2.0)
    order = ("back_foot_contact", "front_foot_contact", "release", "follow_through")
    ordered = {name: events[name] for name in order if name in events}
    return Delivery(arm=arm, events=ordered, clear=1 - rival / speed)


def _plants(scene: Scene, side: Side) -> tuple[Stretch, ...]:
    """None along the pitch: a contact that is found there is another step's in one delivery of three."""
    return () if scene.athletes_left is not None else find_plants(scene.motion, side, along=False)
