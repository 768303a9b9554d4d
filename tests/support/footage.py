"""Short clips cut from the sample: real people, small enough for a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
FPS = 30


def half_size_frames(sample: Path, first: int = 0, end: int | None = None) -> list[Image]:
    """Frames `first` to `end` of the sample at half its size: (496, 884, 3) RGB."""
    with av.open(str(sample)) as container:
        return [
            cv2.resize(frame.to_ndarray(format="rgb24"), (884, 496), interpolation=cv2.INTER_AREA).astype(np.uint8)
            for frame in islice(container.decode(video=0), first, end)
        ]


def write(
    path: Path,
    frames: Sequence[Image],
    *,
    group: int = 250,
    times_ms: Sequence[int] | None = None,
    options: Mapping[str, str] | None = None,
) -> Path:
    """Encode frames as H.264, 30 a second or at these times, with a key frame every `group` of them."""
    preset = {"preset": "ultrafast", "crf": "18", "g": str(group), "keyint_min": str(group), "sc_threshold": "0"}
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=FPS, options={**preset, **(options or {})})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[number], Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
