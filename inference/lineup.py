"""Who is in a clip: the people that a caller may choose among, each with a point that names nobody else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.errors import NoPerson
from inference.poses import Pose
from inference.subject import Person, SubjectHint
from inference.tracking import Tracker

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One person of a clip."""

    number: int
    """From 1, the most prominent first."""
    prominence: float
    """Against the most prominent, 0..1."""
    hint: SubjectHint
    """A point on this person, in nobody else's box if there is such a moment."""
    frame: int
    """Index among decoded frames of the hint's moment."""
    boxes: dict[int, Box]
    """Number → x1 y1 x2 y2 of every candidate who is seen in that frame."""
    first_s: float
    last_s: float
    """When this person was first and last seen, seconds of the clip."""
    share: float
    """Of the frames looked at in which this person was seen, 0..1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineup:
    """The people of a clip."""

    people: tuple[Candidate, ...]
    chosen: int
    """The number of the one whom an analysis would follow by itself."""
    confidence: float
    """How sure that choice would be, 0..1."""


def line_up(frames: Iterable[tuple[int, float, list[Pose]]], *, window_s: float, slowmo_factor: float = 1.0) -> Lineup:
    """Follow everybody through (index, timestamp in seconds, people) of a clip's frames, and rank them.

    An analysis chooses by the first `window_s` seconds, or by the whole clip where nobody is in them; hints lie in the
    window where the person does, so that both passes can use them. Raises NoPerson.
    """
    whole, window = Tracker(slowmo_factor=slowmo_factor), Tracker(slowmo_factor=slowmo_factor)
    indices: list[int] = []
    times: list[float] = []
    for index, timestamp_s, people in frames:
        indices.append(index)
        times.append(timestamp_s)
        whole.update(timestamp_s, people)
        if timestamp_s <= window_s:
            window.update(timestamp_s, people)
    seen = [_Seen.of(prominence, person) for prominence, person in whole.people()]
    if not seen:
        raise NoPerson
    at = np.array(times)
    candidates = tuple(
        _candidate(number, seen, np.array(indices), at, at <= window_s) for number in range(1, len(seen) + 1)
    )
    try:
        choice = window.choose()
    except NoPerson:
        choice = whole.choose()
    moment = int(np.argmin(np.abs(at - choice.subject.time_s)))
    chosen = next(
        (number for number, one in enumerate(seen, start=1) if one.boxes.get(moment) == choice.subject.box), 1
    )
    return Lineup(people=candidates, chosen=chosen, confidence=choice.subject.confidence)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """A person's sightings by the number of the update."""

    prominence: float
    boxes: dict[int, Box]
    worth: dict[int, float]
    """How well the sighting shows the person: score × size."""

    @classmethod
    def of(cls, prominence: float, person: Person) -> _Seen:
        boxes: dict[int, Box] = {}
        worth: dict[int, float] = {}
        for track in person:
            for frame, (x1, y1, x2, y2), score in zip(
                track.frames.tolist(), track.boxes.tolist(), track.scores.tolist(), strict=True
            ):
                boxes[frame] = (x1, y1, x2, y2)
                worth[frame] = score * float(np.hypot(x2 - x1, y2 - y1))
        return cls(prominence=prominence, boxes=boxes, worth=worth)


def _candidate(
    number: int,
    everybody: Sequence[_Seen],
    indices: NDArray[np.int64],
    times: NDArray[np.float64],
    early: NDArray[np.bool_],
) -> Candidate:
    own = everybody[number - 1]
    others = [one for one in everybody if one is not own]

    def rank(frame: int) -> tuple[bool, bool, float]:
        alone = not any(_holds(other.boxes.get(frame), _middle(own.boxes[frame])) for other in others)
        return alone, bool(early[frame]), own.worth[frame]

    best = max(own.boxes, key=rank)
    x, y = _middle(own.boxes[best])
    frames = sorted(own.boxes)
    return Candidate(
        number=number,
        prominence=own.prominence / everybody[0].prominence if everybody[0].prominence > 0 else 0.0,
        hint=SubjectHint(x=x, y=y, time_s=round(float(times[best]), 3)),
        frame=int(indices[best]),
        boxes={other: one.boxes[best] for other, one in enumerate(everybody, start=1) if best in one.boxes},
        first_s=float(times[frames[0]]),
        last_s=float(times[frames[-1]]),
        share=len(frames) / len(times),
    )


def _middle(box: Box) -> tuple[float, float]:
    """In whole pixels, as a caller would type it."""
    x1, y1, x2, y2 = box
    return float(round((x1 + x2) / 2)), float(round((y1 + y2) / 2))


def _holds(box: Box | None, point: tuple[float, float]) -> bool:
    if box is None:
        return False
    x1, y1, x2, y2 = box
    return x1 <= point[0] <= x2 and y1 <= point[1] <= y2
