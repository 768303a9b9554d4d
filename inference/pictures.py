"""Decoded pictures that stay as the decoder made them until somebody needs pixels, and then only those.

Converting and scaling whole pictures to RGB costs as much as a third of decoding them. A crop of a few hundred pixels
costs a tenth of a millisecond: its planes are scaled first and coloured afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.preprocess import Image, Letterbox

if TYPE_CHECKING:
    from av import VideoFrame

_PLANAR = ("yuv420p", "yuvj420p")
"""Formats whose three planes are used as they are; every other one is converted to the first."""
_FULL_RANGE = 2
_LUMA_WEIGHTS = {1: (0.2126, 0.0722), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
"""AVColorSpace → weights of red and blue in luma (ITU-T H.273, table 4); BT.601 where nothing is declared, as OpenCV.
"""
_BT601 = (0.299, 0.114)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Picture:
    """One decoded picture of a clip. Sizes and rectangles are in upright pixels, as after rotation."""

    decoded: VideoFrame
    index: int
    """Among the decoded frames of the clip."""
    timestamp_s: float
    """Presentation time minus the stream's start."""
    rotation: int
    """Degrees clockwise that turn the stored picture upright: 0, 90, 180 or 270."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        stored = self.decoded.width, self.decoded.height
        return stored if self.rotation % 180 == 0 else (stored[1], stored[0])

    @property
    def nbytes(self) -> int:
        """About what it holds in memory: 1.5 bytes a pixel at 8 bits."""
        return sum(plane.buffer_size for plane in self.decoded.planes)

    def rgb(self) -> Image:
        """(H, W, 3) RGB, contiguous, as OpenCV's VideoCapture would give it."""
        from av.video.reformatter import Interpolation

        # Bicubic as OpenCV does it (for 10-bit pictures only it matters); one thread, for others have better use for
        # the rest.
        image = self.decoded.reformat(format="rgb24", interpolation=Interpolation.BICUBIC, threads=1).to_ndarray()
        return _turned(image.astype(np.uint8, copy=False), self.rotation)

    def planar(self) -> Picture:
        """Itself, or converted to planes of 8 bits: where a picture is cut more than once, do this once."""
        if self.decoded.format.name in _PLANAR:
            return self
        return replace(self, decoded=self.decoded.reformat(format="yuv420p", threads=1))

    def cut(self, box: Letterbox) -> Image:
        """What `box.apply(self.rgb())` gives, to a few levels of colour, without converting the rest.

        (H, W, 3) RGB of the box's size. Raises ValueError for a box made for another size of picture.
        """
        import cv2

        if box.picture != self.size:
            raise ValueError(f"a box for {box.picture} does not fit a picture of {self.size}")
        decoded = self.planar().decoded
        x, y, width, height = _stored(box, self.rotation)
        resized = box.resized if self.rotation % 180 == 0 else (box.resized[1], box.resized[0])
        luma, *chroma = (_plane(decoded, number) for number in range(3))
        halves = [c[y // 2 : (y + height + 1) // 2, x // 2 : (x + width + 1) // 2] for c in chroma]
        parts = [
            cv2.resize(part, resized, interpolation=cv2.INTER_LINEAR)
            for part in (luma[y : y + height, x : x + width], *halves)
        ]
        full = decoded.color_range == _FULL_RANGE or decoded.format.name == "yuvj420p"
        rgb = cv2.transform(cv2.merge(parts), _to_rgb(int(decoded.colorspace), full))
        return box.padded(_turned(rgb.astype(np.uint8, copy=False), self.rotation))


def _plane(decoded: VideoFrame, number: int) -> NDArray[np.uint8]:
    """(h, w) of a plane, without copying it."""
    plane = decoded.planes[number]
    stored: NDArray[np.uint8] = np.frombuffer(memoryview(plane), np.uint8)
    return stored.reshape(-1, plane.line_size)[: plane.height, : plane.width]


def _stored(box: Letterbox, rotation: int) -> tuple[int, int, int, int]:
    """(x, y, width, height) of the box's rectangle in the stored picture, before it is turned upright."""
    (x, y), (width, height), (picture_width, picture_height) = box.origin, box.source, box.picture
    if rotation == 90:
        return y, picture_width - x - width, height, width
    if rotation == 180:
        return picture_width - x - width, picture_height - y - height, width, height
    if rotation == 270:
        return picture_height - y - height, x, height, width
    return x, y, width, height


def _turned(image: Image, rotation: int) -> Image:
    import cv2

    if rotation == 0:
        return image
    turn = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
    return cv2.rotate(image, turn[rotation]).astype(np.uint8, copy=False)


@lru_cache(maxsize=32)
def _to_rgb(colorspace: int, full_range: bool) -> NDArray[np.float64]:
    """(3, 4) that maps 8-bit Y, Cb, Cr to R, G, B."""
    red, blue = _LUMA_WEIGHTS.get(colorspace, _BT601)
    green = 1 - red - blue
    chroma = np.array([
        [0.0, 2 * (1 - red)],
        [-2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green],
        [2 * (1 - blue), 0.0],
    ])  # fmt: skip
    luma_scale, chroma_scale, black = (1.0, 1.0, 0.0) if full_range else (255 / 219, 255 / 224, 16.0)
    weights = np.hstack([np.full((3, 1), luma_scale), chroma * chroma_scale])
    return np.hstack([weights, -weights @ np.array([[black], [128.0], [128.0]])])
