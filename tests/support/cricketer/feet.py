"""Feet under a movement, and the head's top, neck and hip: what HALPE-26 has beside COCO-17's keypoints.

A movement without them knows ankles that stop dead where they land. With them the foot rolls: it lands on heel or toes
with its sole pitched, stands on that end until it is flat, and leaves over its toes; the ankle turns about the end that
stands, by 1 or 2 % of height after landing, and the knee follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cricketer.body import ANKLE, FORWARD, KEYPOINT, UP, Array, Body, bend, ease

Pose = Callable[[Array], Array]

HEEL, BIG_TOE, SMALL_TOE = (-4.0, 0.0, -3.0), (11.0, 1.0, -3.0), (9.0, -3.5, -3.0)
"""From the ankle, % of height: along the foot, inwards, upwards. A foot is 15.2 % long (Drillis and Contini 1966)."""
HEEL_DOWN, TOES_DOWN = (-4.0, -ANKLE), (9.0, -ANKLE)
"""Where the sole touches the ground when it is pitched: along the foot, upwards."""
ROLL_SHARE, ROLL_S = 0.4, 0.08
"""Over the toes: the last so much of a stand."""
GRID_S = 0.001


@dataclass(frozen=True, kw_only=True)
class Feet:
    """How somebody's feet land."""

    strike: float = 12.0
    """Pitch at contact, degrees, toes up: the heel is first; below 0 the toes are."""
    flat_s: float = 0.05
    """From contact until the foot is flat."""
    push: float = 25.0
    """Degrees by which the heel is up when the foot leaves."""
    turn: float = 0.0
    """Of the toes to the left, degrees against forward; a batter's, as a right-hander's."""


def random_feet(rng: np.random.Generator, mode: str) -> Feet:
    """Heel strikers and those who land on their toes. A batter's feet point across the pitch."""
    turn = rng.uniform(-80, -50) if mode == "batting" else rng.uniform(-10, 10)
    return Feet(strike=rng.uniform(-15, 25), flat_s=rng.uniform(0.03, 0.07), push=rng.uniform(15, 30), turn=turn)


def with_feet(pose: Pose, duration: float, body: Body, feet: Feet) -> Pose:
    """Times (T,) → joints (T, 26, 3) of the same movement on rolling feet."""
    grid = np.arange(round(duration / GRID_S) + 1) * GRID_S
    fine = pose(grid)
    stands = {side: _stands(grid, fine[:, KEYPOINT[f"{side}_ankle"], 2]) for side in ("left", "right")}

    def footed(times: Array) -> Array:
        plain = pose(times)
        joints = np.concatenate([plain, np.zeros((len(times), 9, 3))], axis=1)
        eyes = plain[:, 1:3].mean(axis=1)
        shoulders, hips = plain[:, 5:7].mean(axis=1), plain[:, 11:13].mean(axis=1)
        neck = (eyes - shoulders) / np.linalg.norm(eyes - shoulders, axis=-1, keepdims=True)
        joints[:, KEYPOINT["head"]], joints[:, KEYPOINT["neck"]] = eyes + 6.4 * neck, shoulders + 2.0 * neck
        joints[:, KEYPOINT["hip"]] = hips
        for side in ("left", "right"):
            _put_foot(joints, side, times=times, stands=stands[side], body=body, feet=feet)
        return joints

    return footed


def _stands(grid: Array, height: Array) -> list[tuple[float, float]]:
    """(on, off) of every stand; what begins or ends outside the clip does so at ∓ infinity."""
    down = np.concatenate(([0], (height <= ANKLE + 1e-9).astype(np.int8), [0]))
    edges = np.flatnonzero(np.diff(down))
    return [
        (-np.inf if first == 0 else float(grid[first]) - GRID_S / 2,
         np.inf if last == len(grid) else float(grid[last]) - GRID_S / 2)
        for first, last in zip(edges[::2], edges[1::2], strict=True)
    ]  # fmt: skip


