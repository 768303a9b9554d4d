"""overlay.mp4: the clip with the athlete's skeleton and the time on it, as any browser plays it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from inference.poses import PoseSequence
from models.documents import TimeSpan
from pipeline.rendering.encode import Encoder, fitted_size, pieces_of, shown_at, usual_rate
from pipeline.rendering.skeleton import Image, draw_skeleton, resized
from pipeline.rendering.words import clock

_LONG_SIDE, _SHORT_SIDE = 1280, 720


class OverlayWriter:
    """Writes pictures with their skeletons into an H.264 file, one by one, in time's order.

    Every picture keeps its own timestamp, so a variable frame rate stays what it was. Where only `spans` of the clip
    are shown, they follow one another without a pause; the time on the picture stays the clip's.
    """

    def __init__(self, path: Path, poses: PoseSequence, spans: tuple[TimeSpan, ...], *, threads: int) -> None:
        rate = usual_rate(poses)
        self._poses = poses
        # The first picture keeps its time in the clip, so that a player's clock and the one on the picture agree.
        self._pieces = pieces_of(spans, shown_s=float(poses.timestamps_s[0]), interval_s=float(1 / rate))
        self._size = fitted_size(*poses.frame_size, _LONG_SIDE, _SHORT_SIDE)
        self._scale = np.array(self._size, dtype=np.float32) / np.array(poses.frame_size, dtype=np.float32)
        self._encoder = Encoder(path, self._size, rate=rate, threads=threads)

    def __enter__(self) -> Self:
        self._encoder.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._encoder.__exit__(kind, error, trace)

    def write(self, image: Image, row: int, event: str | None = None) -> None:
        """Add the picture (H, W, 3) RGB of the inferred frame `row`; `image` itself is left as it is."""
        time_s = float(self._poses.timestamps_s[row])
        canvas = resized(image, self._size)
        keypoints = self._poses.keypoints[row] * self._scale
        draw_skeleton(canvas, keypoints, self._poses.confidence[row], self._poses.skeleton)
        _write_label(canvas, clock(time_s) if event is None else f"{clock(time_s)}  {event}")
        self._encoder.add(canvas, shown_at(self._pieces, time_s))


def _write_label(canvas: Image, text: str) -> None:
    """White on black in the lower left corner, small."""
    scale = max(canvas.shape[:2]) / 1280 * 0.7
    font, weight = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(scale * 2))
    (width, height), below = cv2.getTextSize(text, font, scale, weight)
    pad = max(2, height // 2)
    bottom = canvas.shape[0] - pad
    cv2.rectangle(canvas, (0, bottom - height - below - pad), (width + 2 * pad, canvas.shape[0]), (0, 0, 0), -1)
    cv2.putText(canvas, text, (pad, bottom - below // 2), font, scale, (255, 255, 255), weight, cv2.LINE_AA)
