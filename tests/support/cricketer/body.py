"""A body of rigid segments, put together from hips, trunk, ankles and wrists; knees and elbows follow by geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.poses import COCO_17
from inference.skeletons import HALPE_26

Array = NDArray[np.float64]
ANKLE = 3.9
"""% of height: Drillis and Contini 1966, as all mean lengths here."""
KEYPOINT = {name: i for i, name in enumerate(HALPE_26.keypoint_names)}
"""The first 17 are COCO-17's: a movement without feet has these alone."""
FORWARD, LEFT, UP = np.eye(3)


@dataclass(frozen=True, kw_only=True)
class Body:
    """Lengths in % of height."""

    thigh: float = 24.5
    shank: float = 24.6
    trunk: float = 28.8
    neck: float = 11.8
    """Mid-shoulders to the eyes."""
    upper_arm: float = 18.6
    forearm: float = 14.6
    half_hips: float = 5.0
    half_shoulders: float = 9.0
    height_m: float = 1.8

    @property
    def leg(self) -> float:
        """Hip to ankle, straight."""
        return self.thigh + self.shank

    def reach(self, knee: Array | float) -> Array:
        """Distance of hip and ankle at a knee angle in degrees (law of cosines)."""
        cosine = np.cos(np.radians(knee))
        return np.sqrt(self.thigh**2 + self.shank**2 - 2 * self.thigh * self.shank * cosine)


def random_body(rng: np.random.Generator) -> Body:
    """Lengths that make the eye-to-ankle chain vary by 3 % between people: 2.2 % in all, 4 % in each segment."""
    plain, common = Body(), rng.normal(1, 0.022)

    def vary(mean: float) -> float:
        return float(mean * common * np.clip(rng.normal(1, 0.04), 0.9, 1.1))

    return Body(
        thigh=vary(plain.thigh), shank=vary(plain.shank), trunk=vary(plain.trunk), neck=vary(plain.neck),
        upper_arm=vary(plain.upper_arm), forearm=vary(plain.forearm), half_hips=vary(plain.half_hips),
        half_shoulders=vary(plain.half_shoulders), height_m=float(rng.uniform(1.5, 1.95)),
    )  # fmt: skip


def assemble(
    body: Body,
    *,
    hips: Array,
    lean: Array | float,
    tilt: Array | float,
    ankles: tuple[Array, Array],
    wrists: tuple[Array, Array],
    head: Array | float = 0.0,
    turn: float = 0.0,
) -> Array:
    """(T, 17, 3) from mid-hips (T, 3), the trunk's forward lean and tilt to the left (°), ankles and wrists (T, 3).

    `head` (T, 3) moves the head, and the trunk beneath it with it; hips and shoulders are turned `turn` degrees to the
    right. Hips that planted legs do not reach come down to where they do.
    """
    left = np.array([np.sin(np.radians(turn)), np.cos(np.radians(turn)), 0.0])
    ankles = (np.broadcast_to(ankles[0], hips.shape), np.broadcast_to(ankles[1], hips.shape))
    hips = _within_reach(body, hips, ankles, left)
    lean, tilt = np.radians(lean), np.radians(tilt)
    up = np.stack(
        np.broadcast_arrays(np.sin(lean) * np.cos(tilt), np.sin(tilt) + 0 * hips[:, 0], np.cos(lean) * np.cos(tilt)),
        axis=-1,
    )
    up = (body.trunk + body.neck) * up + head
    up /= np.linalg.norm(up, axis=-1, keepdims=True)
    shoulders = hips + body.trunk * up
    eyes = shoulders + body.neck * up
    joints = np.zeros((len(hips), 17, 3))
    joints[:, 0] = eyes + 3 * FORWARD - 2 * UP
    for i, sign in ((0, 1), (1, -1)):
        joints[:, 1 + i] = eyes + sign * 2 * LEFT
        joints[:, 3 + i] = eyes + sign * 4 * LEFT - 1.5 * FORWARD + UP
        joints[:, 5 + i] = shoulders + sign * body.half_shoulders * left
        joints[:, 9 + i] = wrists[i]
        joints[:, 7 + i] = bend(joints[:, 5 + i], wrists[i], body.upper_arm, body.forearm, -FORWARD - 0.5 * UP)
        joints[:, 11 + i] = hips + sign * body.half_hips * left
        joints[:, 15 + i] = ankles[i]
        joints[:, 13 + i] = bend(joints[:, 11 + i], ankles[i], body.thigh, body.shank, FORWARD)
    return joints


