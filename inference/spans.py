"""Coarse to fine: whole frames now and then say where everybody is, crops in between say how they stand.

A clip's pictures are grouped into spans, from one anchor to the next. Anchors are inferred whole and only say where to
look; what is handed out for their frames comes from crops too, or the rhythm of the anchors would show in the data.
Where a crop loses its person, cuts one off or contradicts an anchor, whole frames decide. A span's people depend on
the span alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from inference.ahead import ahead
from inference.crops import Path, disagree, paths, touches_edge
from inference.estimator import Estimator, Prepared
from inference.lane import Group, Lane
from inference.pictures import Picture
from inference.poses import Pose
from inference.preprocess import Letterbox

SPAN_FRAMES = 16
"""Frames from one anchor to the next: few frames are inferred twice, and crops come in full batches."""
SPAN_S = 0.6
"""Real seconds from one anchor to the next, at most: people turn and throw their arms up in less."""
SPAN_BYTES = 64 * 1024**2
"""Of the pictures of a span, four of which a clip holds at a time: 4K has shorter spans."""
_MIN_SPAN = 4

Seen = tuple[int, float, list[Pose]]
"""(index among decoded frames, timestamp in seconds, people)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpanRules:
    """How a clip is cut into spans."""

    slowmo_factor: float = 1.0
    whole_frames: bool = False
    """Infer every frame whole."""
    cuts_s: tuple[float, ...] = ()
    """Times of pictures that begin a span, whoever decodes what is before them."""

    def apart(self, picture: Picture, following: Picture) -> bool:
        """Whether a cut lies between two pictures."""
        return bisect_right(self.cuts_s, picture.timestamp_s) < bisect_right(self.cuts_s, following.timestamp_s)

    def full(self, pictures: Sequence[Picture], following: Picture) -> bool:
        """Whether a span of these pictures ends where this one follows."""
        real_s = (following.timestamp_s - pictures[0].timestamp_s) / self.slowmo_factor
        most = max(_MIN_SPAN, min(SPAN_FRAMES, SPAN_BYTES // max(following.nbytes, 1)))
        return len(pictures) >= most or real_s >= SPAN_S


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Span:
    pictures: list[Picture]
    whole: Letterbox
    ends: tuple[Group, Group] | None
    """What the whole frames at both anchors show; None where every frame is inferred whole."""
    end_s: float
    """Timestamp of the anchor that ends it."""

    def share(self, picture: Picture) -> float:
        """How much of the span lies before this picture, 0..1."""
        start_s = self.pictures[0].timestamp_s
        return (picture.timestamp_s - start_s) / (self.end_s - start_s) if self.end_s > start_s else 0.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Begun:
    """A span whose frames are being inferred."""

    span: _Span
    whole: Group | None
    """All frames whole; None where crops are inferred."""
    crops: list[tuple[Path, Group]] = field(default_factory=list)


@dataclass(slots=True)
class SpanReader:
    """Infers the pictures of one clip through its lane of a batcher."""

    estimator: Estimator
    lane: Lane
    rules: SpanRules
    redone: int = 0
    """Frames that were inferred whole after a crop had failed."""

    def people(self, pictures: Generator[Picture, None, None]) -> Generator[Seen, None, None]:
        """Yield what each picture shows, in order. Decoding runs on a thread of its own, about two spans ahead.

        That thread has ended when the generator has, so close it (`contextlib.closing`) where you may leave early.
        Raises what decoding raises, and what `Group.result` raises.
        """
        begun: deque[_Begun] = deque()
        with closing(ahead(self._spans(pictures))) as spans:
            for span in spans:
                begun.append(self._begin(span))
                if len(begun) > 1:
                    yield from self._finish(begun.popleft())
            while begun:
                yield from self._finish(begun.popleft())

    def _spans(self, pictures: Generator[Picture, None, None]) -> Generator[_Span, None, None]:
        """Group pictures; the last one before a cut, or of the clip, is an anchor and belongs to the last span."""
        with closing(pictures):
            current: list[Picture] = []
            start: Group | None = None
            for picture in pictures:
                if current and self.rules.apart(current[-1], picture):
                    yield self._last(current, start)
                    current = []
                if current and self.rules.full(current, picture):
                    end = self._anchor(picture)
                    yield self._span(current, start, end, picture.timestamp_s)
                    current, start = [], end
                elif not current:
                    start = self._anchor(picture)
                current.append(picture)
            if current:
                yield self._last(current, start)

    def _last(self, pictures: list[Picture], start: Group | None) -> _Span:
        end = self._anchor(pictures[-1]) if len(pictures) > 1 else start
        return self._span(pictures, start, end, pictures[-1].timestamp_s)

    def _anchor(self, picture: Picture) -> Group | None:
        if self.rules.whole_frames:
            return None
        return self.lane.submit([_whole(picture, Letterbox.fit(*picture.size))])

    def _span(self, pictures: list[Picture], start: Group | None, end: Group | None, end_s: float) -> _Span:
        ends = (start, end) if start is not None and end is not None else None
        return _Span(pictures=pictures, whole=Letterbox.fit(*pictures[0].size), ends=ends, end_s=end_s)

    def _begin(self, span: _Span) -> _Begun:
        """Cut the span's frames and submit them."""
        if span.ends is not None:
            first, last = (group.result()[0] for group in span.ends)
            elapsed_s = (span.end_s - span.pictures[0].timestamp_s) / self.rules.slowmo_factor
            found = paths(first, last, elapsed_s=elapsed_s, whole=span.whole)
            if found is not None:
                return _Begun(span=span, whole=None, crops=[(path, self._submit(span, path)) for path in found])
        return _Begun(span=span, whole=self._submit_whole(span.pictures, span.whole))

    def _submit(self, span: _Span, path: Path) -> Group:
        boxes = [path.box(span.share(picture), picture.size) for picture in span.pictures]
        return self.lane.submit([
            Prepared(image=picture.cut(box), letterbox=box, fine=path.fine)
            for picture, box in zip(span.pictures, boxes, strict=True)
        ])  # fmt: skip

    def _submit_whole(self, pictures: Iterable[Picture], whole: Letterbox) -> Group:
        return self.lane.submit([_whole(picture, whole) for picture in pictures])

    def _finish(self, begun: _Begun) -> Iterator[Seen]:
        pictures = begun.span.pictures
        if begun.whole is not None:
            people = begun.whole.result()
        else:
            people = [list[Pose]() for _ in pictures]
            for poses in self._followed(begun):
                for place, pose in enumerate(poses):
                    if pose is not None:
                        people[place].append(pose)
        for picture, seen in zip(pictures, people, strict=True):
            yield picture.index, picture.timestamp_s, seen

    def _followed(self, begun: _Begun) -> list[list[Pose | None]]:
        """The pose of each path's person in each frame."""
        span = begun.span
        shares = [span.share(picture) for picture in span.pictures]
        followed: list[list[Pose | None]] = []
        doubtful: list[set[int]] = []
        for path, group in begun.crops:
            poses = [path.pick(people, share) for people, share in zip(group.result(), shares, strict=True)]
            followed.append(poses)
            doubtful.append(self._doubtful(span, path, poses, shares))
        frames = sorted(set().union(*doubtful))
        if frames:
            self.redone += len(frames)
            again = self._submit_whole([span.pictures[frame] for frame in frames], span.whole).result()
            for frame, people in zip(frames, again, strict=True):
                for (path, _), poses, doubts in zip(begun.crops, followed, doubtful, strict=True):
                    if frame in doubts:
                        poses[frame] = path.pick(people, shares[frame]) or poses[frame]
        return followed

    def _doubtful(self, span: _Span, path: Path, poses: Sequence[Pose | None], shares: Sequence[float]) -> set[int]:
        """Places of the frames that whole frames must decide."""
        everything = set(range(len(poses)))
        first = poses[0]
        if path.start and first and disagree(first, path.start, self.estimator.skeleton.left_right):
            return everything
        cut = [
            place
            for place, pose in enumerate(poses)
            if pose is not None and touches_edge(pose, path.box(shares[place], span.pictures[place].size))
        ]
        seen = [place for place, pose in enumerate(poses) if pose is not None]
        if not seen or (cut and path.start is not None and path.end is not None):
            return everything
        # Who was seen at one anchor only came or went in between: out of the crop, or out of sight.
        low, high = 0, len(poses)
        if path.start is None:
            low = 0 if cut else seen[0]
        if path.end is None:
            high = len(poses) if cut else seen[-1] + 1
        gone = range(min(cut, default=0), high) if path.end is None else range(low, max(cut, default=-1) + 1)
        return {place for place in range(low, high) if poses[place] is None} | (set(gone) if cut else set())


def _whole(picture: Picture, box: Letterbox) -> Prepared:
    return Prepared(image=picture.cut(box), letterbox=box)
