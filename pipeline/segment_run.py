"""The segments of one long clip, in as many actors as are free; each is kept as soon as it is there.

An actor gets one run of neighbouring segments: it fetches the clip once and hands out the people of each segment when
they are there. They are joined when all are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ray import ObjectRefGenerator
from ray.exceptions import RayError, RayTaskError

from inference.errors import SegmentsUnsure
from inference.extract import ExtractRequest
from inference.parts import SegmentPeople
from inference.probe import Survey
from inference.segments import Segment
from inference.sources import ClipSource
from models.jobs import ClaimedJob
from pipeline import dag
from pipeline.errors import NeighbourCrash, Stalled
from pipeline.failures import lost_its_actor
from pipeline.generation import Generation
from pipeline.pool import Seat
from pipeline.watch import StallWatch

logger = logging.getLogger(__name__)

TICK_S = 0.5
"""How often an actor is asked how far it is."""


@dataclass(slots=True, eq=False)
class _Share:
    """What one actor has to do."""

    seat: Seat
    segments: Sequence[Segment]
    coming: ObjectRefGenerator
    watch: StallWatch
    here: int = 0
    """Segments that are done."""
    running: float = 0.0
    """Share of its segments, 0..1, as the actor last said."""

    @property
    def done(self) -> float:
        """Segments, those in progress in part."""
        return max(self.running * len(self.segments), self.here)


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentRun:
    """The segments of one stage of one job."""

    generation: Generation
    claimed: ClaimedJob
    source: ClipSource
    wanted: ExtractRequest
    surveyed: Survey
    stall_s: float
    check: Callable[[], None]
    """Raises what ends the job."""
    on_progress: Callable[[float], None]
    keep: Callable[[SegmentPeople], Future[None]]
    keeping: list[Future[None]]
    kept: Sequence[SegmentPeople]
    """What an earlier attempt inferred."""
    parts: dict[int, Any] = field(default_factory=dict)
    """Segment → reference to its people."""

    def run(self, seat: Seat) -> dag.Poses | None:
        """Infer what is not kept, beginning with the actor of `seat`, and submit the joining.

        None where the clip must be extracted as a whole. Raises what a segment raised, in Ray's wrapping, what `check`
        raises, NeighbourCrash and Stalled.
        """
        self.parts.update({part.segment.number: dag.put(part) for part in self.kept})
        missing = [segment for segment in self.surveyed.segments if segment.number not in self.parts]
        inferred = 0
        if missing:
            # Where an actor died under it before, it is a suspect: it must not bring down more than the one it is in.
            most = 0 if seat.alone else len(missing) - 1
            try:
                with self.generation.spare(seat, most) as others, self._canceling([seat, *others]):
                    inferred = self._wait(self._submit([seat, *others], missing))
            except RayTaskError as error:
                if not isinstance(error.cause, SegmentsUnsure):
                    raise
                fields = {"job_id": self.claimed.id}
                logger.warning("Segments unsure, clip extracted in one pass: job_id=%s", self.claimed.id, extra=fields)
                return None
        references = [self.parts[segment.number] for segment in self.surveyed.segments]
        return dag.submit_join(self.surveyed, self.wanted, references, inferred)

    def _submit(self, seats: Sequence[Seat], missing: Sequence[Segment]) -> list[_Share]:
        """Give every actor a run of neighbours, about as many as the others."""
        bounds = [round(number * len(missing) / len(seats)) for number in range(len(seats) + 1)]
        return [
            self._share(seat, missing[first:last]) for seat, first, last in zip(seats, bounds, bounds[1:], strict=False)
        ]

    def _share(self, seat: Seat, segments: Sequence[Segment]) -> _Share:
        coming = dag.submit_segments(
            seat.actor,
            self.claimed,
            source=self.source,
            wanted=self.wanted,
            surveyed=self.surveyed,
            segments=segments,
        )
        return _Share(seat=seat, segments=segments, coming=coming, watch=StallWatch(self.stall_s))

    def _wait(self, shares: list[_Share]) -> int:
        """Take what comes until all have ended. Returns how many frames were inferred."""
        inferred = 0
        waiting, idle = list(shares), list[Seat]()
        left: list[Segment] = []
        while waiting or left:
            self.check()
            if left and idle:
                shares.append(self._share(idle.pop(), left))
                waiting, left = [*waiting, shares[-1]], []
            there = dag.parts_there([share.coming for share in waiting], timeout_s=TICK_S)
            for share in [share for share in waiting if share.coming in there]:
                try:
                    part = self._take(share)
                except RayError as error:
                    left += self._left_by(share, error)
                    waiting.remove(share)
                    continue
                if part is None:
                    waiting.remove(share)
                    idle.append(share.seat)
                else:
                    inferred += len(part.people.frame_indices)
            self._look(shares, waiting)
        return inferred

    def _take(self, share: _Share) -> SegmentPeople | None:
        """The next segment of an actor; None where that was its last. Raises what it raised, in Ray's wrapping."""
        found = dag.next_part(share.coming)
        if found is None:
            return None
        reference, part = found
        self.parts[part.segment.number] = reference
        self.keeping.append(self.keep(part))
        share.here += 1
        return part

    def _left_by(self, share: _Share, error: RayError) -> Sequence[Segment]:
        """What an actor that died while it helped leaves to the others. Raises every other error, or NeighbourCrash.

        Nothing says that it was the clip that ended it; if it was, the actor that the job itself sits in dies of the
        same segment next, and that counts.
        """
        if not lost_its_actor(error):
            raise error
        if self.generation.died(share.seat) > 1:
            raise NeighbourCrash from error
        if not share.seat.helps:
            raise error
        share.running = 0.0
        left = share.segments[share.here :]
        fields = {"job_id": self.claimed.id, "segments": len(left)}
        logger.warning("Helping actor died: job_id=%s segments=%d", *fields.values(), extra=fields)
        return left

    def _look(self, shares: Sequence[_Share], waiting: Sequence[_Share]) -> None:
        """See how far the actors are, and whether one of them stands still."""
        for share in waiting:
            so_far = dag.progress(share.seat.actor, self.claimed, segments=True)
            if so_far:
                share.running = so_far.share
            if share.watch.stalled(so_far):
                self.generation.kill(share.seat)
                raise Stalled
        done = len(self.kept) + sum(share.done for share in shares)
        self.on_progress(done / len(self.surveyed.segments))

    @contextmanager
    def _canceling(self, seats: Sequence[Seat]) -> Iterator[None]:
        """Make all actors stop where the block ends before they do."""
        try:
            yield
        except BaseException:
            for seat in seats:
                dag.cancel_segments(seat.actor, self.claimed)
            raise
