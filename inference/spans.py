"""Coarse to fine: whole frames now and then say where everybody is, crops in between say how they stand.

A clip's pictures are grouped into spans, from one anchor to the next. Anchors are inferred whole and only say where to
look; what is handed out for their frames comes from crops too, or the rhythm of the anchors would show in the data.
Where crops lose their person, cut one off or contradict an anchor, the span is halved by an anchor more; in what is
left at last, whole frames decide. A span's people depend on the span and on who the athlete was at its first anchor; at
a cut nobody knows that.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from inference.ahead import ahead
from inference.crops import Path, athlete_among, disagree, paths, touches_edge, worth_it
from inference.estimator import Estimator, Prepared
from inference.lane import Group, Lane
from inference.pictures import Picture
from inference.poses import Pose
from inference.preprocess import Letterbox
from inference.subject import SubjectHint
from inference.tracks import overlap

SPAN_FRAMES = 16
"""Frames from one anchor to the next: few frames are inferred twice, and crops come in full batches."""
SPAN_S = 0.6
"""Real seconds from one anchor to the next, at most: people turn and throw their arms up in less."""
CROPS_FPS = 15.0
"""Frames of a real second below which all are inferred whole: there is too much movement between two anchors for crops
to pay, and whoever is seen at anchors alone is seen too seldom to be followed."""
SPAN_BYTES = 64 * 1024**2
"""Of the pictures of a span, four of which a clip holds at a time: 4K has shorter spans."""
HELD_SPANS = 4
"""Spans whose pictures a clip holds at most: one is waited for, one in the batcher, one ready, one in the making."""
ROOM = HELD_SPANS * SPAN_FRAMES
"""Pictures that a clip holds at most while it is inferred."""
LEAST_ROOM = 16
"""Even the shortest clip takes so much of an actor: its decoder and its threads cost something too."""
_MIN_SPAN = 4
_SAME = 0.7
"""Overlap of two boxes beyond which they are one person's, as in `postprocess`."""

Seen = tuple[int, float, list[Pose]]
"""(index among decoded frames, timestamp in seconds, people)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpanRules:
    """How a clip is cut into spans."""

    slowmo_factor: float = 1.0
    whole_frames: bool = False
    """Infer every frame whole."""
    subject: tuple[SubjectHint, ...] = ()
    """Points on the athlete; where nobody else is near, only the athlete is inferred between anchors."""
    cuts_s: tuple[float, ...] = ()
    """Times of pictures that begin a span, whoever decodes what is before them."""

    def apart(self, picture: Picture, following: Picture) -> bool:
        """Whether a cut lies between two pictures."""
        return bisect_right(self.cuts_s, picture.timestamp_s) < bisect_right(self.cuts_s, following.timestamp_s)

    def full(self, pictures: Sequence[Picture], following: Picture) -> bool:
        """Whether a span of these pictures ends where this one follows."""
        real_s = (following.timestamp_s - pictures[0].timestamp_s) / self.slowmo_factor
        return len(pictures) >= _most(following.nbytes) or real_s >= SPAN_S


def room_of(*, fps: float, frames: float = math.inf, picture_bytes: int = 0) -> int:
    """Room that a clip takes while it is inferred: the pictures that it holds at most, about.

    `fps` is what is wanted of a real second, `frames` of the whole clip. What is scarce is memory: a picture beyond a
    `SPAN_FRAMES`th of `SPAN_BYTES` (4 MiB; 1080p has 3) takes the room of as many of these as it weighs.
    """
    span = math.ceil(round(min(_most(picture_bytes), SPAN_S * fps), 6))  # 0.6 s of 10 are 6, whatever floats say
    weight = max(1.0, picture_bytes * SPAN_FRAMES / SPAN_BYTES)
    return max(LEAST_ROOM, math.ceil(min(HELD_SPANS * span, frames) * weight))


def _most(picture_bytes: int) -> int:
    """Pictures of this size that make a full span, however little time they show."""
    return max(_MIN_SPAN, min(SPAN_FRAMES, SPAN_BYTES // max(picture_bytes, 1)))


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
    whole: Group | None = None
    """All frames whole; None where crops are inferred."""
    halved: bool = False
    """Whether nothing is inferred yet: an anchor in the middle must say more first."""
    crops: list[tuple[Path, Group]] = field(default_factory=list)
    bystanders: list[Pose] = field(default_factory=list)
    """Who else was at the first anchor, as the whole frame shows them."""
    athlete: Pose | None = None
    """At the first anchor, where known."""
    athlete_after: Pose | None = None
    """At the last anchor: where crops show the athlete alone."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Followed:
    """One path's person over the frames of a span."""

    path: Path
    poses: list[Pose | None]
    failed: bool
    """Whether the crops were in the wrong place or show the wrong thing."""
    doubtful: set[int]
    """Places of the frames that whole frames must decide."""


