"""A video file in, upright timestamped pictures out, one at a time.

Time is the stream's own presentation time minus the stream's start, never index / fps; variable frame rates stay
variable. Rotation metadata is applied. Non-square pixels are not: keypoints are in stored pixels (phones write square
ones). Colours follow the matrix and range the stream declares, as OpenCV's VideoCapture gives them.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter, deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from inference.containers import identify
from inference.demux import declared_s, open_container, video_stream
from inference.errors import (
    FrameTooLarge,
    FrameTooSmall,
    NoFrames,
    SegmentsUnsure,
    VideoTooLong,
    VideoUnreadable,
)
from inference.pictures import Picture
from inference.sampling import AFTER_WINDOW, Sampler, Wanted, every_frame
from inference.segments import SEEKABLE, WHOLE, Entry, PacketNote, Segment
from inference.tally import Tally, rhythm

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream

__all__ = ["Frame", "OpenVideo", "Sampler", "Tally", "VideoLimits", "Wanted", "every_frame", "open_video"]

DUPLICATE_TIMESTAMP = "duplicate_timestamp"
TIMESTAMP_BACKWARDS = "timestamp_backwards"
NO_TIMESTAMP = "no_timestamp"
SIZE_CHANGED = "size_changed"

_SHORTFALL_S, _SHORTFALL_SHARE = 0.5, 0.05
"""How much earlier than declared a clip may end before it counts as truncated: muxers round, and last frames vary."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoLimits:
    """What is refused before it can cost anything."""

    max_duration_s: float = 3600.0
    max_frames: int = 1_000_000
    """An hour at 240 frames a second is 864 000."""
    max_side: int = 6144
    """Pixels of the longer side: 4K and 5.3K pass, 8K does not."""
    max_pixels: int = 6144 * 3456
    min_side: int = 64
    """Pixels of the shorter side."""

    def check_size(self, width: int, height: int) -> None:
        """Raises FrameTooSmall or FrameTooLarge."""
        if min(width, height) < self.min_side:
            raise FrameTooSmall(f"The picture has {width}x{height} pixels; each side needs {self.min_side}.")
        if max(width, height) > self.max_side or width * height > self.max_pixels:
            raise FrameTooLarge(f"The picture has {width}x{height} pixels; the longer side may have {self.max_side}.")

    def check_length(self, duration_s: float, frames: int = 0) -> None:
        """Raises VideoTooLong."""
        if duration_s > self.max_duration_s:
            raise VideoTooLong(f"The video lasts {duration_s:.0f} s; the limit is {self.max_duration_s:.0f} s.")
        if frames > self.max_frames:
            raise VideoTooLong(f"The video has more than {self.max_frames} frames.")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frame:
    """One upright picture of a clip."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB, contiguous."""
    index: int
    """Among the decoded frames of the clip."""
    timestamp_s: float
    """Presentation time minus the stream's start."""


def open_video(path: Path, limits: VideoLimits | None = None, *, threads: int = 0) -> OpenVideo:
    """Open a clip for one pass over its frames; use it as a context manager. `threads` 0 leaves it to the decoder.

    Raises the subclasses of VideoUnreadable, one for each way a file can be bad, before any frame is handed out:
    VideoEmpty, ContainerNotAllowed, VideoTruncated, NoVideoStream, FrameTooSmall, FrameTooLarge, VideoTooLong; and
    SourceMissing.
    """
    return OpenVideo(path, limits or VideoLimits(), threads=threads)


@dataclass(slots=True)
class _Counts:
    decoded: int = 0
    wanted: int = 0
    read: int = 0
    """Packets, with those that only prepare the first picture to be shown."""
    packets: int = 0
    """Packets that each ought to yield a picture."""
    damaged: int = 0
    pictures: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    last_end_s: float = 0.0
    finished: bool = False
    ended_early: bool = False
    demuxer_failed: bool = False
    decode_s: float = 0.0


class _Place(NamedTuple):
    """Which packet of a file it is."""

    dts: int | None
    pts: int | None
    byte: int | None
    size: int

    @classmethod
    def of(cls, packet: Packet[VideoStream]) -> Self:
        return cls(packet.dts, packet.pts, packet.pos, packet.size)


