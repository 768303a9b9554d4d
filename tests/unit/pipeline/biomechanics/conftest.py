"""Stick figures whose every angle and distance is known, seen by an ideal camera.

The athlete's space is % of height: X forward along the pitch, Y to the athlete's left, Z up. Segment lengths are those
of Drillis and Contini, so that the eye-to-ankle chain of every figure gives a stature of exactly 100.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.poses import COCO_17, ModelInfo, PoseSequence
from models.documents import ViewDocument
from models.requests import AnalysisOptions
from pipeline.biomechanics.measure import measure
from pipeline.measurements import MeasureContext, Measurements

Array = NDArray[np.float64]
THIGH, SHANK, TRUNK, NECK = 24.5, 24.6, 28.8, 11.8
MODEL = ModelInfo(name="figure", version="1", sha256="0" * 64, backend="none", precision="exact", runtime="numpy")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A movement in space and what is true of it."""

    times: Array
    joints: Array
    """(T, 17, 3)."""
    truth: dict[str, Any] = field(default_factory=dict)

    def film(
        self,
        *,
        view: str = "side",
        yaw: float = 0.0,
        roll: float = 0.0,
        pixels: float = 400.0,
        slowmo: float = 1.0,
        shift: tuple[float, float] = (0.0, 0.0),
        start: float = 0.0,
        white: float = 0.0,
        seed: int = 0,
    ) -> PoseSequence:
        """Project along parallel rays. `pixels` is the stature; `white` is noise in % of height."""
        x, y, z = np.moveaxis(self.joints, -1, 0)
        c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
        across = {"side": x * c + y * s, "behind": -y * c + x * s, "front": y * c + x * s}[view]
        picture = np.stack((across, -z), axis=-1)
        c, s = np.cos(np.radians(roll)), np.sin(np.radians(roll))
        picture = picture @ np.array([[c, s], [-s, c]])
        picture = picture + np.random.default_rng(seed).normal(0, 1, picture.shape) * white
        points = picture * pixels / 100 + np.array([1e4, 900.0]) + np.array(shift)
        return pose_sequence(points, self.times * slowmo + start)


def pose_sequence(points: Array, times: Array, confidence: Array | None = None) -> PoseSequence:
    low, high = np.nanmin(points, axis=1), np.nanmax(points, axis=1)
    return PoseSequence(
        keypoints=points.astype(np.float32),
        confidence=(np.full(points.shape[:2], 0.9) if confidence is None else confidence).astype(np.float32),
        boxes=np.concatenate((low - 5, high + 5), axis=1).astype(np.float32),
        timestamps_s=times,
        frame_indices=np.arange(len(times)),
        skeleton=COCO_17,
        frame_size=(20000, 1080),
        model=MODEL,
    )


def build(
    times: Array,
    *,
    hips: Array,
    lean: Array,
    tilt: Array,
    ankles: tuple[Array, Array],
    wrists: tuple[Array, Array],
    half_width: float = 5.0,
    truth: dict[str, Any] | None = None,
) -> Figure:
    """A body from the hips (T, 3), the trunk's forward lean and tilt to the left (°), ankles and wrists (T, 3)."""
    lean, tilt = np.radians(lean), np.radians(tilt)
    up = np.stack((np.sin(lean) * np.cos(tilt), np.sin(tilt), np.cos(lean) * np.cos(tilt)), axis=-1)
    left = np.array([0.0, 1.0, 0.0])
    forward = np.array([1.0, 0.0, 0.0])
    middle = hips + TRUNK * up
    head = middle + NECK * up
    joints = np.zeros((len(times), 17, 3))
    joints[:, 0] = head + 3 * forward - np.array([0, 0, 2.0])
    for i, sign in ((0, 1), (1, -1)):
        joints[:, 1 + i] = head + sign * 2 * left
        joints[:, 3 + i] = head + sign * 4 * left - 1.5 * forward + np.array([0, 0, 1.0])
        joints[:, 5 + i] = middle + sign * 8 * left
        joints[:, 9 + i] = wrists[i]
        joints[:, 7 + i] = joints[:, 5 + i] * 0.45 + wrists[i] * 0.55
        joints[:, 11 + i] = hips + sign * half_width * left
        joints[:, 15 + i] = ankles[i]
        joints[:, 13 + i] = bend_knee(joints[:, 11 + i], ankles[i])
    return Figure(times=times, joints=joints, truth=truth or {})


