"""Everybody in one segment of a clip, frame by frame, before anybody is followed: what the parts of a clip come to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.poses import FloatArray, ModelInfo, Pose, Skeleton
from inference.segments import Segment


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class People:
    """P people, all in all, in T frames; arrays, for there are tens of thousands of them."""

    frame_indices: NDArray[np.int64]
    """(T,) among the decoded frames of the clip."""
    timestamps_s: NDArray[np.float64]
    """(T,)."""
    counts: NDArray[np.int64]
    """(T,) how many of the people are in each frame; they come in the order of frames."""
    keypoints: FloatArray
    """(P, K, 2)."""
    confidence: FloatArray
    """(P, K)."""
    boxes: FloatArray
    """(P, 4)."""
    scores: NDArray[np.float64]
    """(P,)."""

    def __post_init__(self) -> None:
        """Check the shapes; raises ValueError."""
        frames, people = len(self.frame_indices), len(self.scores)
        keypoints = self.keypoints.shape[1:2]
        shapes = (self.timestamps_s.shape, self.counts.shape, self.keypoints.shape, self.confidence.shape)
        expected = ((frames,), (frames,), (people, *keypoints, 2), (people, *keypoints))
        if shapes != expected or self.boxes.shape != (people, 4) or int(self.counts.sum()) != people:
            raise ValueError(f"invalid People: {shapes} and boxes {self.boxes.shape} of {people} in {frames} frames")

    @classmethod
    def gather(cls, seen: Iterable[tuple[int, float, list[Pose]]], *, keypoints: int) -> People:
        """From (index, timestamp in seconds, people) of every frame; a pose has so many keypoints."""
        indices: list[int] = []
        times: list[float] = []
        counts: list[int] = []
        poses: list[Pose] = []
        for index, timestamp_s, people in seen:
            indices.append(index)
            times.append(timestamp_s)
            counts.append(len(people))
            poses += people
        return cls(
            frame_indices=np.array(indices, np.int64),
            timestamps_s=np.array(times, np.float64),
            counts=np.array(counts, np.int64),
            keypoints=np.array([pose.keypoints for pose in poses], np.float32).reshape(-1, keypoints, 2),
            confidence=np.array([pose.confidence for pose in poses], np.float32).reshape(-1, keypoints),
            boxes=np.array([pose.box for pose in poses], np.float32).reshape(-1, 4),
            scores=np.array([pose.score for pose in poses], np.float64),
        )

    def frames(self) -> Iterator[tuple[int, float, list[Pose]]]:
        """The way back, exactly."""
        first = 0
        for index, timestamp_s, count in zip(
            self.frame_indices.tolist(), self.timestamps_s.tolist(), self.counts.tolist(), strict=True
        ):
            yield index, timestamp_s, [self._pose(place) for place in range(first, first + count)]
            first += count

    def _pose(self, place: int) -> Pose:
        return Pose(
            keypoints=self.keypoints[place],
            confidence=self.confidence[place],
            box=self.boxes[place],
            score=float(self.scores[place]),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SegmentPeople:
    """What inferring one segment came to, with its share of the clip's receipt."""

    segment: Segment
    clip_sha256: str
    """Of the whole file that it is a segment of."""
    model: ModelInfo
    skeleton: Skeleton
    people: People
    """Of the inferred frames."""
    decoded_s: NDArray[np.float64]
    """Timestamps of all its decoded frames."""
    skipped: Mapping[str, int]
    """Reason → decoded frames that were not inferred."""
    redone: int
    """As in `ExtractionReceipt`."""