@dataclass(slots=True)
class SpanReader:
    """Infers the pictures of one clip through its lane of a batcher."""

    estimator: Estimator
    lane: Lane
    rules: SpanRules
    redone: int = 0
    """Frames that were inferred once more after a crop had failed."""

    def people(self, pictures: Generator[Picture, None, None]) -> Generator[Seen, None, None]:
        """Yield what each picture shows, in order. Decoding runs on a thread of its own, about two spans ahead.

        That thread has ended when the generator has, so close it (`contextlib.closing`) where you may leave early.
        Raises what decoding raises, and what `Group.result` raises.
        """
        before: _Begun | None = None
        with closing(ahead(self._spans(pictures))) as spans:
            for span in spans:
                # One span is in the batcher while the next is cut.
                # Who the athlete is does not cross a cut: whoever works on what is behind it does not know.
                anew = before is None or self.rules.apart(before.span.pictures[-1], span.pictures[0])
                begun = self._begin(span, None if anew or before is None else before.athlete_after)
                if before is not None:
                    athlete = yield from self._finish(before)
                    if not anew and athlete is not before.athlete_after:
                        self.redone += 0 if begun.halved else len(span.pictures)
                        begun = self._begin(span, athlete)
                before = begun
        if before is not None:
            yield from self._finish(before)

    def _spans(self, pictures: Generator[Picture, None, None]) -> Generator[_Span, None, None]:
        """Group pictures; the last one before a cut, or of the clip, is an anchor and belongs to the last span."""
        with closing(pictures):
            current: list[Picture] = []
            start: Group | None = None
            for stored in pictures:
                picture = stored.planar()
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

    def _begin(self, span: _Span, athlete: Pose | None) -> _Begun:
        """Cut the span's frames and submit them: crops of the athlete alone where that is safe, else of everybody."""
        if span.ends is not None:
            first, last = (group.result()[0] for group in span.ends)
            elapsed_s = (span.end_s - span.pictures[0].timestamp_s) / self.rules.slowmo_factor
            found = paths(first, last, elapsed_s=elapsed_s, whole=span.whole, skeleton=self.estimator.skeleton)
            points = self._points(span)
            followed = athlete_among(found, athlete, points)
            chosen = [followed] if followed else found
            # A point where nobody is expected: whoever is there was out of sight at both anchors.
            unknown = any(not any(path.holds(point) for path in found) for point in points)
            if unknown and len(span.pictures) > _MIN_SPAN:
                return _Begun(span=span, halved=True, athlete=athlete)
            if not unknown and worth_it(chosen, span.whole):
                return _Begun(
                    span=span,
                    crops=[(path, self._submit(span, path)) for path in chosen],
                    bystanders=[path.start for path in found if path.start and path not in chosen],
                    athlete=athlete,
                    athlete_after=followed.end if followed else None,
                )
        return _Begun(span=span, whole=self._submit_whole(span.pictures, span.whole))

    def _points(self, span: _Span) -> list[tuple[float, float, float]]:
        """(x, y, share of the span) of the hints that lie in it."""
        start_s = span.pictures[0].timestamp_s
        return [
            (hint.x, hint.y, (hint.time_s - start_s) / (span.end_s - start_s))
            for hint in self.rules.subject
            if start_s <= hint.time_s < span.end_s
        ]

    def _submit(self, span: _Span, path: Path) -> Group:
        boxes = [path.box(span.share(picture), picture.size) for picture in span.pictures]
        return self.lane.submit([
            Prepared(image=picture.cut(box), letterbox=box, fine=path.fine)
            for picture, box in zip(span.pictures, boxes, strict=True)
        ])  # fmt: skip

    def _submit_whole(self, pictures: Iterable[Picture], whole: Letterbox) -> Group:
        return self.lane.submit([_whole(picture, whole) for picture in pictures])

    def _finish(self, begun: _Begun) -> Generator[Seen, None, Pose | None]:
        """Yield what the span's frames show; returns the athlete at its last anchor, where that is known."""
        span = begun.span
        if begun.whole is not None:
            people = begun.whole.result()
        elif begun.halved:
            return (yield from self._finish_halves(begun))
        else:
            followed = [self._followed(span, path, group.result()) for path, group in begun.crops]
            if any(one.failed for one in followed) and len(span.pictures) > _MIN_SPAN:
                self.redone += len(span.pictures)
                return (yield from self._finish_halves(begun))
            self._look_again(span, followed)
            rows = zip(*(one.poses for one in followed), strict=True)
            people = [_once(pose for pose in row if pose is not None) for row in rows]
            people[0] += begun.bystanders
        for picture, seen in zip(span.pictures, people, strict=True):
            yield picture.index, picture.timestamp_s, seen
        return begun.athlete_after

    def _finish_halves(self, begun: _Begun) -> Generator[Seen, None, Pose | None]:
        first, second = self._halves(begun.span)
        athlete = yield from self._finish(self._begin(first, begun.athlete))
        return (yield from self._finish(self._begin(second, athlete)))

    def _followed(self, span: _Span, path: Path, crops: list[list[Pose]]) -> _Followed:
        """Find the path's person in its crops, and what is doubtful about that."""
        shares = [span.share(picture) for picture in span.pictures]
        poses = [path.pick(people, share) for people, share in zip(crops, shares, strict=True)]
        seen = [place for place, pose in enumerate(poses) if pose is not None]
        contradicted = (
            path.start is not None and poses[0] is not None and disagree(poses[0], path.start, self.estimator.skeleton)
        )
        cut = any(
            pose is not None and touches_edge(pose, path.box(share, picture.size))
            for pose, share, picture in zip(poses, shares, span.pictures, strict=True)
        )
        failed = contradicted or cut or not seen
        if failed:
            return _Followed(path=path, poses=poses, failed=True, doubtful=set(range(len(poses))))
        # Who was seen at one anchor only came or went in between.
        low = 0 if path.start is not None else seen[0]
        high = len(poses) if path.end is not None else seen[-1] + 1
        lost = {place for place in range(low, high) if poses[place] is None}
        return _Followed(path=path, poses=poses, failed=False, doubtful=lost)

    def _halves(self, span: _Span) -> tuple[_Span, _Span]:
        """The middle of a span whose crops failed becomes an anchor, so that less is left to guess."""
        if span.ends is None:
            raise ValueError("a span of whole frames has nothing to halve")
        middle = len(span.pictures) // 2
        picture = span.pictures[middle]
        anchor = self._submit_whole([picture], span.whole)
        first = replace(span, pictures=span.pictures[:middle], ends=(span.ends[0], anchor), end_s=picture.timestamp_s)
        return first, replace(span, pictures=span.pictures[middle:], ends=(anchor, span.ends[1]))

    def _look_again(self, span: _Span, followed: Sequence[_Followed]) -> None:
        """Let whole frames decide where crops left doubt; for the person in doubt alone."""
        frames = sorted(set[int]().union(*(one.doubtful for one in followed)))
        if not frames:
            return
        self.redone += len(frames)
        again = self._submit_whole([span.pictures[frame] for frame in frames], span.whole).result()
        for frame, people in zip(frames, again, strict=True):
            share = span.share(span.pictures[frame])
            for one in followed:
                if frame in one.doubtful:
                    one.poses[frame] = one.path.pick(people, share)


def _whole(picture: Picture, box: Letterbox) -> Prepared:
    return Prepared(image=picture.cut(box), letterbox=box)


def _once(poses: Iterable[Pose]) -> list[Pose]:
    """Everybody once: the crops of two people who come close may both show the same one."""
    kept: list[Pose] = []
    for pose in sorted(poses, key=lambda pose: -pose.score):
        if all(overlap(pose.box, other.box) <= _SAME for other in kept):
            kept.append(pose)
    return kept
