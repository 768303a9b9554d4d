"""Letterbox: a picture, or a rectangle of it → the rectangle a YOLO model takes, and the way back to source pixels.

Of whole pictures the geometry is that of Ultralytics' `LetterBox(auto=True)` as its `predict` uses it, so that the
network sees the very same pixels.
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
    """Where a rectangle of a picture lies in the model's input. All sizes and places are (x, y) pixels."""

    picture: tuple[int, int]
    """Size of the source picture."""
    origin: tuple[int, int] = (0, 0)
    """Left and top corner of the rectangle in the picture."""
    source: tuple[int, int]
    """Size of the rectangle in the picture."""
    resized: tuple[int, int]
    """Of the rectangle inside the padding."""
    pad: tuple[int, int]
    """Left and top padding."""
    size: tuple[int, int]
    """Of the whole input: multiples of the stride."""

    def __post_init__(self) -> None:
        """Check that the rectangle lies within the picture and within the input; raises ValueError."""
        sides = zip(self.picture, self.origin, self.source, self.resized, self.pad, self.size, strict=True)
        for picture, origin, source, resized, pad, size in sides:
            if min(source, resized) < 1 or pad < 0 or pad + resized > size or not 0 <= origin <= picture - source:
                raise ValueError(
                    f"invalid Letterbox: {source} px from {origin} of {picture}, as {resized} px from {pad}, "
                    f"does not fit {size}"
                )

    @classmethod
    def fit(cls, width: int, height: int, *, long_side: int = LONG_SIDE, stride: int = STRIDE) -> Letterbox:
        """Scale the longer side to `long_side` and pad the shorter one to the next multiple of `stride`, centred."""
        ratio = min(long_side / width, long_side / height)
        # A very thin picture keeps one pixel.
        resized = (max(round(width * ratio), 1), max(round(height * ratio), 1))
        padding = tuple((long_side - side) % stride for side in resized)
        return cls(
            picture=(width, height),
            source=(width, height),
            resized=resized,
            pad=_centred(padding[0], padding[1]),
            size=(resized[0] + padding[0], resized[1] + padding[1]),
        )

    @classmethod
    def crop(
        cls, picture: tuple[int, int], centre: tuple[float, float], size: tuple[int, int], scale: float
    ) -> Letterbox:
        """The rectangle around `centre` that fills an input of `size` at `scale` input pixels per source pixel.

        Near an edge it is shifted into the picture; where the picture is smaller than it, the rest is padding.
        """
        source = tuple(min(round(side / scale), whole) for side, whole in zip(size, picture, strict=True))
        resized = tuple(min(round(part * scale), side) for part, side in zip(source, size, strict=True))
        origin = tuple(
            min(max(round(middle - part / 2), 0), whole - part)
            for middle, part, whole in zip(centre, source, picture, strict=True)
        )
        return cls(
            picture=picture,
            origin=(origin[0], origin[1]),
            source=(source[0], source[1]),
            resized=(resized[0], resized[1]),
            pad=_centred(size[0] - resized[0], size[1] - resized[1]),
            size=size,
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
        """(h, w, 3) uint8, the whole picture → a new contiguous (H, W, 3) uint8. Raises ValueError for another size."""
        import cv2

        height, width = image.shape[:2]
        if (width, height) != self.picture or image.shape[2:] != (3,) or image.dtype != np.uint8:
            expected = (self.picture[1], self.picture[0], 3)
            raise ValueError(f"picture {image.shape} {image.dtype}, not {expected} uint8")
        (left, top), (source_width, source_height) = self.origin, self.source
        cut = image[top : top + source_height, left : left + source_width]
        if self.source == self.resized:
            return self.padded(cut.copy())
        return self.padded(cv2.resize(cut, self.resized, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False))

    def padded(self, resized: Image) -> Image:
        """The rectangle at its resized size → (H, W, 3) of the input, contiguous; copied only where it must be."""
        if self.resized == self.size:
            return np.ascontiguousarray(resized)
        left, top = self.pad
        boxed = np.full((*self.shape, 3), GREY, np.uint8)
        boxed[top : top + self.resized[1], left : left + self.resized[0]] = resized
        return boxed

    def to_source(self, points: FloatArray) -> FloatArray:
        """(..., 2) x, y in input pixels → (..., 2) in source pixels, clipped to the picture's edges."""
        scaled = (points - np.asarray(self.pad, np.float32)) / np.asarray(self.scale, np.float32)
        moved = scaled + np.asarray(self.origin, np.float32)
        return np.clip(moved, 0.0, np.asarray(self.picture, np.float32)).astype(np.float32, copy=False)


def _centred(x: int, y: int) -> tuple[int, int]:
    """Half of the padding; -0.1 gives the odd pixel to the right and the bottom, as in training."""
    return round(x / 2 - 0.1), round(y / 2 - 0.1)
