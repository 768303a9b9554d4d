"""What a clip is, before anything is spent on it."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from inference.errors import NoFrames
from inference.poses import ClipInfo
from inference.segments import WHOLE, Planner, SegmentRules, Segments
from inference.video import OpenVideo, VideoLimits, open_video


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What a clip is, and where it may be cut."""

    clip: ClipInfo
    segments: Segments


def probe(path: Path, limits: VideoLimits | None = None) -> ClipInfo:
    """What `survey` says of the clip itself."""
    return survey(path, limits).clip


def survey(path: Path, limits: VideoLimits | None = None, rules: SegmentRules | None = None) -> Survey:
    """Read a clip's size, length and rate from its packets, and decode one frame to see that it can be decoded.

    Duration and rate come from the timestamps of all packets, not from the header, which may lie. Reads the file twice,
    opened once where it can be rewound, and decodes one frame. Raises what `inference.video.open_video` and
    `OpenVideo.pictures` raise.
    """
    limits = limits or VideoLimits()
    with ExitStack() as opened:
        video = opened.enter_context(open_video(path, limits, threads=1))
        duration_s, fps, segments = _read_packets(video, limits, rules or SegmentRules())
        if not video.rewound():
            opened.close()
            video = opened.enter_context(open_video(path, limits, threads=1))
        picture = next(video.pictures(), None)
        if picture is None:
            raise NoFrames
        width, height = picture.size
        clip = ClipInfo(
            width=width,
            height=height,
            rotation=video.tally.rotation,
            duration_s=duration_s,
            fps=fps,
            container=video.container,
            codec=video.codec,
            sha256=clip_sha256(path),
        )
    return Survey(clip=clip, segments=segments)


def _read_packets(video: OpenVideo, limits: VideoLimits, rules: SegmentRules) -> tuple[float, float, Segments]:
    """(duration in seconds, average frames a second, segments)."""
    frames, last, end = 0, 0.0, 0.0
    first = float("inf")
    planner = Planner(rules)
    for note in video.packets():
        planner.add(note)
        if note.start_s is None or note.hidden:
            continue
        frames += 1
        first, last, end = (
            min(first, note.start_s),
            max(last, note.start_s),
            max(end, note.start_s + note.duration_s),
        )
        limits.check_length(end, frames)
    segments = (WHOLE,) if video.tally.truncated else planner.segments(video.container)
    if frames > 1 and last > first:
        return end, (frames - 1) / (last - first), segments
    return end, video.nominal_fps, segments


def clip_sha256(path: Path) -> str:
    """Of the whole file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
