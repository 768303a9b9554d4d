"""The video inside report.html: the clip small, without anything drawn, so that the page can draw on it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from inference.poses import PoseSequence
from models.documents import TimeSpan
from pipeline.rendering.encode import Encoder, Piece, fitted_size, pieces_of, shown_at, usual_rate
from pipeline.rendering.skeleton import MIN_CONFIDENCE, Image, resized

_RICH = (1280, 720, 2_000_000)
_POOR = (960, 540, 0)
"""(longest, shortest side, bits a second that it takes to look well)."""
_SUBPIXELS = 16
_UNSEEN = -(1 << 15)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Proxy:
    """The embedded video, and what the page must know to say which moment of the clip it shows."""

    mp4: bytes
    size: tuple[int, int]
    """(width, height) of its pictures."""
    pieces: tuple[Piece, ...]
    times_s: NDArray[np.float64]
    """(T,): the clip's time of each of its pictures."""
    points: NDArray[np.int16]
    """(T, K, 2): the athlete in its pixels, in sixteenths; what is not drawn is -32768."""

    def __post_init__(self) -> None:
        """Check the shapes; raises ValueError."""
        if self.points.ndim != 3 or self.points.shape[::2] != (len(self.times_s), 2):
            raise ValueError(f"{self.points.shape} points for {len(self.times_s)} pictures")

    def shows(self, time_s: float) -> bool:
        """Whether this moment of the clip is in it."""
        return any(piece.start_s <= time_s <= piece.end_s for piece in self.pieces)


class ProxyWriter:
    """Encodes the pictures of some spans of the clip, in time's order, into at most about `max_bytes`."""

    def __init__(self, poses: PoseSequence, spans: tuple[TimeSpan, ...], *, max_bytes: int) -> None:
        self._poses, self._max_bytes = poses, max_bytes
        rate = usual_rate(poses)
        self._pieces = pieces_of(spans, shown_s=0.0, interval_s=float(1 / rate))
        self._rows: list[int] = []
        length_s = self._pieces[-1].shown_s + spans[-1].end_s - spans[-1].start_s
        # A buffer of a second on top of the stream's length is the most that x264 may overdraw.
        bits_per_s = int(max_bytes * 8 * 0.95 / (length_s + 1))
        long_side, short_side, _ = _RICH if bits_per_s >= _RICH[2] else _POOR
        self._size = fitted_size(*poses.frame_size, long_side, short_side)
        self._file = io.BytesIO()
        limits = {"maxrate": str(bits_per_s), "bufsize": str(bits_per_s)}
        # With a limit on the rate, x264's threads see of one another what happens to be done: one gives equal bytes.
        self._encoder = Encoder(self._file, self._size, rate=rate, threads=1, options=limits)

    def __enter__(self) -> Self:
        self._encoder.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._encoder.__exit__(kind, error, trace)

    def write(self, image: Image, row: int) -> None:
        """Add the picture (H, W, 3) RGB of the inferred frame `row`."""
        self._rows.append(row)
        self._encoder.add(resized(image, self._size), shown_at(self._pieces, float(self._poses.timestamps_s[row])))

    def finished(self) -> Proxy | None:
        """After the block: the video; None where it could not be made small enough, or nothing was shown."""
        mp4 = self._file.getvalue()
        if not self._rows or len(mp4) > self._max_bytes:
            return None
        return Proxy(
            mp4=mp4,
            size=self._size,
            pieces=self._pieces,
            times_s=self._poses.timestamps_s[self._rows],
            points=packed_points(self._poses, self._rows, self._size),
        )


def packed_points(poses: PoseSequence, rows: list[int], size: tuple[int, int]) -> NDArray[np.int16]:
    """(T, K, 2): the keypoints of these rows in sixteenths of a pixel of a picture of `size` (width, height).

    What `draw_skeleton` does not draw (NaN, or below its confidence) is -32768; what lies far outside is left out too.
    """
    scale = np.array(size, dtype=np.float64) / np.array(poses.frame_size, dtype=np.float64) * _SUBPIXELS
    scaled = poses.keypoints[rows].astype(np.float64) * scale
    known = np.isfinite(scaled).all(axis=2) & (np.nan_to_num(poses.confidence[rows]) >= MIN_CONFIDENCE)
    known &= (np.abs(np.nan_to_num(scaled)) < -_UNSEEN).all(axis=2)
    return (
        np.where(known[..., None], np.round(np.nan_to_num(scaled)), _UNSEEN)
        .clip(_UNSEEN, -_UNSEEN - 1)
        .astype(np.int16)
    )
