"""The golden clip: a golden photograph as a camera films it that pans and zooms, so that it is known where everybody is
in every frame; and what a model says of a clip when it is shown as clips are, in crops between whole frames.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import cache

import numpy as np
from numpy.typing import NDArray

from inference.batcher import FairBatcher
from inference.estimator import Estimator
from inference.golden import GoldenPerson, Photograph, photographs
from inference.pictures import Picture
from inference.poses import Pose
from inference.spans import SpanReader, SpanRules

_FPS = 30
_FRAMES = 16
"""A span, whose crops come in full batches."""
_SIZE = (600, 900)
"""Width and height: they hold both people of the first photograph wherever the camera looks, and nothing beyond it."""


@cache
def clip() -> tuple[Photograph, ...]:
    """Its frames, in order. Raises WeightsRejected as `photographs` does."""
    photograph = photographs()[0]
    return tuple(_frame(photograph, number) for number in range(_FRAMES))


def _frame(photograph: Photograph, number: int) -> Photograph:
    import cv2

    turn = 2 * math.pi * number / _FRAMES
    zoom, left, top = 1.06 + 0.06 * math.sin(turn), 20 + 18 * math.cos(turn), 130 + 25 * math.sin(2 * turn)

    def at(x: float, y: float) -> tuple[float, float]:
        return zoom * (x - left), zoom * (y - top)

    shift = np.asarray([[zoom, 0, -zoom * left], [0, zoom, -zoom * top]])
    people = tuple(
        GoldenPerson(
            box=(*at(*person.box[:2]), *at(*person.box[2:])),
            points={name: at(*point) for name, point in person.points.items()},
        )
        for person in photograph.people
    )
    image = cv2.warpAffine(photograph.image, shift, _SIZE, flags=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
    return Photograph(name=f"frame {number} of the golden clip", image=image, people=people)


def watch(estimator: Estimator, images: Sequence[NDArray[np.uint8]]) -> list[list[Pose]]:
    """Who is in each frame, (h, w, 3) RGB, of a clip. Raises what `SpanReader.people` raises."""
    batcher = FairBatcher(estimator.infer, max_batch=estimator.best_batch, servers=estimator.servers)
    try:
        with (
            batcher.lane() as lane,
            closing(SpanReader(estimator, lane, SpanRules()).people(_pictures(images))) as seen,
        ):
            return [people for _, _, people in seen]
    finally:
        batcher.close()


def _pictures(images: Sequence[NDArray[np.uint8]]) -> Generator[Picture, None, None]:
    import av

    for number, image in enumerate(images):
        decoded = av.VideoFrame.from_ndarray(image, format="rgb24")
        yield Picture(decoded=decoded, index=number, timestamp_s=number / _FPS, rotation=0)
