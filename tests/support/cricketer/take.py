"""A keeper's take: stands, crouches, waits, rises."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cricketer.body import ANKLE, Array, Body, assemble, column, ease, mirror, random_body
from cricketer.feet import Feet, with_feet
from cricketer.movement import Movement, Truth


@dataclass(frozen=True, kw_only=True)
class Technique:
    """One keeper. Angles in degrees, lengths in % of height, times in seconds."""

    depth: float = 28.0
    """Hips above the ground in the crouch."""
    tilt: float = 3.0
    """To the keeper's left, as a camera along the pitch sees it."""
    hands: float = 18.0
    sway: float = 1.0
    """RMS of the head before the rise."""
    lean: float = 42.0
    wait: float = 1.6
    rise: float = 0.4
    feet: Feet | None = None


def random_technique(rng: np.random.Generator) -> Technique:
    """Anybody behind the stumps."""
    return Technique(
        depth=rng.uniform(22, 36), tilt=rng.uniform(-15, 15), hands=rng.uniform(8, 28), sway=rng.uniform(0.2, 4.0),
        lean=rng.uniform(32, 52), wait=rng.uniform(1.2, 2.2), rise=rng.uniform(0.3, 0.5),
    )  # fmt: skip


def random_take(rng: np.random.Generator, **fixed: Any) -> Movement:
    """One athlete and one technique; `fixed` sets parameters of `Technique`."""
    body, how = random_body(rng), replace(random_technique(rng), **fixed)
    return take(body, how, float(rng.uniform(0, 6)), other=bool(rng.random() < 0.5))


def take(body: Body, how: Technique, phase: float = 0.0, *, other: bool = False) -> Movement:
    """The movement; `other`: mirrored."""
    down, up = 0.9, 0.9 + how.wait
    duration = up + how.rise + 0.9
    lateral = float(np.degrees(np.arctan(np.tan(np.radians(how.tilt)) * np.cos(np.radians(how.lean)))))
    sign = -1.0 if other else 1.0

    def pose(times: Array) -> Array:
        knots = [(0.4, 0.0), (down, 1.0), (up, 1.0), (up + how.rise, 0.0)]
        low = ease(times, knots)
        stand = ANKLE + 0.97 * body.leg
        sway = np.sqrt(2) * how.sway * np.sin(2 * np.pi * 1.3 * (times - up) + phase) * ease(times, knots)
        hand = 52 + (how.hands - 52) * low
        joints = assemble(
            body, hips=column(-6 * low, 0.0, stand + (how.depth - stand) * low), lean=5 + (how.lean - 5) * low,
            tilt=lateral * low * sign, ankles=(column(4.0, 13.0, ANKLE), column(-4.0, -13.0, ANKLE)),
            wrists=(column(12 + 10 * low, 3.0, hand), column(12 + 10 * low, -3.0, hand)),
            head=column(0.7 * sway, 0.7 * sway, 0.0),
        )  # fmt: skip
        return mirror(joints) if other else joints

    moves = pose if how.feet is None else with_feet(pose, duration, body, how.feet)
    seen = Truth(moves, duration)
    height = seen.height("hips")
    left = np.flatnonzero((height > how.depth + 1.5) & (seen.times > up))
    rise = float(seen.times[left[0]])
    crouch, ready = seen.over(down, rise), seen.over(rise - 0.5, rise)
    knee = seen.angle("right_hip", "right_knee", "right_ankle")
    hip = seen.angle("shoulders", "right_hip", "right_knee", plane=True)
    truth = {
        "crouch_knee_angle": float(np.median(knee[crouch])), "crouch_hip_angle": float(np.median(hip[crouch])),
        "crouch_depth": float(np.median(height[crouch])), "crouch_tilt": float(np.median(seen.lean(1)[crouch])),
        "hand_height_ready": float(np.median(seen.height("hands")[ready])),
        "head_steadiness@side": seen.stray("head", None, rise - 0.5, rise, (0, 2)),
        "head_steadiness": seen.stray("head", None, rise - 0.5, rise, (1, 2)),
    }  # fmt: skip
    return Movement(
        speed=seen.speed,
        mode="wicketkeeping", body=body, duration=duration, pose=moves, events={"rise": rise}, truth=truth,
        side="right",
    )  # fmt: skip
