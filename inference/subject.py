"""Who is the athlete: join the sightings that are surely one person, then choose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.errors import SubjectNotFound
from inference.poses import FloatArray, Subject
from inference.tracks import Point, Track, size_of

_JOIN_S = 2.0
"""Longest absence after which somebody may be known again."""
_JOIN_REACH, _JOIN_REACH_PER_S = 0.35, 0.5
"""How far from where they were expected, in body sizes."""
_JOIN_GROWTH = 1.4
_JOIN_MARGIN = 0.3
"""How much better (in body sizes, and twice as good) than any other way of joining."""
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
) -> Choice:
    """Choose among at least one track; see `Tracker.choose`."""
    people = join(tracks)
    hits = [hit for hint in hints if (hit := _hit(people, hint, strict=source == "caller")) is not None]
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
    firm = [track for track in tracks if _firm(track)]
    costs = np.array([[_join_cost(a, b) for b in firm] for a in firm], np.float64).reshape(len(firm), len(firm))
    follower: dict[int, int] = {}
    for row, column in zip(*np.nonzero(np.isfinite(costs)), strict=True):
        cost = costs[row, column]
        others = np.append(np.delete(costs[row], column), np.delete(costs[:, column], row))
        rival = float(others.min(initial=np.inf))
        if rival > cost + _JOIN_MARGIN and rival > 2 * cost:
            follower[int(row)] = int(column)
    people = []
    for first in set(range(len(firm))) - set(follower.values()):
        chain, place = [firm[first]], first
        while place in follower:
            place = follower[place]
            chain.append(firm[place])
        people.append(chain)
    return people + [[track] for track in tracks if not _firm(track)]


def _firm(track: Track) -> bool:
    return track.end_s - track.start_s >= _FIRM_S and len(track) >= _FIRM_SIGHTINGS


def _join_cost(a: Track, b: Track) -> float:
    """Distance, in body sizes, between where `a` was going and where `b` came from; infinite where it cannot be."""
    gap = b.start_s - a.end_s
    if not 0 < gap <= _JOIN_S:
        return np.inf
    size, other = _size(a.boxes[-_FIRM_SIGHTINGS:]), _size(b.boxes[:_FIRM_SIGHTINGS])
    if max(size, other) > _JOIN_GROWTH * min(size, other):
        return np.inf
    middle = a.end_s + gap / 2  # each goes on as before for half of the absence
    miss = float(np.linalg.norm(_expected(a, middle, end=True) - _expected(b, middle, end=False)))
    distance = miss / max(size, other)
    return distance if distance <= _JOIN_REACH + _JOIN_REACH_PER_S * gap else np.inf


def _size(boxes: FloatArray) -> float:
    return float(np.median([size_of(box) for box in boxes]))


def _expected(track: Track, time_s: float, *, end: bool) -> Point:
    """(2,) where the person of a track was before or will be after it, by the trend at that end."""
    times = track.times_s
    near = times >= times[-1] - _TREND_S if end else times <= times[0] + _TREND_S
    times, places = times[near], track.anchors[near]
    design = np.column_stack([np.ones_like(times), times - times.mean()])
    (middle, slope), *_ = np.linalg.lstsq(design, places, rcond=None)
    return np.asarray(middle + slope * (time_s - times.mean()))


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


def _hit(people: Sequence[Person], hint: SubjectHint, *, strict: bool) -> tuple[SubjectHint, Person, bool] | None:
    """Whose box holds the point, nearest in time, then nearest to its middle; and whether nobody else's did then."""
    found: list[tuple[float, float, int]] = []
    for number, person in enumerate(people):
        for track in person:
            found += [(apart, off, number) for apart, off in _boxes_around(track, hint)]
    if not found:
        if strict:
            raise SubjectNotFound(f"Nobody was found at {hint.x:g},{hint.y:g} within {_HINT_S} s of {hint.time_s:g} s.")
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
