"""Movements for metrics that the random athletes of `catalogue` do not show: a start from standing with a quick throw,
and a keeper who moves sideways to the ball.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cricketer.body import ANKLE, Array, Body, Plant, assemble, column, ease, foot
from cricketer.movement import APPROACH, Movement, Truth

STANDS_S, STEP_S = 0.8, 0.27
SPEED, SLOW = 240.0, 140.0
"""% of height a second: of the run, and at the pick-up."""
DOWN_S, THROW_S = 2.9, 4.0
SHUFFLE = (("right", 2.6, -20.0), ("left", 2.9, -20.0), ("right", 3.2, -20.0), ("left", 3.5, -20.0))
"""(foot, start, way to the keeper's left), each 0.18 s long: two shuffles to the right."""


def set_off(body: Body) -> Movement:
    """Stands for 0.8 s, runs seven steps, picks up with the right hand, stops and throws with it."""
    duration = THROW_S + 0.8
    x_at, feet, moments = _run(duration)

    def pose(times: Array) -> Array:
        x = x_at(times)
        low = ease(times, [(DOWN_S - 0.4, 0.0), (DOWN_S - 0.08, 1.0), (DOWN_S + 0.08, 1.0), (DOWN_S + 0.5, 0.0)])
        run = ANKLE + 0.93 * body.leg
        (right_x, right_z), (left_x, left_z) = (foot(times, x_at, plants) for plants in feet)
        hand = 50 - 43 * ease(times, [(DOWN_S - 0.35, 0.0), (DOWN_S, 1.0), (DOWN_S + 0.35, 0.0)])
        joints = assemble(
            body, hips=column(x, 0.0, run + (34.0 - run) * low), lean=6 + 58 * low, tilt=0.0,
            ankles=(column(left_x, 5.0, left_z), column(right_x, -5.0, right_z)),
            wrists=(column(x + 8, 10.0, 52.0 - 20 * low), column(x + 10 + 14 * low, -10.0, hand)),
        )  # fmt: skip
        return _throw(joints, times, body)

    seen = Truth(pose, duration)
    picked = seen.over(DOWN_S - 0.3, DOWN_S + 0.3)
    pick_up = float(seen.times[picked][np.argmin(seen.height("right_wrist")[picked])])
    hand = np.linalg.norm(np.gradient(seen.of("right_wrist") - seen.of("hips"), seen.times, axis=0), axis=1)
    late = seen.over(THROW_S - 0.3, THROW_S + 0.3)
    above = seen.offset("right_wrist", "right_shoulder", 2)[late] > 0
    throw = float(seen.times[late][np.argmax(np.where(above, hand[late], 0))])
    places = [seen.of(f"{'right' if i % 2 == 0 else 'left'}_ankle")[seen.at(t), 0] for i, t in enumerate(moments)]
    elbow = seen.offset("right_elbow", "right_shoulder", 2)[seen.over(throw - 0.05, throw + 0.05)]
    return Movement(
        mode="fielding", body=body, duration=duration, pose=pose, side="right", speed=seen.speed,
        steps=moments, events={"pick_up": pick_up, "throw_release": throw}, centre=(float(x_at(DOWN_S)), 0.0),
        approach=APPROACH,
        truth={
            "first_step_length": places[0] - seen.of("right_ankle")[0, 0], "second_step_length": places[1] - places[0],
            "step_length": float(np.mean(np.diff(places))), "cadence": 60 / STEP_S,
            "travel_speed": seen.speed(moments[0], moments[-1]) * body.height_m / 100,
            "throw_elbow_height": float(np.median(elbow)),
        },
    )  # fmt: skip


def _run(
    duration: float,
) -> tuple[Callable[[Array | float], Array], tuple[list[Plant], list[Plant]], tuple[float, ...]]:
    """Hips' x at any time, the plants of the right and the left foot, and when each of the seven steps lands."""
    clock = np.arange(-1000, round(duration * 1000) + 2001) / 1000
    knots = [(STANDS_S, 0.0), (STANDS_S + 0.9, SPEED), (DOWN_S - 0.6, SPEED), (DOWN_S - 0.3, SLOW),
             (DOWN_S + 0.2, SLOW), (DOWN_S + 0.6, 0.0)]  # fmt: skip
    rate = ease(clock, knots)
    way = np.concatenate(([0.0], np.cumsum((rate[1:] + rate[:-1]) / 2000)))

    def x_at(t: Array | float) -> Array:
        return np.asarray(np.interp(t, clock, way))

    def leaves(on: float, ahead: float, behind: float) -> float:
        """When the hips have passed the foot by `behind`."""
        return float(np.interp(float(x_at(on)) + ahead + behind, way, clock))

    moments = tuple(STANDS_S + 0.45 + k * STEP_S for k in range(7))
    feet: tuple[list[Plant], list[Plant]] = (
        [Plant(on=-1.0, ahead=-1.0, off=STANDS_S + 0.15)],  # the right one leaves first
        [Plant(on=-1.0, ahead=1.0, off=leaves(-1.0, 1.0, 17.0))],
    )
    for i, on in enumerate(moments):
        ahead, behind = (18.0, 22.0) if i == len(moments) - 1 else (16.0, 16.0)
        feet[i % 2].append(Plant(on=on, ahead=ahead, off=leaves(on, ahead, behind)))
    last, other = feet[(len(moments) - 1) % 2], feet[len(moments) % 2]
    other.append(Plant(on=max(other[-1].off + 0.12, DOWN_S + 0.3), ahead=8.0, off=99.0))
    last.append(Plant(on=max(last[-1].off + 0.15, DOWN_S + 0.6), ahead=-8.0, off=99.0))
    return x_at, feet, moments


def _throw(joints: Array, times: Array, body: Body) -> Array:
    """The right elbow goes back level with 3 % of height over the shoulder, and the forearm whips over it."""
    rise = 3.0
    share = ease(times, [(THROW_S - 0.7, 0.0), (THROW_S - 0.3, 1.0), (THROW_S + 0.25, 1.0), (THROW_S + 0.6, 0.0)])
    flat = np.sqrt(body.upper_arm**2 - rise**2)
    turn = ease(times, [(THROW_S - 0.2, -1.0), (THROW_S + 0.12, 0.8)])
    elbow = joints[:, 6] + column(flat * 0.6 * turn, -flat * np.sqrt(1 - (0.6 * turn) ** 2), rise)
    whip = np.radians(ease(times, [(THROW_S - 0.1, -60.0), (THROW_S + 0.08, 100.0)]))
    wrist = elbow + body.forearm * column(np.sin(whip), 0.0, np.cos(whip))
    joints[:, 8] += share[:, None] * (elbow - joints[:, 8])
    joints[:, 10] += share[:, None] * (wrist - joints[:, 10])
    return joints


def shuffle(body: Body) -> Movement:
    """A keeper who crouches, rises at 2.5 s, takes four steps to the right and catches."""
    rise, take, duration = 2.5, 3.8, 5.0
    across = {"left": 12.0, "right": -12.0}
    ways: dict[str, list[tuple[float, float]]] = {side: [(0.0, place)] for side, place in across.items()}
    lifts: dict[str, list[tuple[float, float]]] = {side: [(0.0, 0.0)] for side in across}
    for side, start, way in SHUFFLE:
        ways[side] += [(start, across[side]), (start + 0.18, across[side] + way)]
        lifts[side] += [(start, 0.0), (start + 0.09, 6.0), (start + 0.18, 0.0)]
        across[side] += way

    def pose(times: Array) -> Array:
        y = {side: ease(times, [*ways[side], (9.0, across[side])]) for side in ways}
        z = {side: ease(times, [*lifts[side], (9.0, 0.0)]) for side in lifts}
        middle = (y["left"] + y["right"]) / 2
        hand = ease(times, [(0.0, 48.0), (0.9, 20.0), (take - 0.3, 20.0), (take, 55.0), (9.0, 55.0)])
        hips = ease(times, [(0.4, 45.0), (0.9, 28.0), (rise, 28.0), (rise + 0.2, 38.0)])
        return assemble(
            body, hips=column(0.0, middle, hips), lean=30.0, tilt=0.0,
            ankles=(column(4.0, y["left"], ANKLE + z["left"]), column(4.0, y["right"], ANKLE + z["right"])),
            wrists=(column(15.0, middle + 3.0, hand), column(15.0, middle - 3.0, hand)),
        )  # fmt: skip

    seen = Truth(pose, duration)
    return Movement(
        mode="wicketkeeping", body=body, duration=duration, pose=pose, side="right", speed=seen.speed,
        events={"rise": rise}, truth={"lateral_steps": 4.0, "shuffles": 2.0},
    )  # fmt: skip