def _put_foot(
    joints: Array, side: str, *, times: Array, stands: list[tuple[float, float]], body: Body, feet: Feet
) -> None:
    """Pitch a foot, move its ankle with it, and bend the knee anew."""
    pitch = np.radians(ease(times, _pitch_knots(stands, feet)))
    ahead, up = _ankle_moves(times, pitch, stands, feet)
    turn = np.radians(feet.turn)
    along = np.array([np.cos(turn), np.sin(turn), 0.0])
    inwards = np.array([-along[1], along[0], 0.0]) * (-1.0 if side == "left" else 1.0)
    ankle = joints[:, KEYPOINT[f"{side}_ankle"]]
    moved = (ahead != 0) | (up != 0)
    ankle += ahead[:, None] * along + up[:, None] * UP
    hip = joints[:, KEYPOINT[f"{side}_hip"]]
    joints[moved, KEYPOINT[f"{side}_knee"]] = bend(hip[moved], ankle[moved], body.thigh, body.shank, FORWARD)
    for name, (x, y, z) in (("heel", HEEL), ("big_toe", BIG_TOE), ("small_toe", SMALL_TOE)):
        forward, upward = _turned(x, z, pitch)
        joints[:, KEYPOINT[f"{side}_{name}"]] = ankle + forward[:, None] * along + y * inwards + upward[:, None] * UP


def _pitch_knots(stands: list[tuple[float, float]], feet: Feet) -> list[tuple[float, float]]:
    knots = [(-1.0, feet.strike if not stands or stands[0][0] > 0 else 0.0)]
    for on, off in stands:
        lasts = off - on
        if np.isfinite(on):
            knots += [(on, feet.strike), (on + min(feet.flat_s, lasts / 2), 0.0)]
        if np.isfinite(off):
            roll = min(ROLL_S, ROLL_SHARE * lasts)
            knots += [(off - roll, 0.0), (off, -feet.push)]
    return [*knots, (knots[-1][0] + 99.0, knots[-1][1])]


def _ankle_moves(times: Array, pitch: Array, stands: list[tuple[float, float]], feet: Feet) -> tuple[Array, Array]:
    """(T,) how far the ankle is ahead and up of where it would be with a flat sole."""
    ahead, up = np.zeros(len(times)), np.zeros(len(times))
    landing = _about(HEEL_DOWN if feet.strike >= 0 else TOES_DOWN, np.radians(np.array([feet.strike])))
    leaving = _about(TOES_DOWN, -np.radians(np.array([feet.push])))
    for on, off in stands:
        own = (times >= on) & (times <= off)
        late = own & (times > (on if np.isfinite(on) else off - 1) + min(feet.flat_s, (off - on) / 2))
        heel = own & ~late if feet.strike >= 0 else np.zeros(len(times), dtype=bool)
        for rows, pivot in ((heel, HEEL_DOWN), (own & ~heel, TOES_DOWN)):
            ahead[rows], up[rows] = _about(pivot, pitch[rows])
    for i, (_, off) in enumerate(stands):
        on = stands[i + 1][0] if i + 1 < len(stands) else off + 0.3
        _blend(ahead, up, times, span=(off, on), start=leaving, end=landing if i + 1 < len(stands) else None)
    if stands and np.isfinite(stands[0][0]):
        _blend(ahead, up, times, span=(stands[0][0] - 0.2, stands[0][0]), start=None, end=landing)
    return ahead, up


def _blend(
    ahead: Array, up: Array, times: Array, *, span: tuple[float, float], start: tuple[Array, Array] | None,
    end: tuple[Array, Array] | None,
) -> None:  # fmt: skip
    """Over a swing, from where the ankle left to where it lands."""
    if not np.isfinite(span[0]):
        return
    own = (times > span[0]) & (times < span[1])
    share = ease(times[own], [(span[0], 0.0), (span[1], 1.0)])
    for out, axis in ((ahead, 0), (up, 1)):
        out[own] = (start[axis][0] if start else 0.0) * (1 - share) + (end[axis][0] if end else 0.0) * share


def _about(pivot: tuple[float, float], pitch: Array) -> tuple[Array, Array]:
    """How far the ankle moves ahead and up when the sole pitches about a point of it."""
    ahead, up = _turned(-pivot[0], -pivot[1], pitch)
    return ahead + pivot[0], up + pivot[1]


def _turned(x: float, z: float, pitch: Array) -> tuple[Array, Array]:
    return x * np.cos(pitch) - z * np.sin(pitch), x * np.sin(pitch) + z * np.cos(pitch)