class OpenVideo:
    """An opened clip. Made by `open_video`; `frames` may be iterated once."""

    def __init__(self, path: Path, limits: VideoLimits, *, threads: int) -> None:
        self._limits = limits
        self._file = identify(path)
        self._container = open_container(path, self._file, limits.max_pixels)
        try:
            self._stream = video_stream(self._container, self._file)
            limits.check_size(self._stream.codec_context.width, self._stream.codec_context.height)
            limits.check_length(declared_s(self._container, self._stream) or 0.0)
        except BaseException:
            self._container.close()
            raise
        self._stream.codec_context.thread_type = "AUTO"
        self._stream.codec_context.thread_count = threads
        self._stream.codec_context.options = {"max_pixels": str(limits.max_pixels)}
        self._counts = _Counts()
        self._times = array("d")
        self._first: _Place | None = None
        self._stored_size: tuple[int, int] | None = None
        self._rotation = 0
        # AVI keeps no presentation times. Pictures leave the decoder in the order of presentation, so the n-th gets
        # the n-th time of the packets.
        self._packet_times: deque[int | None] | None = deque() if self._file.demuxer == "avi" else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._container.close()

    @property
    def container(self) -> str:
        """Family of the file: `mov`, `matroska`, `avi` or `mpegts`."""
        return self._file.demuxer

    @property
    def codec(self) -> str:
        """Name of the codec, such as `h264`."""
        return self._stream.codec_context.name

    @property
    def nominal_fps(self) -> float:
        """What the header says, NaN where it says nothing; for clips too short to measure."""
        rate = self._stream.average_rate or self._stream.guessed_rate
        return float(rate) if rate else float("nan")

    def frames(self, wanted: Wanted = every_frame) -> Iterator[Frame]:
        """`pictures`, converted to RGB."""
        for picture in self.pictures(wanted):
            yield Frame(image=picture.rgb(), index=picture.index, timestamp_s=picture.timestamp_s)

    def pictures(self, wanted: Wanted = every_frame, segment: Segment = WHOLE) -> Generator[Picture, None, None]:
        """Yield the pictures that `wanted` wants, in the order of time, and count the others by its reasons.

        The first one that `wanted` calls `after_window` ends the pass: it is counted, what comes after it is never
        decoded and not among `decoded`.
        Of a `segment` only its own pictures are yielded and counted, under the indices that they have in the clip.
        Raises NoFrames where nothing could be decoded, VideoTooLong and FrameTooLarge where the file lied about itself,
        and SegmentsUnsure, at the end, where a segment's pictures are not those that were planned.
        """
        counts = self._counts
        first = segment.entry.index if segment.entry else 0
        for decoded in self._decoded(segment):
            timestamp_s = self._timestamp_s(decoded)
            if segment.ended(timestamp_s):
                break
            index, counts.decoded = first + counts.decoded, counts.decoded + 1
            reason = self._fault(decoded, timestamp_s)
            if reason is None and timestamp_s is not None:
                self._times.append(timestamp_s)
                self._limits.check_length(timestamp_s, counts.decoded)
                reason = wanted(index, timestamp_s)
                if reason is None:
                    counts.wanted += 1
                    yield Picture(decoded=decoded, index=index, timestamp_s=timestamp_s, rotation=self._rotation)
                    continue
            counts.skipped[reason or NO_TIMESTAMP] += 1
            if reason == AFTER_WINDOW:
                return
        self._check_complete(segment)

    @property
    def decode_s(self) -> float:
        """Seconds inside the decoder so far; another thread may ask."""
        return self._counts.decode_s

    @property
    def times(self) -> NDArray[np.float64]:
        """(n,) timestamps of the frames decoded so far, wanted or not, without those that cannot be used."""
        return np.array(self._times, np.float64)

    @property
    def tally(self) -> Tally:
        """Where the frames went so far; final once `frames` has ended. Of a segment only the counts mean anything."""
        counts = self._counts
        missing = counts.packets - counts.pictures if counts.finished else 0
        fps_measured, gaps = rhythm(self.times)
        return Tally(
            decoded=counts.decoded,
            wanted=counts.wanted,
            skipped=dict(sorted(counts.skipped.items())),
            broken=max(counts.damaged, missing),
            truncated=self._file.cut or counts.ended_early,
            rotation=self._rotation,
            fps_measured=fps_measured,
            gaps=gaps,
        )

    def packets(self) -> Iterator[PacketNote]:
        """What every packet says of itself, in the order of the file, without decoding any.

        Instead of `frames`; before it only where `rewound`. `tally.truncated` is final afterwards.
        """
        for packet in self._packets(WHOLE):
            self._first = self._first or _Place.of(packet)
            self._note(packet)
            if packet.size:
                pts = packet.dts if self._packet_times is not None else packet.pts
                yield PacketNote(
                    pts=pts,
                    dts=packet.dts,
                    start_s=None if pts is None else self._seconds(pts),
                    duration_s=float((packet.duration or 0) * packet.time_base),
                    key=packet.is_keyframe,
                    hidden=packet.is_discard,
                    corrupt=packet.is_corrupt,
                )
        self._counts.ended_early = self._ended_early()

    def rewound(self) -> bool:
        """After `packets`: whether `pictures` may follow, from the beginning; else the file must be opened again.

        Only where an index leads back to the packet that was the first. It saves an opening, in which libavformat
        decodes pictures to learn their format.
        """
        import av

        first = self._first
        start = first and (first.pts if first.dts is None else first.dts)
        if self.container not in SEEKABLE or self.tally.truncated or start is None:
            return False
        self._counts = _Counts()
        try:
            self._container.seek(start, stream=self._stream)
            found = _Place.of(next(self._container.demux(self._stream)))
            self._container.seek(start, stream=self._stream)  # that packet once more
        except av.FFmpegError:
            return False
        return found == first

    def _packets(self, segment: Segment) -> Iterator[Packet[VideoStream]]:
        import av

        try:
            yield from self._from(segment.entry) if segment.entry else self._container.demux(self._stream)
        except av.FFmpegError:
            self._counts.demuxer_failed = True

    def _from(self, entry: Entry) -> Iterator[Packet[VideoStream]]:
        """Packets from a key frame on, without those of pictures that are shown before it."""
        self._container.seek(entry.seek, stream=self._stream)
        found = False
        for packet in self._container.demux(self._stream):
            found = found or (packet.is_keyframe and packet.pts == entry.pts)
            if found and (packet.pts is None or packet.pts >= entry.pts):
                yield packet

    def _check_complete(self, segment: Segment) -> None:
        """Raises NoFrames, SegmentsUnsure."""
        counts, times, entry = self._counts, self._times, segment.entry
        if segment.pictures is None:
            if not counts.decoded:
                raise NoFrames
        elif (
            counts.damaged
            or not counts.decoded == len(times) == segment.pictures
            or (entry and times[0] != entry.start_s)
        ):
            raise SegmentsUnsure

    def _decoded(self, segment: Segment) -> Iterator[VideoFrame]:
        """Undamaged decoded pictures."""
        import av

        counts = self._counts
        for packet in self._packets(segment):
            self._note(packet)
            began = time.perf_counter()
            try:
                # Half a packet, at the end of a truncated file, would cost the decoder's threads their last pictures.
                pictures = [] if packet.is_corrupt else packet.decode()
            except av.FFmpegError:
                self._note_damage()
                continue
            finally:
                counts.decode_s += time.perf_counter() - began
            for picture in pictures:
                if picture.is_corrupt:
                    self._note_damage()
                    continue
                counts.pictures += 1
                yield picture
        counts.finished = True
        counts.ended_early = segment.entry is None and self._ended_early()

    def _note(self, packet: Packet[VideoStream]) -> None:
        counts = self._counts
        counts.read += bool(packet.size)
        if not packet.size or packet.is_discard:
            return
        counts.packets += 1
        if packet.pts is not None:
            counts.last_end_s = max(counts.last_end_s, self._seconds(packet.pts + (packet.duration or 0)))
        if self._packet_times is not None:
            self._packet_times.append(packet.dts)

    def _note_damage(self) -> None:
        self._counts.damaged += 1
        if self._packet_times:
            self._packet_times.popleft()

    def _seconds(self, pts: int) -> float:
        time_base = self._stream.time_base
        if time_base is None:
            raise VideoUnreadable("The video stream has no time base.")
        return float((pts - (self._stream.start_time or 0)) * time_base)

    def _timestamp_s(self, picture: VideoFrame) -> float | None:
        pts = picture.pts
        if self._packet_times is not None:
            pts = self._packet_times.popleft() if self._packet_times else None
        return None if pts is None else self._seconds(pts)

    def _fault(self, picture: VideoFrame, timestamp_s: float | None) -> str | None:
        """Why a decoded picture cannot be used, whatever is wanted."""
        if self._stored_size is None:
            self._limits.check_size(picture.width, picture.height)
            self._stored_size = (picture.width, picture.height)
            # libavutil counts counter-clockwise; a matrix that is no multiple of 90° is rounded to one.
            self._rotation = round(-picture.rotation / 90) * 90 % 360
        if (picture.width, picture.height) != self._stored_size:
            return SIZE_CHANGED
        if timestamp_s is None:
            return NO_TIMESTAMP
        if self._times and timestamp_s <= self._times[-1]:
            return DUPLICATE_TIMESTAMP if timestamp_s == self._times[-1] else TIMESTAMP_BACKWARDS
        return None

    def _ended_early(self) -> bool:
        """Whether reading stopped before the header said it would."""
        counts = self._counts
        if counts.demuxer_failed:
            return True
        if self._file.demuxer == "mov":
            return counts.read < len(self._stream.index_entries)
        declared = declared_s(self._container, self._stream)
        if self._file.demuxer != "matroska" or declared is None:
            return False
        return declared - counts.last_end_s > max(_SHORTFALL_S, _SHORTFALL_SHARE * declared)
