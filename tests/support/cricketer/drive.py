"""A whole front-foot drive: stance, backlift, front-foot plant, impact, finish."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cricketer.body import ANKLE, Array, Body, assemble, column, ease, mirror, random_body
from cricketer.feet import Feet, with_feet
from cricketer.movement import Movement, Truth


@dataclass(frozen=True, kw_only=True)
class Technique:
    """One batter. Angles in degrees, lengths in % of height, times in seconds."""

    hand: str = "right"
    width: float = 32.0
    """Of the stance."""
    stride: float = 20.0
    head_forward: float = 5.0
    """Head ahead of the middle of the feet, median over plant ± 0.1 s."""
    head_off: float = 2.0
    """The same to the off side."""
    tilt: float = 4.0
    """Of the trunk to the off side."""
    sway: float = 1.0
    """RMS of the head at stance (its own, and against the hips), of which a half is fast."""
    to_impact: float = 0.12
    """Plant to impact, about."""
    lift: float = 78.0
    """Height of the hands at the top."""
    knee: float = 145.0
    """Front knee about impact."""
    feet: Feet | None = None


def random_technique(rng: np.random.Generator) -> Technique:
    """Anybody with a straight bat or without."""
    return Technique(
        hand="right" if rng.random() < 0.7 else "left", width=rng.uniform(15, 40), stride=rng.uniform(14, 20),
        head_forward=rng.uniform(-10, 8), head_off=rng.uniform(-14, 14), tilt=rng.uniform(-22, 22),
        sway=rng.uniform(0.2, 5), to_impact=rng.uniform(0.06, 0.22), lift=rng.uniform(70, 88),
        knee=rng.uniform(130, 160),
    )  # fmt: skip


def random_drive(rng: np.random.Generator, **fixed: Any) -> Movement:
    """One athlete and one technique; `fixed` sets parameters of `Technique`."""
    return drive(random_body(rng), replace(random_technique(rng), **fixed), float(rng.uniform(0, 6)))


def drive(body: Body, how: Technique, phase: float = 0.0) -> Movement:
    """The movement, its hips moved until the head is where `how` says; rolling feet come under it after that."""
    ahead = off = 0.0
    for _ in range(2):
        movement = _drive(body, replace(how, feet=None), phase, ahead, off)
        ahead += how.head_forward - movement.truth["head_forward_plant"]
        off += how.head_off - movement.truth["head_sideways_plant"]
    return _drive(body, how, phase, ahead, off)


def _drive(body: Body, how: Technique, phase: float, ahead: float, off: float) -> Movement:
    go, plant = 1.5, 1.9
    hit = plant + how.to_impact
    duration = hit + 1.1
    half = how.width / 2
    scale = body.leg / 49.1

    def pose(times: Array) -> Array:
        u = np.clip((times - go - 0.1) / (plant - go - 0.1), 0, 1)  # the foot lands with half its speed
        left_x = half + how.stride * (0.5 * u + 0.5 * u * u * (3 - 2 * u))
        step = 6.0 * np.sin(np.pi * u)
        x = ease(times, [(go, 0.0), (plant - 0.05, how.stride / 2 + ahead), (hit + 0.3, how.stride / 2 + ahead + 1)])
        y = ease(times, [(go, 0.0), (plant - 0.05, -off)])
        gap = np.square(half + how.stride - x - body.half_hips * 0.94)
        low = ANKLE + np.sqrt(np.maximum(body.reach(how.knee) ** 2 - gap, 150.0))
        z = 42.0 * scale + (low - 42.0 * scale) * ease(times, [(go, 0.0), (plant, 1.0)])
        waits = 1 - ease(times, [(go + 0.1, 0.0), (plant - 0.15, 1.0)])
        sway = how.sway * waits * (np.sin(2 * np.pi * 0.7 * times + phase) + 0.5 * np.sin(2 * np.pi * 2.1 * times))
        hand_z = ease(times, [(go - 0.3, 46.0), (plant - 0.25, how.lift), (plant - 0.05, how.lift - 4),
                              (hit + 0.1, 40.0), (hit + 0.5, 85.0)])  # fmt: skip
        hand_x = ease(times, [(go - 0.3, 5.0), (plant - 0.25, -20.0), (plant - 0.05, -16.0), (hit + 0.1, 36.0)])
        up = ease(times, [(plant - 0.25, 0.0), (hit, 1.0)])
        joints = assemble(
            body, hips=column(x, y, z), lean=ease(times, [(go, 14.0), (plant - 0.1, 16.0)]),
            tilt=ease(times, [(go, 0.0), (plant - 0.12, -how.tilt)]),
            ankles=(column(left_x, 2.0, ANKLE + step), column(-half, -2.0, ANKLE)),
            wrists=(column(x + hand_x + 2, y - 10 + 4 * up, hand_z),
                    column(x + hand_x - 2, y - 10 + 4 * up, hand_z - 3)),
            head=column(sway, 0.8 * sway, 0.0), turn=65.0,
        )  # fmt: skip
        return joints if how.hand == "right" else mirror(joints)

    moves = pose
    if how.feet is not None:
        turn = how.feet.turn if how.hand == "right" else -how.feet.turn
        moves = with_feet(pose, duration, body, replace(how.feet, turn=turn))
    seen = Truth(moves, duration)
    hands = np.gradient(seen.of("hands") - seen.of("hips"), seen.times, axis=0)
    swing = seen.over(plant - 0.15, hit + 0.3)
    impact = float(seen.times[swing][np.argmax(np.linalg.norm(hands[swing], axis=1))])
    events = {"front_foot_plant": plant, "impact": impact}
    return Movement(
        speed=seen.speed,
        mode="batting", body=body, duration=duration, pose=moves, events=events, side=how.hand,
        truth=_read(seen, how, plant, impact, go), centre=(0.0, 0.0),
        blurs=(("left_wrist", impact), ("right_wrist", impact)),
    )  # fmt: skip


def _read(seen: Truth, how: Technique, plant: float, impact: float, go: float) -> dict[str, float]:
    front, sign = ("left", -1) if how.hand == "right" else ("right", 1)
    at_plant, at_impact = seen.over(plant - 0.1, plant + 0.1), seen.over(impact - 0.1, impact + 0.1)
    stance = (go - 0.95, go + 0.05)
    apart = np.abs(seen.offset("left_ankle", "right_ankle", 0))
    knee = seen.angle(f"{front}_hip", f"{front}_knee", f"{front}_ankle")
    elbow = seen.angle(f"{front}_shoulder", f"{front}_elbow", f"{front}_wrist")
    return {
        "head_sideways_plant": sign * np.median(seen.offset("head", "feet", 1)[at_plant]),
        "head_forward_plant": float(np.median(seen.offset("head", "feet", 0)[at_plant])),
        "head_forward_impact": float(np.median(seen.offset("head", "feet", 0)[at_impact])),
        "head_steadiness@side": seen.stray("head", "hips", stance[0], plant, (0, 2)),
        "head_steadiness": seen.stray("head", None, *stance, (1, 2)),
        "trunk_lateral_flexion_plant": sign * np.median(seen.lean(1)[at_plant]),
        "plant_before_impact": impact - plant,
        "front_knee_angle_impact": float(np.median(knee[at_impact])),
        "lead_elbow_angle_impact": float(elbow[seen.at(impact)]),
        "base_width": float(np.median(apart[seen.over(*stance)])),
    }  # fmt: skip
