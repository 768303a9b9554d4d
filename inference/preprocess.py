"""Letterbox: any picture → the rectangle a YOLO model takes, and the way back to source pixels.

The geometry is that of Ultralytics' `LetterBox(auto=True)` as its `predict` uses it, so that the network sees the
very same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.poses import FloatArray

Image = NDArray[np.uint8]

LONG_SIDE = 640
STRIDE = 32
GREY = 114
"""The padding that the models were trained with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Letterbox:
    """Where a picture of `source` size lies in the model's input. All sizes are (width, height) pixels."""

    source: tuple[int, int]
    resized: tuple[int, int]
    """Of the picture inside the padding."""
    pad: tuple[int, int]
    """Left and top padding."""
    size: tuple[int, int]
    """Of the whole input: multiples of the stride."""

    def __post_init__(self) -> None:
        """Check that the picture lies within the input; raises ValueError."""
        for source, resized, pad, size in zip(self.source, self.resized, self.pad, self.size, strict=True):
            if min(source, resized) < 1 or pad < 0 or pad + resized > size:
                raise ValueError(f"invalid Letterbox: {source} px as {resized} px from {pad} does not fit {size}")

    @classmethod
    def fit(cls, width: int, height: int, *, long_side: int = LONG_SIDE, stride: int = STRIDE) -> Letterbox:
        """Scale the longer side to `long_side` and pad the shorter one to the next multiple of `stride`, centred."""
        ratio = min(long_side / width, long_side / height)
        # A very thin picture keeps one pixel.
        resized = (max(round(width * ratio), 1), max(round(height * ratio), 1))
        padding = tuple((long_side - side) % stride for side in resized)
        return cls(
            source=(width, height),
            resized=resized,
            # -0.1 gives the odd pixel to the right and the bottom, as in training.
            pad=(round(padding[0] / 2 - 0.1), round(padding[1] / 2 - 0.1)),
            size=(resized[0] + padding[0], resized[1] + padding[1]),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the input."""
        return self.size[1], self.size[0]

    @property
    def scale(self) -> tuple[float, float]:
        """Input pixels per source pixel in x and y; they differ by the rounding of `resized`."""
        return self.resized[0] / self.source[0], self.resized[1] / self.source[1]

    def apply(self, image: Image) -> Image:
        """(h, w, 3) uint8 of the source size → a new contiguous (H, W, 3) uint8. Raises ValueError for another size."""
        import cv2

        height, width = image.shape[:2]
        if (width, height) != self.source or image.shape[2:] != (3,) or image.dtype != np.uint8:
            expected = (self.source[1], self.source[0], 3)
            raise ValueError(f"picture {image.shape} {image.dtype}, not {expected} uint8")
        if (width, height) == self.resized:
            resized: NDArray[np.generic] = image
        else:
            resized = cv2.resize(image, self.resized, interpolation=cv2.INTER_LINEAR)
        left, top = self.pad
        boxed = np.full((*self.shape, 3), GREY, np.uint8)
        boxed[top : top + self.resized[1], left : left + self.resized[0]] = resized
        return boxed

    def to_source(self, points: FloatArray) -> FloatArray:
        """(..., 2) x, y in input pixels → (..., 2) in source pixels, clipped to the picture's edges."""
        scaled = (points - np.asarray(self.pad, np.float32)) / np.asarray(self.scale, np.float32)
        return np.clip(scaled, 0.0, np.asarray(self.source, np.float32)).astype(np.float32, copy=False)
