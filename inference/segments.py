"""Where a long clip may be cut so that its parts can be decoded and inferred apart, from its packets alone.

A part begins with a key frame, and everything shown before that frame lies in the part before it: pictures of an open
group that follow the key frame in the file, but are shown earlier, too. Where packets and pictures might not match one
to one the clip stays whole.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SEGMENT_S = 60.0
"""Seconds of the clip in a segment, at least. A cut costs a seek, a decoder that starts cold and a few frames decoded
for nothing at the end: about a second's frames, some 2 % of a minute's. A minute is also what a lost actor costs: half
of it, on average, is inferred again."""

SEEKABLE = ("mov", "matroska")
"""Containers with an index of their key frames and a presentation time on every packet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentRules:
    """How a clip is cut into segments."""

    min_s: float = SEGMENT_S
    """Seconds of the clip from one cut to the next, at least."""

    def __post_init__(self) -> None:
        """Check the length; raises ValueError."""
        if not self.min_s > 0:
            raise ValueError(f"min_s {self.min_s} is not positive")


class PacketNote(NamedTuple):
    """What a packet says of itself; times in seconds as of `OpenVideo.pictures`."""

    pts: int | None
    """Presentation time in the stream's own units."""
    dts: int | None
    start_s: float | None
    """`pts` in seconds."""
    duration_s: float
    key: bool
    hidden: bool
    """It only prepares other pictures."""
    corrupt: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """How to begin in the middle of a clip: the key frame to decode first."""

    pts: int
    """Of the key frame, in the stream's own units."""
    seek: int
    """Time, in those units, to seek to: at most the key frame's own in whatever the container's index is kept in."""
    start_s: float
    """Of the key frame; pictures before it belong to the segment before."""
    before_s: float
    """Of the last picture before it: the next one's place in a sampling grid depends on it."""
    index: int
    """Of the key frame among the clip's pictures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A part of a clip that is decoded by itself. Without `entry` and `end_s` it is the whole clip."""

    number: int = 0
    entry: Entry | None = None
    """None: from the beginning of the file."""
    end_s: float | None = None
    """Of the first picture of the next segment; None: to the end."""
    pictures: int | None = None
    """How many pictures it must yield; None in a clip that is not split."""

    def ended(self, timestamp_s: float | None) -> bool:
        """Whether a picture of this time belongs to a later segment."""
        return self.end_s is not None and timestamp_s is not None and timestamp_s >= self.end_s


WHOLE = Segment()
Segments = tuple[Segment, ...]
"""All segments of a clip, in order; one where it is not split."""


def cuts_s(segments: Segments) -> tuple[float, ...]:
    """Times of the first picture of every segment but the first."""
    return tuple(segment.entry.start_s for segment in segments if segment.entry)


class Planner:
    """Takes note of the packets of a clip, in the order of the file, and says where it may be cut.

    Holds eight bytes a packet, and the key frames that it may cut at.
    """

    def __init__(self, rules: SegmentRules) -> None:
        self._rules = rules
        self._times = array("d")
        self._keys: list[PacketNote] = []
        self._begun_s = self._latest_s = float("-inf")
        self._sure = True

    def add(self, packet: PacketNote) -> None:
        """Note the next packet."""
        start_s = packet.start_s
        self._sure &= start_s is not None and not packet.corrupt
        if start_s is None or packet.hidden:
            return
        if not self._times:
            self._begun_s = start_s
        # A key frame that is shown before a picture that precedes it in the file is no clean beginning.
        elif packet.key and start_s > self._latest_s and start_s - self._begun_s >= self._rules.min_s:
            self._keys.append(packet)
            self._begun_s = start_s
        self._times.append(start_s)
        self._latest_s = max(self._latest_s, start_s)

    def segments(self, container: str) -> Segments:
        """The segments of a clip in this family of containers; none, and no rest, shorter than the rules allow."""
        times = np.sort(np.array(self._times, np.float64))
        if container not in SEEKABLE or not self._sure or not np.all(np.diff(times) > 0):
            return (WHOLE,)
        entries = [entry for key in self._keys if (entry := _entry(key, times, self._rules)) is not None]
        if not entries:
            return (WHOLE,)
        ends = [entry.start_s for entry in entries]
        places = [0, *(entry.index for entry in entries), len(times)]
        return tuple(
            Segment(number=number, entry=entry, end_s=end_s, pictures=places[number + 1] - places[number])
            for number, (entry, end_s) in enumerate(zip((None, *entries), (*ends, None), strict=True))
        )


def _entry(key: PacketNote, times: NDArray[np.float64], rules: SegmentRules) -> Entry | None:
    """None where the rest of the clip is too short; `times` of all pictures, in order."""
    if key.pts is None or key.start_s is None or times[-1] - key.start_s < rules.min_s:
        return None
    index = int(np.searchsorted(times, key.start_s))
    return Entry(
        pts=key.pts,
        seek=key.pts if key.dts is None else min(key.pts, key.dts),
        start_s=key.start_s,
        before_s=float(times[index - 1]),
        index=index,
    )
