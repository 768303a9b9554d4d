"""What every movement is: joints at any moment, events, and the formulas of truth.

The formulas are written here anew from the definitions (angles after Sports2D's: its knee flexion is 180° minus ours),
so that a wrong one in the product does not prove itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from cricketer.body import KEYPOINT, Array, Body

APPROACH = 150.0
"""% of height: half of the run-up that a careful parent has in the picture, and of a fielder's way to the ball."""
FINE = 500.0
"""Samples a second at which truth is read."""


@dataclass(frozen=True, kw_only=True)
class Movement:
    """One athlete's action."""

    mode: str
    body: Body
    duration: float
    pose: Callable[[Array], Array]
    """Times (T,) in 0..duration → joints (T, 17, 3), % of height."""
    events: Mapping[str, float]
    truth: Mapping[str, float]
    """Metric id, or `id@view` where the view decides → value by its definition at the true events, signs included."""
    speed: Callable[[float, float], float]
    """True speed forward over a span, % of height a second, for what is defined over the part that was seen."""
    side: str
    """Bowling arm, batter's hand, or the hand that picks up: `left` or `right`."""
    steps: tuple[float, ...] = ()
    centre: tuple[float, float] = (0.0, 0.0)
    """x, y on the ground where the action happens."""
    approach: float = 0.0
    """How far before its centre the action's middle lies, % of height: there a camera at the side looks."""
    blurs: tuple[tuple[str, float], ...] = ()
    """(keypoint, time) where a hand moves too fast to be seen."""


class Truth:
    """Joints over a fine grid, and definitions read off them."""

    def __init__(self, pose: Callable[[Array], Array], duration: float) -> None:
        self.times = np.arange(round(duration * FINE) + 1) / FINE
        self.joints = pose(self.times)

    def of(self, name: str) -> Array:
        """(T, 3) a keypoint, or `head`, `hips`, `shoulders`, `feet`, `hands`: the mean of theirs."""
        groups = {"head": ("nose", "left_eye", "right_eye", "left_ear", "right_ear")} | {
            many: (f"left_{one}", f"right_{one}")
            for many, one in (("hips", "hip"), ("shoulders", "shoulder"), ("feet", "ankle"), ("hands", "wrist"))
        }
        return np.asarray(np.mean([self.joints[:, KEYPOINT[n]] for n in groups.get(name, (name,))], axis=0))

    def at(self, time: float) -> int:
        """Index of a moment."""
        return int(np.clip(round(time * FINE), 0, len(self.times) - 1))

    def over(self, start: float, end: float) -> slice:
        """Samples of a span, its ends included."""
        return slice(self.at(start), self.at(end) + 1)

    def angle(self, a: str, b: str, c: str, *, plane: bool = False) -> Array:
        """Degrees at b, 180 = straight: arccos of the unit vectors' product; in the plane of travel where asked."""
        axes = [0, 2] if plane else [0, 1, 2]
        one, two = ((self.of(p) - self.of(b))[:, axes] for p in (a, c))
        one, two = (v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (one, two))
        return np.asarray(np.degrees(np.arccos(np.clip(np.sum(one * two, axis=-1), -1, 1))))

    def lean(self, axis: int) -> Array:
        """Trunk against the vertical, degrees, positive along an axis (0 forward, 1 to the left)."""
        trunk = self.of("shoulders") - self.of("hips")
        return np.asarray(np.degrees(np.arctan2(trunk[:, axis], trunk[:, 2])))

    def offset(self, a: str, b: str, axis: int) -> Array:
        """a minus b along an axis, % of height."""
        return np.asarray((self.of(a) - self.of(b))[:, axis])

    def height(self, name: str) -> Array:
        """Above the ground as the product defines it: above the lower ankle, plus 3.9 %."""
        lower = np.minimum(self.of("left_ankle")[:, 2], self.of("right_ankle")[:, 2])
        return np.asarray(self.of(name)[:, 2] - lower + 3.9)

    def speed(self, start: float, end: float) -> float:
        """Slope of the hips' way forward over a span, % of height a second."""
        part = self.over(start, end)
        return float(np.polyfit(self.times[part], self.of("hips")[part, 0], 1)[0])

    def stray(self, name: str, against: str | None, start: float, end: float, axes: tuple[int, int]) -> float:
        """RMS distance from the mean place over a span, in the plane of two axes."""
        path = self.of(name) - (self.of(against) if against else 0.0)
        part = path[self.over(start, end)][:, axes]
        return float(np.sqrt(np.sum(np.var(part, axis=0))))
