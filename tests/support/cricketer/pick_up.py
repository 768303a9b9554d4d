"""A pick-up on the run and a throw: approach, down with one hand, up, stop, throw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cricketer.body import ANKLE, Array, Body, Plant, assemble, column, ease, foot, mirror, random_body
from cricketer.feet import Feet, with_feet
from cricketer.movement import APPROACH, Movement, Truth


@dataclass(frozen=True, kw_only=True)
class Technique:
    """One fielder. Angles in degrees, lengths in % of height, times in seconds."""

    hand: str = "right"
    speed: float = 260.0
    ratio: float = 0.6
    """Speed at the pick-up against that."""
    step: float = 0.27
    hips: float = 34.0
    """Their height at the pick-up."""
    lean: float = 65.0
    tilt: float = 5.0
    """To the side of the hand, as a camera along the pitch sees it."""
    outside: float = -4.0
    """Hips to the side of the hand against the middle of the feet."""
    aside: float = 0.0
    """The hand farther to its side than the hips have moved."""
    elbow: float = 1.0
    """Elbow above the shoulder at the throw."""
    feet: Feet | None = None


def random_technique(rng: np.random.Generator) -> Technique:
    """Anybody in the covers."""
    return Technique(
        hand="right" if rng.random() < 0.7 else "left", speed=rng.uniform(200, 320), ratio=rng.uniform(0.35, 0.95),
        step=rng.uniform(0.24, 0.3), hips=rng.uniform(27, 44), lean=rng.uniform(55, 78), tilt=rng.uniform(0, 30),
        outside=rng.uniform(-5, 12), elbow=rng.uniform(-12, 10),
    )  # fmt: skip


def random_pick_up(rng: np.random.Generator, **fixed: Any) -> Movement:
    """One athlete and one technique; `fixed` sets parameters of `Technique`."""
    return pick_up(random_body(rng), replace(random_technique(rng), **fixed))


def pick_up(body: Body, how: Technique) -> Movement:
    """The movement; a left-hander's is mirrored."""
    scale, down = body.leg / 49.1, 1.9
    duration, throw = down + 2.0, down + 1.3
    slow = how.speed * how.ratio
    clock = np.arange(-3000, round(duration * 1000) + 2001) / 1000
    rate = ease(clock, [(down - 0.75, how.speed), (down - 0.3, slow), (down + 0.25, slow), (down + 0.75, 0.0)])
    way = np.concatenate(([0.0], np.cumsum((rate[1:] + rate[:-1]) / 2000)))

    def x_at(t: Array | float) -> Array:
        return np.asarray(np.interp(t, clock, way))

    def leaves(on: float, ahead: float, behind: float) -> float:
        """When the hips have passed the foot by `behind`."""
        return float(np.interp(float(x_at(on)) + ahead + behind, way, clock))

    stand = 17 * scale
    last = down - 0.12
    moments = [last - k * how.step for k in range(int(last / how.step) + 4, -1, -1)]
    feet: tuple[list[Plant], list[Plant]] = ([], [])
    for i, t in enumerate(reversed(moments)):
        # The foot of the hand's side is beside the ball; it stands until the hips have passed it.
        ahead, behind = (18.0, 22.0) if i == 0 else (stand, stand)
        feet[i % 2].insert(0, Plant(on=t, ahead=ahead * scale if i == 0 else ahead, off=leaves(t, ahead, behind)))
    beside, other = feet
    other.append(Plant(on=max(other[-1].off + 0.12, down + 0.3), ahead=14, off=99))
    beside.append(Plant(on=max(beside[-1].off + 0.15, down + 0.6), ahead=-10, off=99))

    def pose(times: Array) -> Array:
        x = x_at(times)
        low = ease(times, [(down - 0.4, 0.0), (down - 0.08, 1.0), (down + 0.08, 1.0), (down + 0.5, 0.0)])
        run = ANKLE + 0.93 * body.leg
        right_x, right_z = foot(times, x_at, beside)
        left_x, left_z = foot(times, x_at, other)
        lateral = float(np.degrees(np.arctan(np.tan(np.radians(how.tilt)) * np.cos(np.radians(how.lean)))))
        hand = how.outside + how.aside
        joints = assemble(
            body, hips=column(x, -how.outside * low, run + (how.hips - run) * low), lean=8 + (how.lean - 8) * low,
            tilt=-lateral * low, ankles=(column(left_x, 5.0, left_z), column(right_x, -5.0, right_z)),
            wrists=(column(x + 8, 10.0, 52.0 - 20 * low), column(x + 10 + 14 * low, -10 - hand * low,
                    50 - 43 * ease(times, [(down - 0.35, 0.0), (down, 1.0), (down + 0.35, 0.0)]))),
        )  # fmt: skip
        return _throw(joints, times, throw, how, body) if how.hand == "right" else mirror(
            _throw(joints, times, throw, how, body))  # fmt: skip

    moves = pose if how.feet is None else with_feet(pose, duration, body, how.feet)
    seen = Truth(moves, duration)
    height = seen.height(f"{how.hand}_wrist")
    near = seen.over(down - 0.3, down + 0.3)
    moment = float(seen.times[near][np.argmin(height[near])])
    hand = np.gradient(seen.of(f"{how.hand}_wrist") - seen.of("hips"), seen.times, axis=0)
    late = seen.over(throw - 0.3, throw + 0.3)
    above = seen.offset(f"{how.hand}_wrist", f"{how.hand}_shoulder", 2)[late] > 0
    released = float(seen.times[late][np.argmax(np.where(above, np.linalg.norm(hand[late], axis=1), 0))])
    events = {"pick_up": moment, "throw_release": released}
    steps = tuple(t for t in moments if t >= 0)
    return Movement(
        speed=seen.speed,
        mode="fielding", body=body, duration=duration, pose=moves, side=how.hand, steps=steps,
        events=events, truth=_read(seen, how, events, steps, body),
        centre=(float(x_at(down)), 0.0), approach=APPROACH, blurs=((f"{how.hand}_wrist", released),),
    )  # fmt: skip