def _within_reach(body: Body, hips: Array, ankles: tuple[Array, Array], left: Array) -> Array:
    out = hips.copy()
    for ankle, sign in zip(ankles, (1, -1), strict=True):
        away = hips[:, :2] + sign * body.half_hips * left[:2] - ankle[:, :2]
        room = (0.995 * body.leg) ** 2 - np.sum(away**2, axis=-1)
        assert np.all(room > 0), "a foot is farther away than the leg is long"
        out[:, 2] = np.minimum(out[:, 2], ankle[:, 2] + np.sqrt(room))
    return out


def bend(start: Array, end: Array, upper: float, lower: float, towards: Array) -> Array:
    """The middle joint of two segments whose ends are known, bent `towards` a direction (3,); stretched if too far."""
    line = end - start
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    reach = np.clip(distance, abs(upper - lower) + 1e-6, upper + lower)
    along = (upper**2 - lower**2 + reach**2) / (2 * reach)
    direction = line / np.maximum(distance, 1e-9)
    side = towards - np.sum(direction * towards, axis=-1, keepdims=True) * direction
    side /= np.maximum(np.linalg.norm(side, axis=-1, keepdims=True), 1e-9)
    return start + along * direction + np.sqrt(np.maximum(upper**2 - along**2, 0)) * side


def mirror(joints: Array) -> Array:
    """The other-handed athlete: Y turned round, left and right exchanged."""
    return joints[:, COCO_17.exchanged()] * np.array([1.0, -1.0, 1.0])


def ease(times: Array, knots: list[tuple[float, float]]) -> Array:
    """Through (time, value) knots with smooth starts and stops at each; constant before and after."""
    at, values = np.array(knots).T
    i = np.clip(np.searchsorted(at, times, side="right") - 1, 0, len(at) - 2)
    u = np.clip((times - at[i]) / (at[i + 1] - at[i]), 0, 1)
    return np.asarray(values[i] + (values[i + 1] - values[i]) * u * u * (3 - 2 * u))


def column(*parts: Array | float) -> Array:
    """Broadcast x, y, z to (T, 3)."""
    return np.stack(np.broadcast_arrays(*parts), axis=-1).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Plant:
    """A foot stands from `on` to `off`, put down `ahead` of where the hips then are (% of height)."""

    on: float
    ahead: float
    off: float


def foot(times: Array, hips_at: object, plants: list[Plant], lift: float = 10.0) -> tuple[Array, Array]:
    """Ankle x and z over `times` for hips whose x is `hips_at(t)`; it swings with the hips from plant to plant.

    The swing slows by half before it lands, as feet do. `plants` must cover the times.
    """
    x, z = np.full(len(times), np.nan), np.full(len(times), ANKLE)
    for i, plant in enumerate(plants):
        place = float(hips_at(plant.on)) + plant.ahead  # type: ignore[operator]
        standing = (times >= plant.on) & (times <= plant.off)
        x[standing] = place
        if i + 1 < len(plants):
            then = plants[i + 1]
            swing = (times > plant.off) & (times < then.on)
            u = (times[swing] - plant.off) / (then.on - plant.off)
            way = 0.5 * u + 0.5 * u * u * (3 - 2 * u)
            behind = place - float(hips_at(plant.off))  # type: ignore[operator]
            x[swing] = hips_at(times[swing]) + behind * (1 - way) + then.ahead * way  # type: ignore[operator]
            z[swing] = ANKLE + lift * np.sin(np.pi * u)
    assert not np.isnan(x).any(), "the plants do not cover the clip"
    return x, z
