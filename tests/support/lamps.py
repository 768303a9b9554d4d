"""A stand-in for camera and network: people are lamps on a dark wall, and a network that looks for bright boxes.

Everything between the two is real: pictures are decoded frames, cut and letterboxed like any others; what the network
says depends on the pixels alone, so that it is wrong where a real one would be: of what a crop cuts off it sees the
rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from inference.artifact import Precision
from inference.backends.base import BackendName
from inference.catalog import DEFAULT_MODEL, resolve
from inference.estimator import Estimator
from inference.pictures import Picture
from inference.poses import COCO_17, Skeleton

WALL = 60
PLAIN = 230
"""Luma of a lamp that every picture shows."""
HIDDEN = 190
"""Of one that whole frames alone show: crops lose it."""
MISPLACED = 150
"""Of one that crops show in the wrong place, a quarter of its height too far left."""

WHOLE = (384, 640)
"""Input of a whole 16:9 frame."""

_POINTS = np.array([
    (0.5, 0.06), (0.57, 0.04), (0.43, 0.04), (0.65, 0.06), (0.35, 0.06), (0.82, 0.18), (0.18, 0.18), (0.88, 0.34),
    (0.12, 0.34), (0.9, 0.48), (0.1, 0.48), (0.72, 0.48), (0.28, 0.48), (0.72, 0.72), (0.28, 0.72), (0.75, 0.97),
    (0.25, 0.97),
])  # fmt: skip
"""(17, 2) of somebody who stands in a box: shares of its width and height."""
_MORE_POINTS = np.array([
    (0.5, 0.0), (0.5, 0.16), (0.5, 0.48), (0.8, 1.0), (0.2, 1.0), (0.85, 1.0), (0.15, 1.0), (0.74, 0.99), (0.26, 0.99),
])  # fmt: skip
"""(9, 2) of the same: what HALPE-26 adds."""


@dataclass(frozen=True, kw_only=True)
class Lamp:
    """Where a lamp is in a frame: the middle and size of a box, in pixels."""

    x: float
    y: float
    height: float = 160.0
    luma: int = PLAIN


class Shot:
    """A decoded picture that a weak reference can watch, which it cannot libav's own."""

    def __init__(self, frame: av.VideoFrame) -> None:
        self._frame = frame

    def __getattr__(self, name: str) -> object:
        return getattr(self._frame, name)


Scene = Callable[[int], Sequence[Lamp]]
"""The lamps of a frame."""


def pictures(frames: int, scene: Scene, *, fps: float = 30.0, size: tuple[int, int] = (1280, 720)) -> Iterator[Picture]:
    """What a decoder would hand out."""
    for index in range(frames):
        yield Picture(decoded=shot(scene(index), size), index=index, timestamp_s=index / fps, rotation=0)


def shot(lamps: Sequence[Lamp], size: tuple[int, int]) -> Shot:
    width, height = size
    made = av.VideoFrame(width, height, "yuv420p")
    luma = np.full((height, made.planes[0].line_size), WALL, np.uint8)
    for lamp in lamps:
        tall, wide = lamp.height / 2, lamp.height / 5
        corners = [round(value) for value in (lamp.x - wide, lamp.y - tall, lamp.x + wide, lamp.y + tall)]
        left, top, right, bottom = (max(value, 0) for value in corners)
        luma[top:bottom, left : min(right, width)] = lamp.luma
    made.planes[0].update(luma)
    for plane in made.planes[1:]:
        plane.update(np.full(plane.buffer_size, 128, np.uint8))
    return Shot(made)


@dataclass
class LampNetwork:
    """A `Backend` that finds lamps."""

    name: BackendName = "openvino"
    precision: Precision = "fp32"
    runtime: str = "lamps"
    servers: int = 1
    skeleton: Skeleton = COCO_17
    """Or HALPE-26."""
    inferred: list[tuple[int, ...]] = field(default_factory=list)
    """(N, H, W) of every batch."""
    _lock: Lock = field(default_factory=Lock)

    def best_batch(self, shape: tuple[int, int]) -> int:
        return 4 if shape == WHOLE else 8

    def infer(self, batch: NDArray[np.uint8], *, fine: bool = True) -> NDArray[np.float32]:
        with self._lock:
            self.inferred.append(batch.shape[:3])
        found = [self._lamps(image, whole=image.shape[:2] == WHOLE) for image in batch]
        raw = np.zeros((len(batch), 5 + 3 * len(self.skeleton.keypoint_names), max(map(len, found)) + 1), np.float32)
        for place, lamps in enumerate(found):
            for anchor, values in enumerate(lamps):
                raw[place, :, anchor] = values
        return raw

    def close(self) -> None:
        pass

    def _lamps(self, image: NDArray[np.uint8], *, whole: bool) -> list[NDArray[np.float64]]:
        """Box, score and keypoints of each bright region."""
        grey = image[..., 1].astype(int)
        # The luma that a picture stores becomes grey of another level: 16..235 → 0..255.
        levels = {luma: (luma - 16) * 255 / 219 for luma in (PLAIN, HIDDEN, MISPLACED)}
        bright = (grey > levels[MISPLACED] - 10).astype(np.uint8)
        people = []
        _, _, boxes, _ = cv2.connectedComponentsWithStats(bright)
        for x, y, wide, tall, area in boxes[1:]:
            if area < 12:
                continue
            level = np.median(grey[y : y + tall, x : x + wide])
            if not whole and abs(level - levels[HIDDEN]) < 15:
                continue
            left = x - 0.25 * tall if not whole and abs(level - levels[MISPLACED]) < 15 else x
            shares = np.concatenate([_POINTS, _MORE_POINTS])[: len(self.skeleton.keypoint_names)]
            points = np.array([left, y]) + shares * (wide, tall)
            triples = np.column_stack([points, np.full(len(points), 0.9)])
            people.append(np.concatenate([[left + wide / 2, y + tall / 2, wide, tall, 0.9], triples.ravel()]))
        return people


def lamp_estimator(network: LampNetwork | None = None) -> Estimator:
    network = network or LampNetwork()
    return Estimator(network, replace(resolve(DEFAULT_MODEL), skeleton=network.skeleton))