def _throw(joints: Array, times: Array, throw: float, how: Technique, body: Body) -> Array:
    """The right arm goes back, and the forearm whips over an elbow at its height."""
    shoulder = joints[:, 6]
    share = ease(times, [(throw - 0.7, 0.0), (throw - 0.3, 1.0), (throw + 0.25, 1.0), (throw + 0.6, 0.0)])[:, None]
    flat = np.sqrt(max(body.upper_arm**2 - how.elbow**2, 1.0))
    turn = ease(times, [(throw - 0.25, -1.0), (throw + 0.15, 0.8)])
    elbow = shoulder + column(flat * 0.6 * turn, -flat * np.sqrt(1 - (0.6 * turn) ** 2), how.elbow)
    whip = np.radians(ease(times, [(throw - 0.16, -60.0), (throw + 0.12, 100.0)]))
    wrist = elbow + body.forearm * column(np.sin(whip), 0.0, np.cos(whip))
    joints[:, 8] += share * (elbow - joints[:, 8])
    joints[:, 10] += share * (wrist - joints[:, 10])
    return joints


def _read(
    seen: Truth, how: Technique, events: dict[str, float], steps: tuple[float, ...], body: Body
) -> dict[str, float]:
    moment, throw = events.values()
    window = seen.over(moment - 0.1, moment + 0.1)
    head, left, right = (seen.of(name)[:, 1] for name in ("head", "left_ankle", "right_ankle"))
    low, high = np.minimum(left, right), np.maximum(left, right)
    outside = np.maximum(0, np.maximum(head - high, low - head))
    fastest = max(seen.speed(t - 0.3, t + 0.3) for t in np.arange(0.3, moment - 0.3, 0.05))
    reach = np.minimum(*(np.abs(seen.offset(f"{how.hand}_wrist", f"{side}_ankle", 1)) for side in ("left", "right")))
    thrown = seen.offset(f"{how.hand}_elbow", f"{how.hand}_shoulder", 2)
    return {
        "approach_speed": seen.speed(steps[-5], steps[-1]) * body.height_m / 100,
        "pick_up_speed_ratio": seen.speed(moment - 0.15, moment + 0.15) / fastest,
        "hip_height_pick_up": float(np.median(seen.height("hips")[window])),
        "head_outside_feet_pick_up": float(np.median(outside[window])),
        "trunk_lateral_flexion_pick_up": float(np.median(seen.lean(1)[window])),
        "reach_pick_up": float(np.median(reach[window])),
        "throw_elbow_height": float(np.median(thrown[seen.over(throw - 0.05, throw + 0.05)])),
    }
