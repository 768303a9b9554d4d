"""Who is the athlete: join the sightings that are surely one person, then choose."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.errors import SubjectNotFound
from inference.poses import FloatArray, Subject
from inference.tracks import Point, Track

_JOIN_S = 2.0
"""Longest absence after which somebody may be known again."""
_JOIN_REACH, _JOIN_REACH_PER_S = 0.35, 0.5
"""How far from where they were expected, in body sizes."""
_JOIN_GROWTH = 1.4
_JOIN_MARGIN = 0.3
"""How much better (in body sizes, and twice as good) than any other way of joining."""
_PACE_S = 0.5
"""Weighs a change of pace: as far as it leads in this time."""
_TREND_S = 0.4
"""Over which the velocity at the end of a sighting is measured."""
_FIRM_S, _FIRM_SIGHTINGS = 0.15, 3
"""Shorter sightings are nobody in particular: never joined, never counted as a person."""
_HINT_S = 0.5
"""How far in time a sighting may be from a hint."""
_MOVEMENT_ENOUGH = 2.0
"""Body sizes of movement beyond which more of it says nothing more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectHint:
    """A point on the athlete, in source pixels, at a time of the clip."""

    x: float
    y: float
    time_s: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Choice:
    """The athlete over the T frames that the tracker was given; NaN (and pick -1) where not seen."""

    subject: Subject
    picks: NDArray[np.int64]
    """(T,) place of the athlete in the list of poses of each frame."""
    keypoints: FloatArray
    """(T, K, 2)."""
    confidence: FloatArray
    """(T, K)."""
    boxes: FloatArray
    """(T, 4)."""


Person = list[Track]


def choose(
    tracks: Sequence[Track],
    times_s: NDArray[np.float64],
    hints: Sequence[SubjectHint],
    source: Literal["caller", "automatic"],
    slowmo_factor: float,
) -> Choice:
    """Choose among at least one track, in real time, by hints in the clip's; see `Tracker.choose`."""
    people = join(tracks)
    hits = []
    for hint in hints:
        hit = _hit(people, replace(hint, time_s=hint.time_s / slowmo_factor))
        if hit is not None:
            hits.append(hit)
        elif source == "caller":
            within_s = _HINT_S * slowmo_factor
            raise SubjectNotFound(
                f"Nobody was found at {hint.x:g},{hint.y:g} within {within_s:g} s of {hint.time_s:g} s."
            )
    ranked = sorted((_prominence(person) for person in people), reverse=True)
    if not hits:
        best = max(people, key=_prominence)
        rival = ranked[1] if len(ranked) > 1 else 0.0
        confidence = 1 - rival / ranked[0] if ranked[0] > 0 else 0.0
        return _choice([(0.0, best)], times_s, people, "automatic", confidence)
    named = [(hint.time_s, person) for hint, person, _ in hits]
    confidence = sum(1.0 if alone else 0.5 for _, _, alone in hits) / len(hits)
    return _choice(named, times_s, people, source, confidence)


def join(tracks: Sequence[Track]) -> list[Person]:
    """Join sightings that follow one another where there is no doubt; every track is in exactly one person."""
    firm = sorted((track for track in tracks if _firm(track)), key=lambda track: (track.start_s, track.end_s))
    costs = _join_costs([(_End.of(track, last=False), _End.of(track, last=True)) for track in firm])
    by_row: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    by_column: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for pair in costs:
        by_row[pair[0]].append(pair)
        by_column[pair[1]].append(pair)
    follower: dict[int, int] = {}
    for (row, column), cost in costs.items():
        rival = min((costs[pair] for pair in by_row[row] + by_column[column] if pair != (row, column)), default=np.inf)
        if rival > cost + _JOIN_MARGIN and rival > 2 * cost:
            follower[row] = column
    people = []
    for first in sorted(set(range(len(firm))) - set(follower.values())):
        chain, place = [firm[first]], first
        while place in follower:
            place = follower[place]
            chain.append(firm[place])
        people.append(chain)
    return people + [[track] for track in tracks if not _firm(track)]


