"""Follow people through a clip, frame by frame, and never take one for another.

Where two people come so close that the frame does not say who is who, both tracks end and new ones begin: a hole in an
athlete's track is honest, a stranger's legs in it are not. `inference.subject` joins what can be joined without doubt.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.errors import NoPerson
from inference.poses import Pose
from inference.subject import Choice, Person, SubjectHint, choose, ranked
from inference.tracks import Track, keypoint_distance, overlap, size_of

__all__ = ["Choice", "SubjectHint", "Tracker"]

MAX_PEOPLE = 8
"""Followed in one frame, the surest first."""
_MEMORY_S = 0.7
"""How long somebody may be out of sight before the track ends."""
_REACH, _REACH_PER_S, _REACH_MAX = 0.12, 2.5, 0.6
"""How far from where they were expected somebody may be, in body sizes: jitter, plus a change of pace over time."""
_GROWTH = 1.8
"""Largest ratio of two sizes of one person."""
_DOUBT_PAIR, _DOUBT_ONE = 0.5, 0.3
"""Costs this close do not tell two people apart: of two exchanged, of one against another."""
_YOUNG_S, _YOUNG_DOUBT = 0.1, 1.5
"""Who has been followed for less has no velocity yet, so that much more doubt."""
_SAME_OVERLAP, _SAME_DISTANCE = 0.4, 0.08
"""Two detections that overlap so much, keypoints that near (in sizes), are one person seen twice."""
_FAR = 1e6


class Tracker:
    """Follows the people of one clip. All state is the instance's own: many clips may be followed at once.

    How far and how long people may be gone is a matter of real time: in a file that plays `slowmo_factor` times slower
    than life, frames that lie seconds apart in the clip are tenths of a second apart on the field.
    """

    def __init__(self, *, slowmo_factor: float = 1.0) -> None:
        if not slowmo_factor > 0:
            raise ValueError(f"slowmo_factor {slowmo_factor} is not positive")
        self._slowmo_factor = slowmo_factor
        self._times = array("d")
        self._active: list[Track] = []
        self._ended: list[Track] = []

    def update(self, timestamp_s: float, poses: Sequence[Pose]) -> None:
        """Take the people of the next frame, at its time in the clip. Raises ValueError unless time increases."""
        timestamp_s = timestamp_s / self._slowmo_factor
        if self._times and not timestamp_s > self._times[-1]:
            raise ValueError(f"timestamp {timestamp_s} does not follow {self._times[-1]}")
        frame = len(self._times)
        self._times.append(timestamp_s)
        self._end([track for track in self._active if timestamp_s - track.end_s > _MEMORY_S])
        seen = _distinct(poses)
        costs = np.array(
            [[_cost(track, timestamp_s, poses[pick]) for pick in seen] for track in self._active], np.float64
        ).reshape(len(self._active), len(seen))
        matches = _assign(costs)
        tracks = list(self._active)
        doubt = np.array([_YOUNG_DOUBT if track.end_s - track.start_s < _YOUNG_S else 1.0 for track in tracks])
        doubtful = _doubtful(costs, matches, doubt)
        self._end([tracks[row] for row in doubtful])
        certain = {column: row for row, column in matches.items() if row not in doubtful}
        for column, pick in enumerate(seen):
            if column in certain:
                track = tracks[certain[column]]
            else:
                track = Track(len(poses[pick].confidence))
                self._active.append(track)
            track.add(frame, timestamp_s, pick, poses[pick])

    def choose(self, hints: Sequence[SubjectHint] = (), *, source: Literal["caller", "automatic"] = "caller") -> Choice:
        """Choose the athlete among those followed so far.

        Hints win over everything; without any, whoever is there longest, largest and moves most. `source` says who gave
        the hints: one of the caller's that names nobody is an error, one of our own is passed over.
        Raises NoPerson, and SubjectNotFound for a caller's hint that hits nobody.
        """
        tracks = [*self._ended, *self._active]
        if not tracks:
            raise NoPerson
        factor = self._slowmo_factor
        choice = choose(tracks, np.array(self._times, np.float64), hints, source, factor)
        return replace(choice, subject=replace(choice.subject, time_s=choice.subject.time_s * factor))

    def people(self) -> list[tuple[float, Person]]:
        """Those followed so far and how prominent each is, the most prominent first; their times are real time."""
        return ranked([*self._ended, *self._active])

    def _end(self, tracks: list[Track]) -> None:
        self._ended.extend(tracks)
        self._active = [track for track in self._active if track not in tracks]


def _distinct(poses: Sequence[Pose]) -> list[int]:
    """Places of the poses to follow: the surest first, nobody twice, at most MAX_PEOPLE."""
    chosen: list[int] = []
    for pick in sorted(range(len(poses)), key=lambda place: -poses[place].score):
        if len(chosen) < MAX_PEOPLE and not any(_same(poses[pick], poses[other]) for other in chosen):
            chosen.append(pick)
    return sorted(chosen)


def _same(a: Pose, b: Pose) -> bool:
    if overlap(a.box, b.box) < _SAME_OVERLAP:
        return False
    distance = keypoint_distance(a.keypoints, a.confidence, b.keypoints, b.confidence)
    return distance is not None and distance < _SAME_DISTANCE * max(size_of(a.box), size_of(b.box))


def _cost(track: Track, time_s: float, pose: Pose) -> float:
    """0 (exactly where expected) … 1; _FAR where it cannot be the same person."""
    last = track.last
    size, other = size_of(last.box), size_of(pose.box)
    if max(size, other) > _GROWTH * min(size, other):
        return _FAR
    shift = track.shift(time_s).astype(np.float32)
    box = last.box + np.tile(shift, 2)
    moved = keypoint_distance(last.keypoints + shift, last.confidence, pose.keypoints, pose.confidence)
    if moved is None:
        moved = float(np.linalg.norm((box[:2] + box[2:] - pose.box[:2] - pose.box[2:]) / 2))
    distance = moved / max(size, other)
    if distance > min(_REACH + _REACH_PER_S * (time_s - track.end_s), _REACH_MAX):
        return _FAR
    return 0.5 * (1 - overlap(box, pose.box)) + 0.5 * distance / _REACH_MAX


def _assign(costs: NDArray[np.float64]) -> dict[int, int]:
    """Track → pose, the cheapest whole."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(costs)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {row: column for row, column in pairs if costs[row, column] < _FAR}


def _doubtful(costs: NDArray[np.float64], matches: dict[int, int], doubt: NDArray[np.float64]) -> set[int]:
    """Tracks (matched or waiting) for whom another match would have been about as good; `doubt` weighs each track's."""
    doubtful: set[int] = set()
    taken = set(matches.values())
    for row, column in matches.items():
        cost = costs[row, column]
        for pose in range(costs.shape[1]):
            if pose not in taken and costs[row, pose] - cost < _DOUBT_ONE * doubt[row]:
                doubtful.add(row)
        for other in range(costs.shape[0]):
            more = max(doubt[row], doubt[other])
            if other not in matches:
                close = costs[other, column] - cost < _DOUBT_ONE * more
            else:
                pose = matches[other]
                exchanged = costs[row, pose] + costs[other, column] - cost - costs[other, pose]
                close = other != row and exchanged < _DOUBT_PAIR * more
            if close:
                doubtful |= {row, other}
    return doubtful
