"""One unbroken sighting of one person, kept as compact arrays, and the geometry that compares sightings."""

from __future__ import annotations

import math
from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.poses import FloatArray, Pose

CONFIDENT = 0.3
"""Keypoints below this say nothing about where somebody is."""
_VELOCITY_TIME_S = 0.1
"""Over which velocity is averaged: long against jitter at 240 frames a second, short against a change of pace."""
_COAST_S = 0.3
"""How long a person who is out of sight is supposed to go on as before."""

Point = NDArray[np.float64]


def size_of(box: FloatArray) -> float:
    """Length of the box's diagonal: about the body's height, and steadier when somebody bends or spreads the arms."""
    return max(math.hypot(float(box[2] - box[0]), float(box[3] - box[1])), 1.0)


def anchor_of(keypoints: FloatArray, confidence: FloatArray, box: FloatArray) -> Point:
    """(2,) where the body is: the median of its confident keypoints, which an arm or a leg does not move."""
    seen = confidence >= CONFIDENT
    if np.count_nonzero(seen) >= 3:
        return np.asarray(_median(keypoints[seen]), np.float64)
    return np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], np.float64)


def overlap(a: FloatArray, b: FloatArray) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = float(width * height)
    total = float((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])) - common
    return common / total


def keypoint_distance(a: FloatArray, a_confidence: FloatArray, b: FloatArray, b_confidence: FloatArray) -> float | None:
    """Median distance in pixels of the keypoints that both show; None below three."""
    shared = (a_confidence >= CONFIDENT) & (b_confidence >= CONFIDENT)
    if np.count_nonzero(shared) < 3:
        return None
    offset = a[shared] - b[shared]
    return float(_median(np.sqrt(np.einsum("ij,ij->i", offset, offset))))


def _median(values: NDArray[np.float32]) -> Any:
    """Along the first axis: `np.median`, which spends ten times as long on a person's few keypoints."""
    ordered = np.sort(values, axis=0)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


class Track:
    """One person from the first to the last frame of an unbroken sighting. Memory: 4 · (3 K + 7) bytes a frame."""

    def __init__(self, joints: int) -> None:
        self._joints = joints
        self._frames = array("i")
        self._picks = array("b")
        self._times = array("d")
        self._rows = array("f")  # keypoints (K, 2), confidence (K,), box (4,), score: flat
        self._anchors = array("f")
        self._velocity: Point = np.zeros(2)
        self._last: Pose | None = None

    def add(self, frame: int, time_s: float, pick: int, pose: Pose) -> None:
        """Append a sighting: `pick` is the pose's place in its frame's list."""
        anchor = anchor_of(pose.keypoints, pose.confidence, pose.box)
        if self._times:
            elapsed = time_s - self._times[-1]
            step = (anchor - np.array(self._anchors[-2:])) / elapsed
            self._velocity = self._velocity + (1 - math.exp(-elapsed / _VELOCITY_TIME_S)) * (step - self._velocity)
        self._frames.append(frame)
        self._picks.append(pick)
        self._times.append(time_s)
        self._anchors.extend(anchor.tolist())
        row = np.concatenate([pose.keypoints.ravel(), pose.confidence, pose.box, [pose.score]])
        self._rows.frombytes(row.astype(np.float32).tobytes())
        self._last = pose

    def __len__(self) -> int:
        """Number of sightings."""
        return len(self._times)

    @property
    def start_s(self) -> float:
        """Time of the first sighting."""
        return self._times[0]

    @property
    def end_s(self) -> float:
        """Time of the last sighting."""
        return self._times[-1]

    @property
    def last(self) -> Pose:
        """The last sighting."""
        if self._last is None:
            raise ValueError("an empty track has no last pose")
        return self._last

    def shift(self, time_s: float) -> Point:
        """(2,) how far the person has gone by `time_s`, at the velocity last seen."""
        return self._velocity * min(time_s - self.end_s, _COAST_S)

    @property
    def frames(self) -> NDArray[np.int64]:
        """(n,) which updates of the tracker."""
        return np.array(self._frames, np.int64)

    @property
    def picks(self) -> NDArray[np.int64]:
        """(n,) which pose of each frame's list."""
        return np.array(self._picks, np.int64)

    @property
    def times_s(self) -> NDArray[np.float64]:
        """(n,)."""
        return np.array(self._times, np.float64)

    @property
    def anchors(self) -> NDArray[np.float64]:
        """(n, 2) where the body was."""
        return np.array(self._anchors, np.float64).reshape(-1, 2)

    @property
    def keypoints(self) -> FloatArray:
        """(n, K, 2)."""
        return self._table[:, : 2 * self._joints].reshape(-1, self._joints, 2)

    @property
    def confidence(self) -> FloatArray:
        """(n, K)."""
        return self._table[:, 2 * self._joints : 3 * self._joints]

    @property
    def boxes(self) -> FloatArray:
        """(n, 4)."""
        return self._table[:, 3 * self._joints : 3 * self._joints + 4]

    @property
    def scores(self) -> FloatArray:
        """(n,)."""
        return self._table[:, -1]

    @property
    def _table(self) -> FloatArray:
        return np.array(self._rows, np.float32).reshape(-1, 3 * self._joints + 5)
