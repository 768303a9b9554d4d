"""The one door to libavformat: a file that `containers` let through, opened so that it can lead nowhere else."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from inference.containers import Container
from inference.errors import NoFrames, NoVideoStream, VideoTruncated, VideoUnreadable

if TYPE_CHECKING:
    from av import VideoStream
    from av.container import InputContainer


def open_container(path: Path, file: Container, max_pixels: int) -> InputContainer:
    """Open with the demuxer that the content asks for; it may open no other file, format or protocol.

    Raises VideoTruncated, NoFrames and VideoUnreadable.
    """
    import av

    options = {
        "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts",
        "protocol_whitelist": "file",
        # Guessed presentation times would be wrong (out of order in AVI) and cost memory without a bound.
        "fflags": "-genpts",
        # Of the decoder that guesses stream parameters; it must still be able to see that 8K is 8K.
        "max_pixels": str(4 * max_pixels),
    }
    try:
        return av.open(f"file:{path.absolute()}", format=file.demuxer, options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        if file.cut or not file.indexed:
            raise VideoTruncated from error
        if isinstance(error, EOFError):
            raise NoFrames from error
        raise VideoUnreadable(f"The file cannot be read as a video: {error.strerror}.") from error


def video_stream(container: InputContainer, file: Container) -> VideoStream:
    """The video itself: no cover picture, no thumbnail; the default or the largest where there are several.

    Raises VideoTruncated, NoVideoStream and VideoUnreadable.
    """
    from av.stream import Disposition

    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & pictures]
    if not streams:
        raise VideoTruncated if file.cut or not file.indexed else NoVideoStream
    stream = max(streams, key=lambda s: (bool(s.disposition & Disposition.default), _pixels(s)))
    if not _pixels(stream):
        raise VideoUnreadable("The video declares no picture size that can be decoded.")
    return stream


def _pixels(stream: VideoStream) -> int:
    context = stream.codec_context
    if context is None:  # PyAV's stubs forget that a codec may have no decoder
        return 0
    return context.width * context.height


def declared_s(container: InputContainer, stream: VideoStream) -> float | None:
    """How long the video stream says it is; None where it does not say, for sound may outlast the pictures."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    with suppress(KeyError, ValueError):  # Matroska: hours:minutes:seconds, written by most muxers
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / 1_000_000
    return None