def _firm(track: Track) -> bool:
    return track.end_s - track.start_s >= _FIRM_S and len(track) >= _FIRM_SIGHTINGS


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _End:
    """The first or last moments of a sighting."""

    time_s: float
    size: float
    place: Point
    """(2,) at `time_s`, by the trend of these moments."""
    velocity: Point
    """(2,) pixels a second."""

    @classmethod
    def of(cls, track: Track, *, last: bool) -> _End:
        times, boxes = track.times_s, track.boxes
        time_s = float(times[-1] if last else times[0])
        near = np.abs(times - time_s) <= _TREND_S
        since = times[near] - time_s
        (place, velocity), *_ = np.linalg.lstsq(np.column_stack([np.ones_like(since), since]), track.anchors[near])
        size = _size(boxes[-_FIRM_SIGHTINGS:] if last else boxes[:_FIRM_SIGHTINGS])
        return cls(time_s=time_s, size=size, place=place, velocity=velocity)


def _join_costs(ends: Sequence[tuple[_End, _End]]) -> dict[tuple[int, int], float]:
    """(sighting, one that may continue it) → cost; only pairs that can be one person. `ends` in the order of starts."""
    starts = [first.time_s for first, _ in ends]
    costs: dict[tuple[int, int], float] = {}
    for row, (_, last) in enumerate(ends):
        for column in range(bisect_right(starts, last.time_s), bisect_right(starts, last.time_s + _JOIN_S)):
            cost = _join_cost(last, ends[column][0])
            if cost is not None:
                costs[row, column] = cost
    return costs


def _join_cost(last: _End, first: _End) -> float | None:
    """How badly one sighting continues another, in body sizes; None where it cannot.

    The distance between where one was going and where the other came from, and the change of pace: two who cross are
    at one place, but not at one velocity.
    """
    if max(last.size, first.size) > _JOIN_GROWTH * min(last.size, first.size):
        return None
    size, gap = max(last.size, first.size), first.time_s - last.time_s
    # Each goes on as before for half of the absence.
    apart = (last.place + last.velocity * gap / 2) - (first.place - first.velocity * gap / 2)
    distance = float(np.linalg.norm(apart)) / size
    if distance > _JOIN_REACH + _JOIN_REACH_PER_S * gap:
        return None
    return distance + _PACE_S * float(np.linalg.norm(last.velocity - first.velocity)) / size


def ranked(tracks: Sequence[Track]) -> list[tuple[float, Person]]:
    """Everybody in particular and how prominent, in the order in which `choose` would take them without hints.

    Passing sightings are left out, unless there is nothing else.
    """
    people = join(tracks)
    firm = [person for person in people if _firm_person(person)] or people
    return sorted(((_prominence(person), person) for person in firm), key=lambda one: one[0], reverse=True)


def _size(boxes: FloatArray) -> float:
    return float(np.median(np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]).clip(1.0)))


def _prominence(person: Person) -> float:
    """How much somebody looks like whom the clip is about: continuity, size and movement.

    Of each sighting: seconds in view × median size in pixels × how many body sizes the keypoints range over (½ … 1).
    Sightings add up as the root of their squares, so one long one counts for more than the same time in pieces.
    """
    return float(np.linalg.norm([_presence(track) for track in person]))


def _presence(track: Track) -> float:
    size = _size(track.boxes)
    low, high = np.percentile(track.keypoints, (5, 95), axis=0)
    movement = float(np.linalg.norm(high - low, axis=1).mean()) / size
    return (track.end_s - track.start_s) * size * (0.5 + 0.5 * min(movement / _MOVEMENT_ENOUGH, 1.0))


