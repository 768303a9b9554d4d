"""What a clip is, before anything is spent on it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from inference.errors import NoFrames
from inference.poses import ClipInfo
from inference.video import VideoLimits, open_video


def probe(path: Path, limits: VideoLimits | None = None) -> ClipInfo:
    """Read a clip's size, length and rate from its packets, and decode one frame to see that it can be decoded.

    Duration and rate come from the timestamps of all packets, not from the header, which may lie. Reads the file twice,
    decodes one frame. Raises what `inference.video.open_video` and `OpenVideo.pictures` raise.
    """
    limits = limits or VideoLimits()
    duration_s, fps = _length(path, limits)
    with open_video(path, limits, threads=1) as video:
        picture = next(video.pictures(), None)
        if picture is None:
            raise NoFrames
        width, height = picture.size
        return ClipInfo(
            width=width,
            height=height,
            rotation=video.tally.rotation,
            duration_s=duration_s,
            fps=fps,
            container=video.container,
            codec=video.codec,
            sha256=clip_sha256(path),
        )


def _length(path: Path, limits: VideoLimits) -> tuple[float, float]:
    """(duration in seconds, average frames a second)."""
    frames, last, end = 0, 0.0, 0.0
    first = float("inf")
    with open_video(path, limits) as video:
        for start, duration in video.packet_times():
            frames += 1
            first, last, end = min(first, start), max(last, start), max(end, start + duration)
            limits.check_length(end, frames)
        if frames > 1 and last > first:
            return end, (frames - 1) / (last - first)
        return end, video.nominal_fps


def clip_sha256(path: Path) -> str:
    """Of the whole file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
