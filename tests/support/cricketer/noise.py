"""What the default model adds to the truth, as measured on real clips; confidence shows nothing of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cricketer.body import KEYPOINT, Array
from inference.poses import COCO_17
from inference.skeletons import HALPE_26

COUNT = len(COCO_17.keypoint_names)

WHITE = {"shoulder": 0.28, "elbow": 0.4, "wrist": 0.5, "hip": 0.38, "knee": 0.43, "ankle": 0.68}
"""% of height per axis; the head 0.3."""
SLOW, SLOW_TAU_S = 2.0, 0.3
"""AR(1) per keypoint and axis, % of height and seconds; one for the whole head."""
MERGE_S = (0.1, 0.17)
"""3 to 5 frames at 30 a second."""
MERGE_SHARE = 0.65
"""Of the crossings of the legs: makes a sixth of a walk's frames."""
BLUR_S = (0.03, 0.07)
FAR_WRIST_SHARE = 0.4
WHITE_MORE = {"head": 0.3, "neck": 0.28, "hip": 0.38}
"""Of what HALPE-26 has in the body's middle; toes and heels have an ankle's."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Which of the model's faults to add."""

    white: float = 1.0
    """Times `WHITE`."""
    slow: float = 1.0
    """Times `SLOW`."""
    merged: bool = True
    mirrored: float = 0.0
    """Share of the frames, seen along the pitch."""
    far_wrist: bool = True
    blur: bool = True
    foot_together: float = 1.0
    """Share of the slow error's variance of toes and heel that is their ankle's, as all of a head's is one."""

    def add(
        self,
        picture: Array,
        stature: Array,
        times: Array,
        rng: np.random.Generator,
        *,
        side_view: bool,
        blurs: tuple[tuple[str, float], ...] = (),
    ) -> tuple[Array, Array]:
        """Keypoints (T, K, 2) in pixels and confidence (T, K) of a `picture` with people of `stature` (T,).

        What a picture has beside COCO-17 gets its noise from a generator of its own: the 17 get the same without it.
        """
        out, more = picture.copy(), rng.spawn(1)[0]
        if side_view and self.far_wrist:
            _draw_far_wrist(out, times, rng)
        unit = (stature / 100)[:, None, None]
        body = out[:, :COUNT].shape
        white, slow = _white(body, rng), _slow(body, times, rng)
        out[:, :COUNT] += unit * (self.white * white + self.slow * slow)
        if out.shape[1] > COUNT:
            out[:, COUNT:] += unit * self._beside(slow, times, more)
        if side_view and self.merged:
            _merge_legs(out, stature, times, rng, more)
        if self.mirrored and not side_view:
            _mirror(out, self.mirrored, rng)
        confidence = np.concatenate(
            [rng.uniform(0.7, 0.99, body[:2]), more.uniform(0.7, 0.99, out[:, COUNT:].shape[:2])], axis=1
        )
        if self.blur:
            for name, moment in blurs:
                start = moment + rng.uniform(-0.05, 0.02)
                gone = (times >= start) & (times < start + rng.uniform(*BLUR_S))
                confidence[gone, KEYPOINT[name]] = 0.1
        return out, confidence

    def _beside(self, slow: Array, times: Array, rng: np.random.Generator) -> Array:
        """(T, 9, 2) in % of height: the head's top drifts with the head, feet with their ankles as far as is said."""
        names = HALPE_26.keypoint_names[COUNT:]
        sigma = np.array([WHITE_MORE.get(name, WHITE["ankle"]) for name in names])
        own = _walk((len(times), len(names), 2), times, rng)
        own[:, 0] = slow[:, 0]
        ankles = [KEYPOINT["left_ankle"], KEYPOINT["right_ankle"]] * 3
        own[:, 3:] = np.sqrt(self.foot_together) * slow[:, ankles] + np.sqrt(1 - self.foot_together) * own[:, 3:]
        return np.asarray(self.white * rng.normal(0, 1, own.shape) * sigma[None, :, None] + self.slow * own)


CLEAN = Noise(white=0, slow=0, merged=False, mirrored=0, far_wrist=False, blur=False)


def _white(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    sigma = np.array([WHITE.get(name.split("_")[-1], 0.3) for name in COCO_17.keypoint_names])
    return np.asarray(rng.normal(0, 1, shape) * sigma[None, :, None])


def _slow(shape: tuple[int, ...], times: Array, rng: np.random.Generator) -> Array:
    out = _walk(shape, times, rng)
    out[:, 1:5] = out[:, :1]
    return out


def _walk(shape: tuple[int, ...], times: Array, rng: np.random.Generator) -> Array:
    """An Ornstein-Uhlenbeck walk that begins in its stationary state."""
    out = rng.normal(0, 1, shape)
    keep = np.exp(-np.diff(times) / SLOW_TAU_S)
    for i, share in enumerate(keep, start=1):
        out[i] = share * out[i - 1] + np.sqrt(1 - share**2) * out[i]
    return np.asarray(SLOW * out)


def _merge_legs(
    picture: Array, stature: Array, times: Array, rng: np.random.Generator, more: np.random.Generator
) -> None:
    """Around a crossing of the ankles both legs are drawn on one, its slow error with it."""
    apart = picture[:, KEYPOINT["left_ankle"], 0] - picture[:, KEYPOINT["right_ankle"], 0]
    for i in np.flatnonzero(np.diff(np.sign(apart)) != 0):
        length = rng.uniform(*MERGE_S)
        if rng.random() > MERGE_SHARE:
            continue
        near = (np.abs(times - times[i]) <= length / 2) & (np.abs(apart) < 0.35 * stature)
        kept = rng.integers(2)
        feet = ("big_toe", "small_toe", "heel") if picture.shape[1] > COUNT else ()
        for joint in ("knee", "ankle", *feet):
            pair = [KEYPOINT[f"{side}_{joint}"] for side in ("left", "right")]
            drawn = more if joint in feet else rng
            white = 0.003 * stature[near, None] * drawn.normal(0, 1, (int(near.sum()), 2))
            picture[near, pair[1 - kept]] = picture[near, pair[kept]] + white


def _draw_far_wrist(picture: Array, times: Array, rng: np.random.Generator) -> None:
    """The wrist of the arm away from a camera that sees the athlete's right side is drawn on the trunk for spells."""
    trunk = picture[:, [5, 6, 11, 12]].mean(axis=1)
    moment = rng.uniform(0, 0.5)
    while moment < times[-1]:
        length = rng.uniform(0.2, 0.5)
        drawn = (times >= moment) & (times < moment + length)
        picture[drawn, KEYPOINT["left_wrist"]] = trunk[drawn]
        moment += length / FAR_WRIST_SHARE


def _mirror(picture: Array, share: float, rng: np.random.Generator) -> None:
    """Whole bodies with left and right exchanged, in runs of 1 to 4 frames."""
    order = (COCO_17 if picture.shape[1] == COUNT else HALPE_26).exchanged()
    i = 0
    while i < len(picture):
        length = int(rng.integers(1, 5))
        if rng.random() < share / 2.5 / (1 - share):
            picture[i : i + length] = picture[i : i + length][:, order]
            i += length
        else:
            i += 1