def bend_knee(hip: Array, ankle: Array) -> Array:
    """The knee of a leg whose ends are known: it bends forward."""
    line = ankle - hip
    reach = np.linalg.norm(line, axis=-1, keepdims=True)
    assert np.all(reach < THIGH + SHANK), f"a leg of {reach.max():.1f} is too long"
    along = (THIGH**2 - SHANK**2 + reach**2) / (2 * reach)
    direction = line / reach
    bend = np.array([1.0, 0.0, 0.0]) - direction[..., :1] * direction
    bend /= np.linalg.norm(bend, axis=-1, keepdims=True)
    return hip + along * direction + np.sqrt(np.maximum(THIGH**2 - along**2, 0)) * bend


def knee_truth(figure: Figure, side: str) -> Array:
    """Hip-knee-ankle angle in space, degrees."""
    hip, knee, ankle = (figure.joints[:, COCO_17.index(f"{side}_{name}")] for name in ("hip", "knee", "ankle"))
    a, b = hip - knee, ankle - knee
    cosine = np.sum(a * b, axis=-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def ease(times: Array, knots: list[tuple[float, float]]) -> Array:
    """Through (time, value) knots with smooth starts and stops at each; constant before and after."""
    at, values = np.array(knots).T
    i = np.clip(np.searchsorted(at, times, side="right") - 1, 0, len(at) - 2)
    u = np.clip((times - at[i]) / (at[i + 1] - at[i]), 0, 1)
    return values[i] + (values[i + 1] - values[i]) * u * u * (3 - 2 * u)


def column(*parts: Array | float) -> Array:
    return np.stack(np.broadcast_arrays(*parts), axis=-1).astype(np.float64)


def clock(fps: float, seconds: float) -> Array:
    return np.arange(round(fps * seconds)) / fps


def gait(
    times: Array, speed: float, step_s: float, ahead: float, first: float = 0.0
) -> tuple[Array, Array, list[float]]:
    """Ankles (T, 2) x-z of both feet for hips at x = speed · t; each plants `ahead` of the hips, the left one first."""
    feet, contacts = [], []
    for side in (0, 1):
        plants = [first + (2 * k + side) * step_s for k in range(-2, int(times[-1] / step_s / 2) + 3)]
        contacts += [p for p in plants if times[0] <= p <= times[-1]]
        knots: list[tuple[float, float]] = []
        lift: list[tuple[float, float]] = []
        for p in plants:
            place, off = speed * p + ahead, p + 2 * ahead / speed
            knots += [(p, place), (off, place)]
            lift += [(p, 0.0), (off, 0.0), ((off + p + 2 * step_s) / 2, 10.0)]
        feet.append(np.stack((ease(times, knots), 3.9 + ease(times, lift)), axis=-1))
    return feet[0], feet[1], sorted(contacts)


def walker(fps: float = 60.0, *, seconds: float = 6.0, speed: float = 70.0, step_s: float = 0.6) -> Figure:
    times = clock(fps, seconds)
    x = speed * times
    on = [[0.4 + (2 * k + side) * step_s for k in range(-2, int(seconds / step_s / 2) + 3)] for side in (0, 1)]
    left, right = (foot(times, x, [(t, 15.0, t + 30.0 / speed) for t in side]) for side in on)
    contacts = sorted(t for t in on[0] + on[1] if times[0] <= t <= times[-1])
    hips = column(x, 0.0, 49.5)
    swing = 12 * np.sin(np.pi * times / step_s)
    return build(
        times,
        hips=hips,
        lean=np.full(len(times), 4.0),
        tilt=np.zeros(len(times)),
        ankles=(column(left[0], 5.0, left[1]), column(right[0], -5.0, right[1])),
        wrists=(column(hips[:, 0] + swing, 10.0, 50.0), column(hips[:, 0] - swing, -10.0, 50.0)),
        truth={"contacts": contacts, "cadence": 60 / step_s, "step_length": speed * step_s, "travel_speed": speed},
    )


def bowler(fps: float = 120.0, *, tilt: float = 20.0, line: float = 6.0) -> Figure:
    """Right-arm: a run-up, back foot down at 2.2 s, front foot at 2.4 s, release at 2.5 s, follow-through."""
    times = clock(fps, 3.4)
    speed, back, front, release = 220.0, 2.2, 2.4, 2.5
    x = np.where(times < front, speed * times, speed * front + 38 * (1 - np.exp(-(times - front) * speed / 38)))
    contact = 24 / speed
    run_right = [(t, 12.0, t + contact) for t in (-0.55, 0.0, 0.55, 1.1, 1.65, back)]
    run_left = [(t, 12.0, t + contact) for t in (-0.275, 0.275, 0.825, 1.375, 1.925)]
    right = foot(times, x, [*run_right, (3.1, 5.0, 9.0)])
    left = foot(times, x, [*run_left, (front, 22.0, 9.0)])
    figure = build(
        times,
        hips=column(x, 0.0, ease(times, [(1.9, 49.0), (front, 45.0), (release, 43.0), (3.0, 45.0)])),
        lean=ease(times, [(2.2, 5.0), (front, 10.0), (2.8, 40.0)]),
        tilt=ease(times, [(2.2, 0.0), (front, tilt), (2.7, tilt), (3.2, 0.0)]),
        ankles=(
            column(left[0], ease(times, [(2.1, 5.0), (front, 5.0 - line)]), left[1]),
            column(right[0], -5.0, right[1]),
        ),
        wrists=(column(x, 12.0, 55.0), column(x, -8.0, 50.0)),
    )
    # The arm hangs, then turns a full circle whose top is at `release`.
    shoulder = figure.joints[:, COCO_17.index("right_shoulder")]
    turn = 2 * np.pi * ease(times, [(release - 0.25, 0.0), (release + 0.25, 1.0)])
    wrist = shoulder + 33 * column(-np.sin(turn), 0.0, -np.cos(turn))
    joints = figure.joints.copy()
    joints[:, COCO_17.index("right_wrist")] = wrist
    joints[:, COCO_17.index("right_elbow")] = shoulder * 0.45 + wrist * 0.55
    stride = speed * (front - back) + 22.0 - 12.0
    truth = {"back_foot_contact": back, "front_foot_contact": front, "release": release, "stride_length": stride,
             "run_up_speed": speed, "tilt": tilt, "foot_line_offset": 10.0 - line}  # fmt: skip
    return replace(figure, joints=joints, truth=truth)


def foot(times: Array, hips: Array, plants: list[tuple[float, float, float]]) -> tuple[Array, Array]:
    """Ankle x and z of a foot that stands from `on` to `off`, put down `ahead` of the hips: plants (on, ahead, off)."""
    x, z = np.full(len(times), np.nan), np.full(len(times), 3.9)

    def hip(t: float) -> float:
        before, after = min(t - times[0], 0.0), max(t - times[-1], 0.0)
        rates = (hips[1] - hips[0]) / (times[1] - times[0]), (hips[-1] - hips[-2]) / (times[-1] - times[-2])
        return float(np.interp(t, times, hips) + before * rates[0] + after * rates[1])

    for i, (on, ahead, off) in enumerate(plants):
        place = hip(on) + ahead
        standing = (times >= on) & (times <= off)
        x[standing] = place
        if i + 1 < len(plants):
            then, then_ahead, _ = plants[i + 1]
            swing = (times > off) & (times < then)
            u = (times[swing] - off) / (then - off)
            x[swing] = hips[swing] + (place - hip(off)) * (1 - u) + then_ahead * u
            z[swing] = 3.9 + 10 * np.sin(np.pi * u)
    return x, z


def batter(fps: float = 60.0, *, head_forward: float = 8.0, tilt: float = 10.0) -> Figure:
    """Right-hander: stance to 1.4 s, backlift top at 1.6 s, front foot down at 1.9 s, impact about 2.05 s."""
    times = clock(fps, 3.2)
    plant = 1.9
    stance_width, stride = 30.0, 20.0
    left_x = ease(times, [(1.6, stance_width / 2), (plant, stance_width / 2 + stride)])
    lift = ease(times, [(1.6, 0.0), (1.75, 6.0), (plant, 0.0)])
    middle = stride / 2
    hip_x = ease(times, [(1.5, 0.0), (plant, middle)])
    sine = head_forward / (TRUNK + NECK)
    lean = ease(times, [(1.5, 0.0), (plant - 0.1, float(np.degrees(np.arcsin(sine))))])
    hand_z = ease(times, [(1.3, 48.0), (1.65, 80.0), (1.85, 76.0), (2.15, 45.0), (2.6, 85.0)])
    hand_x = ease(times, [(1.3, 5.0), (1.65, -20.0), (1.85, -16.0), (2.15, 36.0), (2.6, 40.0)])
    return build(
        times,
        hips=column(hip_x, 0.0, 44.0),
        lean=lean,
        tilt=ease(times, [(1.5, 0.0), (plant - 0.1, tilt)]),
        ankles=(column(left_x, 5.0, 3.9 + lift), column(-stance_width / 2, -5.0, 3.9)),
        wrists=(column(hand_x + 3, 2.0, hand_z), column(hand_x - 3, -2.0, hand_z)),
        truth={
            "front_foot_plant": plant,
            "head_forward_plant": head_forward,
            "base_width": stance_width,
            "impact": 2.0,
        },
    )


def keeper(fps: float = 30.0, *, depth: float = 28.0, tilt: float = 6.0, hands: float = 20.0) -> Figure:
    """Stands, crouches from 1.0 s, rises at 3.0 s."""
    times = clock(fps, 4.5)
    height = ease(times, [(0.5, 49.0), (1.0, depth), (3.0, depth), (3.4, 49.0)])
    return build(
        times,
        hips=column(0.0, 0.0, height),
        lean=ease(times, [(0.5, 5.0), (1.0, 40.0), (3.0, 40.0), (3.4, 20.0)]),
        tilt=ease(times, [(0.5, 0.0), (1.0, tilt), (3.0, tilt), (3.4, 0.0)]),
        ankles=(column(8.0, 12.0, 3.9), column(-8.0, -12.0, 3.9)),
        wrists=(
            column(15.0, 3.0, ease(times, [(0.5, 50.0), (1.0, hands), (3.0, hands), (3.4, 55.0)])),
            column(15.0, -3.0, ease(times, [(0.5, 50.0), (1.0, hands), (3.0, hands), (3.4, 55.0)])),
        ),
        truth={"crouch_depth": depth, "crouch_tilt": tilt, "hand_height_ready": hands, "rise": 3.0},
    )


def fielder(fps: float = 60.0, *, low: float = 30.0, tilt: float = 15.0) -> Figure:
    """Runs in at 200 % of height/s, is down with the right hand at 2.4 s at half that speed."""
    times = clock(fps, 4.0)
    down = 2.4
    speed, slow = 200.0, 100.0
    rate = ease(times, [(1.8, speed), (2.1, slow), (2.8, slow), (3.2, speed)])
    x = np.concatenate(([0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(times))))
    height = ease(times, [(1.9, 49.0), (down, low), (2.9, 49.0)])
    left, right, _ = gait(times, speed, 0.3, 12.0, first=0.1)
    near = (times > 1.9) & (times < 2.9)
    offset = ease(times, [(1.8, 0.0), (1.9, 1.0), (2.9, 1.0), (3.0, 0.0)])
    ankles = []
    for foot, ahead, y in ((left, 14.0, 5.0), (right, -12.0, -5.0)):
        own = foot[:, 0] - speed * times + x
        ankles.append(column(own * (1 - offset) + (x + ahead) * offset, y, np.where(near, 3.9, foot[:, 1])))
    hand = ease(times, [(1.9, 50.0), (down, 8.0), (2.9, 60.0)])
    return build(
        times,
        hips=column(x, 0.0, height),
        lean=ease(times, [(1.9, 8.0), (down, 60.0), (2.9, 5.0)]),
        tilt=ease(times, [(1.9, 0.0), (down - 0.15, -tilt), (down + 0.15, -tilt), (2.9, 0.0)]),
        ankles=(ankles[0], ankles[1]),
        wrists=(column(x + 5, 8.0, 48.0), column(x + 12, -8.0, hand)),
        truth={"pick_up": down, "hip_height_pick_up": low, "tilt": tilt, "ratio": slow / speed},
    )


Judge = Callable[..., Measurements]


def judge(
    poses: PoseSequence, mode: str, *, view: str | None = "side", stage: str = "deep", **options: Any
) -> Measurements:
    """`measure` with the caller's view, or an unknown one."""
    given = ViewDocument(value=view, source="caller" if view else "unknown", confidence=1.0 if view else 0.0)
    context = MeasureContext(mode=mode, stage=stage, view=given, options=AnalysisOptions(**options))
    return measure(poses, context)


@pytest.fixture(name="judge", scope="session")
def _judge() -> Judge:
    return judge


@dataclass(frozen=True)
class Figures:
    """The builders, for tests that cannot import this file."""

    build = staticmethod(build)
    walker = staticmethod(walker)
    bowler = staticmethod(bowler)
    batter = staticmethod(batter)
    keeper = staticmethod(keeper)
    fielder = staticmethod(fielder)
    knee_truth = staticmethod(knee_truth)
    pose_sequence = staticmethod(pose_sequence)
    ease = staticmethod(ease)
    column = staticmethod(column)


@pytest.fixture(scope="session")
def figures() -> Figures:
    return Figures()
