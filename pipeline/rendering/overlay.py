"""overlay.mp4: the clip with the athlete's skeleton and the time on it, as any browser plays it."""

from __future__ import annotations

import math
from bisect import bisect_right
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from inference.poses import PoseSequence
from models.documents import TimeSpan
from pipeline.rendering.skeleton import Image, draw_skeleton, resized
from pipeline.rendering.words import clock

_TIME_BASE = Fraction(1, 90_000)
_LONG_SIDE, _SHORT_SIDE = 1280, 720


def fitted_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) of the overlay: within 1280×720 (or 720×1280), never enlarged, even for 4:2:0."""
    scale = min(1.0, _LONG_SIDE / max(width, height), _SHORT_SIDE / min(width, height))
    return max(2, round(width * scale) // 2 * 2), max(2, round(height * scale) // 2 * 2)


class OverlayWriter:
    """Writes pictures with their skeletons into an H.264 file, one by one, in time's order.

    Every picture keeps its own timestamp, so a variable frame rate stays what it was. Where only `spans` of the clip
    are shown, they follow one another without a pause; the time on the picture stays the clip's.
    """

    def __init__(self, path: Path, poses: PoseSequence, spans: tuple[TimeSpan, ...], *, threads: int) -> None:
        self._poses = poses
        self._cuts = _cuts(spans, poses)
        self._size = fitted_size(*poses.frame_size)
        self._scale = np.array(self._size, dtype=np.float32) / np.array(poses.frame_size, dtype=np.float32)
        self._container = av.open(f"file:{path.absolute()}", "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream("libx264", rate=_usual_rate(poses))
        context = self._stream.codec_context
        context.width, context.height = self._size
        context.pix_fmt = "yuv420p"
        context.time_base = _TIME_BASE
        context.thread_count = threads
        context.gop_size = 30  # a coach steps back and forth: seeking must land quickly
        # No B-frames: decoding order is showing order, so no edit list shifts the timestamps.
        context.options = {"preset": "veryfast", "crf": "23", "bf": "0"}
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

    def write(self, image: Image, row: int, event: str | None = None) -> None:
        """Add the picture (H, W, 3) RGB of the inferred frame `row`; `image` itself is left as it is."""
        time_s = float(self._poses.timestamps_s[row])
        canvas = resized(image, self._size)
        keypoints = self._poses.keypoints[row] * self._scale
        draw_skeleton(canvas, keypoints, self._poses.confidence[row], self._poses.skeleton)
        _write_label(canvas, clock(time_s) if event is None else f"{clock(time_s)}  {event}")
        # OpenCV's conversion takes a tenth of swscale's time; it is BT.601, and the stream says so.
        yuv = cv2.cvtColor(canvas, cv2.COLOR_RGB2YUV_I420).astype(np.uint8, copy=False)
        frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
        frame.pts = round(self._shown_at(time_s) / _TIME_BASE)
        frame.time_base = _TIME_BASE
        self._container.mux(self._stream.encode(frame))

    def _shown_at(self, time_s: float) -> float:
        """Seconds into the overlay: the clip's own time less what was cut out before it."""
        return time_s - self._cuts[bisect_right(self._cuts, (time_s, math.inf)) - 1][1]


def _cuts(spans: tuple[TimeSpan, ...], poses: PoseSequence) -> list[tuple[float, float]]:
    """(start of a span, seconds of the clip left out before it)."""
    interval = 1 / float(_usual_rate(poses))  # stays between two spans, or their pictures would share a moment
    left_out = spans[0].start_s - float(poses.timestamps_s[0])
    cuts = [(spans[0].start_s, left_out)]
    for before, after in pairwise(spans):
        left_out += max(0.0, after.start_s - before.end_s - interval)
        cuts.append((after.start_s, left_out))
    return cuts


def _usual_rate(poses: PoseSequence) -> Fraction:
    """Frames a second of the inferred frames; it only steers the encoder, timestamps decide."""
    if len(poses.timestamps_s) < 2:
        return Fraction(30)
    return Fraction(1 / float(np.median(np.diff(poses.timestamps_s)))).limit_denominator(100_000)


def _write_label(canvas: Image, text: str) -> None:
    """White on black in the lower left corner, small."""
    scale = max(canvas.shape[:2]) / 1280 * 0.7
    font, weight = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(scale * 2))
    (width, height), below = cv2.getTextSize(text, font, scale, weight)
    pad = max(2, height // 2)
    bottom = canvas.shape[0] - pad
    cv2.rectangle(canvas, (0, bottom - height - below - pad), (width + 2 * pad, canvas.shape[0]), (0, 0, 0), -1)
    cv2.putText(canvas, text, (pad, bottom - below // 2), font, scale, (255, 255, 255), weight, cv2.LINE_AA)
