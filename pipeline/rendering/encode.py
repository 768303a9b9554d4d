"""H.264 as any browser plays it, and which moment of the clip each of its moments shows."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import av
import cv2
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from inference.poses import PoseSequence
from models.documents import TimeSpan
from pipeline.rendering.skeleton import Image

TIME_BASE = Fraction(1, 90_000)
"""Of every file written here: a picture's time is kept to 11 µs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A stretch of the clip, and where in the written video it begins."""

    start_s: float
    """Of the clip."""
    end_s: float
    shown_s: float
    """Seconds into the video at which `start_s` is shown; the rest of the stretch follows at the clip's own pace."""


def pieces_of(spans: Sequence[TimeSpan], *, shown_s: float, interval_s: float) -> tuple[Piece, ...]:
    """One piece a span, one after the other; the first begins `shown_s` into the video.

    `spans` are in order and apart. `interval_s` stays between two of them, or their pictures would share a moment.
    """
    pieces = [Piece(start_s=spans[0].start_s, end_s=spans[0].end_s, shown_s=shown_s)]
    for before, after in pairwise(spans):
        pause = min(interval_s, after.start_s - before.end_s)
        shown_s += before.end_s - before.start_s + pause
        pieces.append(Piece(start_s=after.start_s, end_s=after.end_s, shown_s=shown_s))
    return tuple(pieces)


def shown_at(pieces: Sequence[Piece], time_s: float) -> float:
    """Seconds into the video of a moment of the clip that lies in one of its pieces."""
    starts = [piece.start_s for piece in pieces]
    piece = pieces[max(0, bisect_right(starts, time_s) - 1)]
    return piece.shown_s + time_s - piece.start_s


def usual_rate(poses: PoseSequence) -> Fraction:
    """Frames a second of the inferred frames; it only steers the encoder, timestamps decide."""
    if len(poses.timestamps_s) < 2:
        return Fraction(30)
    return Fraction(1 / float(np.median(np.diff(poses.timestamps_s)))).limit_denominator(100_000)


def fitted_size(width: int, height: int, long_side: int, short_side: int) -> tuple[int, int]:
    """(width, height) within `long_side` × `short_side` or upright, never enlarged, even for 4:2:0."""
    scale = min(1.0, long_side / max(width, height), short_side / min(width, height))
    return max(2, round(width * scale) // 2 * 2), max(2, round(height * scale) // 2 * 2)


class Encoder:
    """Writes RGB pictures into an H.264 file, in time's order, each with its own timestamp.

    A variable frame rate so stays what it was, and the same pictures give the same bytes.
    """

    def __init__(
        self,
        target: Path | io.BytesIO,
        size: tuple[int, int],
        *,
        rate: Fraction,
        threads: int,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        if isinstance(target, Path):
            # Playing starts before all is loaded. In memory all is there at once, and nothing can be moved forward.
            self._container = av.open(
                f"file:{target.absolute()}", "w", format="mp4", options={"movflags": "+faststart"}
            )
        else:
            self._container = av.open(target, "w", format="mp4")
        self._stream = self._container.add_stream("libx264", rate=rate)
        context = self._stream.codec_context
        context.width, context.height = size
        context.pix_fmt = "yuv420p"
        context.time_base = TIME_BASE
        context.thread_count = threads
        context.gop_size = 30  # a coach steps back and forth: seeking must land quickly
        # No B-frames: decoding order is showing order, so no edit list shifts the timestamps.
        context.options = {"preset": "veryfast", "crf": "23", "bf": "0", **options}
        context.colorspace, context.color_range = Colorspace.ITU601, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def add(self, canvas: Image, shown_s: float) -> None:
        """Show the picture (H, W, 3) RGB, of the video's own size, from this second of the video on."""
        # OpenCV's conversion takes a tenth of swscale's time; it is BT.601, and the stream says so.
        yuv = cv2.cvtColor(canvas, cv2.COLOR_RGB2YUV_I420).astype(np.uint8, copy=False)
        frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
        frame.pts = round(shown_s / TIME_BASE)
        frame.time_base = TIME_BASE
        self._container.mux(self._stream.encode(frame))