def _hit(people: Sequence[Person], hint: SubjectHint) -> tuple[SubjectHint, Person, bool] | None:
    """Whose box holds the point, nearest in time, then nearest to its middle; and whether nobody else's did then."""
    found: list[tuple[float, float, int]] = []
    for number, person in enumerate(people):
        for track in person:
            found += [(apart, off, number) for apart, off in _boxes_around(track, hint)]
    if not found:
        return None
    apart, _, number = min(found)
    alone = {other for distance, _, other in found if distance == apart} == {number}
    return hint, people[number], alone


def _boxes_around(track: Track, hint: SubjectHint) -> Iterable[tuple[float, float]]:
    """(seconds from the hint, distance from the middle in sizes) of the sightings whose box holds the point."""
    apart = np.abs(track.times_s - hint.time_s)
    x1, y1, x2, y2 = track.boxes.T
    inside = (apart <= _HINT_S) & (x1 <= hint.x) & (hint.x <= x2) & (y1 <= hint.y) & (hint.y <= y2)
    off = np.hypot((x1 + x2) / 2 - hint.x, (y1 + y2) / 2 - hint.y) / np.hypot(x2 - x1, y2 - y1)
    return zip(apart[inside].tolist(), off[inside].tolist(), strict=True)


def _choice(
    named: Sequence[tuple[float, Person]],
    times_s: NDArray[np.float64],
    people: Sequence[Person],
    source: Literal["caller", "automatic"],
    confidence: float,
) -> Choice:
    """Frame by frame the named person whose hint is nearest in time, where in view."""
    joints = named[0][1][0].confidence.shape[1]
    frames = len(times_s)
    picks = np.full(frames, -1, np.int64)
    keypoints = np.full((frames, joints, 2), np.nan, np.float32)
    sure = np.full((frames, joints), np.nan, np.float32)
    boxes = np.full((frames, 4), np.nan, np.float32)
    scores = np.zeros(frames)
    nearest = np.full(frames, np.inf)
    for hint_s, person in named:
        for track in person:
            apart = np.abs(track.times_s - hint_s)
            nearer = apart < nearest[track.frames]
            at = track.frames[nearer]
            nearest[at], picks[at] = apart[nearer], track.picks[nearer]
            keypoints[at], sure[at] = track.keypoints[nearer], track.confidence[nearer]
            boxes[at], scores[at] = track.boxes[nearer], track.scores[nearer]
    seen = picks >= 0
    worth = np.where(seen, scores * np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]), -1.0)
    best = int(np.argmax(worth))
    x1, y1, x2, y2 = boxes[best].tolist()
    subject = Subject(
        source=source,
        confidence=round(confidence, 3),
        people=max(sum(_firm_person(person) for person in people), 1),
        box=(x1, y1, x2, y2),
        time_s=float(times_s[best]),
    )
    return Choice(subject=subject, picks=picks, keypoints=keypoints, confidence=sure, boxes=boxes)


def _firm_person(person: Person) -> bool:
    return any(_firm(track) for track in person)


def overlap_of_others(boxes: Sequence[FloatArray], picks: NDArray[np.int64]) -> FloatArray:
    """(T,) largest share of the athlete's box that one other person's covers; NaN where the athlete was not seen.

    `boxes`: of each frame everybody's (N, 4); `picks` (T,): the athlete's place among them, -1 where not seen.
    """
    shares = np.full(len(picks), np.nan, np.float32)
    for frame, (everybody, pick) in enumerate(zip(boxes, picks.tolist(), strict=True)):
        if pick < 0:
            continue
        own, others = everybody[pick], np.delete(everybody, pick, axis=0)
        low, high = np.maximum(own[:2], others[:, :2]), np.minimum(own[2:], others[:, 2:])
        area = float(np.prod(own[2:] - own[:2]))
        shares[frame] = np.prod((high - low).clip(0.0), axis=1).max(initial=0.0) / area if area > 0 else np.nan
    return shares
