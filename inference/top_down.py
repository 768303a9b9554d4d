"""Top-down pose: the crop of one person as RTMPose takes it, and its bins as places in the picture. Pure geometry.

As published: a box is widened by a quarter and to the aspect ratio of the input, and scaled without turning; the place
of a keypoint is where its bins are largest, its confidence the smaller one of both maxima. Source: Jiang et al. 2023,
RTMPose, arXiv 2303.07399, and MMPose 1.3 (`bbox_xyxy2cs`, `TopdownAffine`, `get_simcc_maximum`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.poses import FloatArray

PADDING = 1.25
"""Sides of the crop in sides of the box, before the aspect ratio widens one of them."""
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of RGB in 0..255: what the network's input was normalised by in training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonCrop:
    """Where a person's surroundings lie in the input. Sizes and places are (x, y) pixels."""

    centre: tuple[float, float]
    """In the picture; lies in the middle of the input."""
    scale: float
    """Input pixels per picture pixel."""
    size: tuple[int, int]
    """Of the input."""

    def __post_init__(self) -> None:
        """Check the scale; raises ValueError."""
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"invalid PersonCrop: scale {self.scale}")

    @classmethod
    def around(cls, box: FloatArray, size: tuple[int, int]) -> PersonCrop:
        """The crop of a box, (4,) x1 y1 x2 y2; one without area counts as of one pixel."""
        x1, y1, x2, y2 = box.tolist()
        width, height = max(x2 - x1, 1.0) * PADDING, max(y2 - y1, 1.0) * PADDING
        return cls(centre=((x1 + x2) / 2, (y1 + y2) / 2), scale=min(size[0] / width, size[1] / height), size=size)

    def cut(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(h, w, 3) → (H, W, 3) of the input; what lies outside the picture is black."""
        import cv2

        return cv2.warpAffine(image, self._matrix(), self.size, flags=cv2.INTER_LINEAR).astype(np.uint8, copy=False)

    def to_input(self, points: FloatArray) -> FloatArray:
        """(..., 2) in picture pixels → in input pixels."""
        moved: FloatArray = (points - np.asarray(self.centre)) * self.scale + np.asarray(self.size) / 2
        return moved.astype(np.float32)

    def to_picture(self, points: FloatArray) -> FloatArray:
        """(..., 2) in input pixels → in picture pixels."""
        moved: FloatArray = (points - np.asarray(self.size) / 2) / self.scale + np.asarray(self.centre)
        return moved.astype(np.float32)

    def _matrix(self) -> NDArray[np.float64]:
        """(2, 3): picture → input."""
        x, y = (side / 2 - self.scale * middle for side, middle in zip(self.size, self.centre, strict=True))
        return np.array([[self.scale, 0, x], [0, self.scale, y]])


def decode(simcc_x: FloatArray, simcc_y: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Bins (N, K, s W) and (N, K, s H) of an input of (W, H) → (N, K, 3) x, y in input pixels, confidence in 0..1."""
    per_pixel = simcc_x.shape[-1] / size[0], simcc_y.shape[-1] / size[1]
    x, y = simcc_x.argmax(-1) / per_pixel[0], simcc_y.argmax(-1) / per_pixel[1]
    sure = np.clip(np.minimum(simcc_x.max(-1), simcc_y.max(-1)), 0.0, 1.0)
    return np.stack([x, y, sure], axis=-1).astype(np.float32)
