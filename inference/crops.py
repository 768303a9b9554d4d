"""Where to look for each person between two anchors: pure geometry, from what whole frames showed at both ends.

No state crosses an anchor, so a clip may be cut at any of them and the parts be worked on apart. A crop moves, grows
and shrinks linearly between its anchors, so that nothing jumps where one span ends and the next begins; one shape of
input serves a span.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from inference.poses import FloatArray, Pose, Skeleton
from inference.preprocess import Letterbox
from inference.tracks import CONFIDENT, keypoint_distance, overlap, size_of

SIDES = (128, 192, 256, 320, 384, 448, 512, 640)
"""Sides of the inputs, in pixels. Few, because a runtime prepares itself for every new shape (25 ms measured), and
because clips share batches of one shape."""
STATURE = 172.0
"""Body height in input pixels up to which a crop is enlarged. Measured on the sample clip: somebody of 135 jitters more
(by an eighth) in a crop of the whole frame's scale than in the whole frame, and less when enlarged to this."""
_FINE = 130.0
"""Body height below which somebody may need the finest level of the head."""
MAX_ENLARGED = 2.0
"""Input pixels per source pixel: beyond this there is nothing more to see."""
_OVERHEAD, _ASIDE, _BELOW = 0.25, 0.15, 0.12
"""Margins around a person in body heights: arms go up and out between two anchors, feet hardly down."""
_ONE_SIDED = 0.35
"""Further margin where somebody was seen at one anchor only: nobody knows where they went or came from."""
_WORTH = 0.9
"""Share of the whole frame's pixels above which crops are not worth their trouble."""
_REACH, _REACH_PER_S = 0.3, 5.0
"""How far apart one person may be at two anchors, in sizes: jitter, plus a sprint over time."""
_GROWTH = 1.8
"""Largest ratio of two sizes of one person."""
_EDGE = 0.03
"""Share of a crop's side from its edge within which a keypoint may belong to something that was cut off."""
_DISAGREEMENT = 0.08
"""In sizes: median distance between crop and whole frame beyond which one of them shows something else."""
_EXPECTED = 0.6
"""How far (in sizes, and as logarithm of the ratio of sizes) a pose may be from where its person is expected."""

_CHAIN = (("shoulder", "hip"), ("hip", "knee"), ("knee", "ankle"))
"""Trunk, thigh and shank, left and right: what every skeleton has, so that feet or a head's top change no height."""
_CHAIN_SHARE = 0.779
"""Their sum in body heights."""

Extent = NDArray[np.float64]
"""(4,) x1 y1 x2 y2 in source pixels."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Path:
    """One person's way from one anchor to the next, and the crop that follows it."""

    start: Pose | None
    """As the whole frame shows the person at the first anchor; None where not seen there."""
    end: Pose | None
    extents: tuple[Extent, Extent]
    """Where the crop looks at the two anchors, margins included."""
    scales: tuple[float, float]
    """Input pixels per source pixel at the two anchors."""
    size: tuple[int, int] | None
    """(width, height) of the input, for the whole span; None where no input is large enough."""
    fine: bool
    """Whether the person is small even in the crop."""

    def box(self, share: float, picture: tuple[int, int]) -> Letterbox:
        """The crop at `share` (0..1) of the way. Raises ValueError where no input is large enough."""
        if self.size is None:
            raise ValueError("a person too large for a crop")
        x1, y1, x2, y2 = _between(*self.extents, share).tolist()
        scale = self.scales[0] + (self.scales[1] - self.scales[0]) * share
        return Letterbox.crop(picture, ((x1 + x2) / 2, (y1 + y2) / 2), self.size, scale)

    def expected(self, share: float) -> FloatArray:
        """(4,) x1 y1 x2 y2: the person's box at `share` of the way."""
        start, end = self.start or self.end, self.end or self.start
        if start is None or end is None:
            raise ValueError("a path of nobody")
        return _between(start.box.astype(np.float64), end.box.astype(np.float64), share).astype(np.float32)

    def holds(self, point: tuple[float, float, float]) -> bool:
        """Whether (x, y, share of the way) lies in the box expected there."""
        x, y, share = point
        x1, y1, x2, y2 = self.expected(share).tolist()
        return bool(x1 <= x <= x2 and y1 <= y <= y2)

    def pick(self, people: Sequence[Pose], share: float) -> Pose | None:
        """Who among the people of a frame is this path's; None where nobody is near enough."""
        if not people:
            return None
        expected = self.expected(share)
        if self.start is None or self.end is None:
            worth = [pose.score * overlap(pose.box, _grown(expected)) for pose in people]
            best = int(np.argmax(worth))
            return people[best] if worth[best] > 0 else None
        costs = [_off(pose, expected) for pose in people]
        best = int(np.argmin(costs))
        return people[best] if costs[best] < _EXPECTED else None


def paths(
    first: Sequence[Pose], last: Sequence[Pose], *, elapsed_s: float, whole: Letterbox, skeleton: Skeleton
) -> list[Path]:
    """A path for everybody seen at either anchor, `elapsed_s` real seconds apart; the poses have this `skeleton`.

    `whole` is how the anchors were inferred: no crop shows less detail than it.
    """
    return [_path(start, end, whole, skeleton) for start, end in _pairs(first, last, elapsed_s)]


def worth_it(chosen: Sequence[Path], whole: Letterbox) -> bool:
    """Whether crops for these cost less than the whole frame; False for nobody and where somebody fits no crop."""
    sizes = [path.size for path in chosen if path.size is not None]
    pixels = sum(width * height for width, height in sizes)
    return bool(chosen) and len(sizes) == len(chosen) and pixels < _WORTH * whole.size[0] * whole.size[1]


def athlete_among(
    found: Sequence[Path], known: Pose | None, points: Sequence[tuple[float, float, float]]
) -> Path | None:
    """The path of whom the clip is about, where there can be no doubt; None: look at everybody.

    `known` is the athlete at the first anchor, `points` are (x, y, share of the way) that lie on the athlete. Without
    doubt means: seen at both anchors, every point within the box expected there, and nobody else anywhere near.
    """
    if known is not None:
        candidates = [path for path in found if path.start is known]
    else:
        candidates = [path for path in found if points and path.holds(points[0])]
    if len(candidates) != 1:
        return None
    path = candidates[0]
    if path.start is None or path.end is None or not all(path.holds(point) for point in points):
        return None
    # All that either shows over the whole span, not where they are expected at one time: of two who pass each other the
    # anchors do not say who is who, and exchanged they would seem never to come near.
    swept = _swept(path)
    return None if any(_meet(swept, _swept(other)) for other in found if other is not path) else path


def touches_edge(pose: Pose, box: Letterbox) -> bool:
    """Whether a confident keypoint is so near a side of the crop that lies within the picture that more may be cut."""
    points = pose.keypoints[pose.confidence >= CONFIDENT]
    for axis in range(2):
        low, length = box.origin[axis], box.source[axis]
        near = _EDGE * length
        if low > 0 and bool(np.any(points[:, axis] < low + near)):
            return True
        if low + length < box.picture[axis] and bool(np.any(points[:, axis] > low + length - near)):
            return True
    return False


def disagree(crop: Pose, whole: Pose, skeleton: Skeleton) -> bool:
    """Whether crop and whole frame show different things at an anchor, left and right apart."""
    order = skeleton.exchanged()
    distances = [
        keypoint_distance(crop.keypoints[turn], crop.confidence[turn], whole.keypoints, whole.confidence)
        for turn in (list(range(len(order))), order)
    ]
    known = [distance for distance in distances if distance is not None]
    return bool(known) and min(known) > _DISAGREEMENT * size_of(whole.box)


def _pairs(first: Sequence[Pose], last: Sequence[Pose], elapsed_s: float) -> list[tuple[Pose | None, Pose | None]]:
    """Who at the first anchor is who at the last, and those seen at one of them only."""
    from scipy.optimize import linear_sum_assignment

    far = 1e6
    reach = _REACH + _REACH_PER_S * elapsed_s
    costs = np.array([[_apart(a, b, reach, far) for b in last] for a in first], np.float64)
    costs = costs.reshape(len(first), len(last))
    rows, columns = linear_sum_assignment(costs)
    matched = [(r, c) for r, c in zip(rows.tolist(), columns.tolist(), strict=True) if costs[r, c] < far]
    pairs: list[tuple[Pose | None, Pose | None]] = [(first[row], last[column]) for row, column in matched]
    pairs += [(pose, None) for row, pose in enumerate(first) if row not in {r for r, _ in matched}]
    pairs += [(None, pose) for column, pose in enumerate(last) if column not in {c for _, c in matched}]
    return pairs


def _apart(a: Pose, b: Pose, reach: float, far: float) -> float:
    sizes = size_of(a.box), size_of(b.box)
    if max(sizes) > _GROWTH * min(sizes):
        return far
    distance = math.dist(_middle(a.box), _middle(b.box)) / max(sizes)
    return distance if distance <= reach else far


def _path(start: Pose | None, end: Pose | None, whole: Letterbox, skeleton: Skeleton) -> Path:
    poses = [pose for pose in (start, end) if pose is not None]
    heights = [body_height(pose, skeleton) for pose in poses]
    aside = 0.0 if len(poses) == 2 else _ONE_SIDED
    extents = [_extent(pose, height, aside) for pose, height in zip(poses, heights, strict=True)]
    scales = [_scale(height, whole) for height in heights]
    sides = []
    for axis in range(2):
        most = max((e[axis + 2] - e[axis]) * s for e, s in zip(extents, scales, strict=True))
        # What lies outside the picture needs no input.
        most = min(most, whole.picture[axis] * max(scales))
        sides.append(next((side for side in SIDES if side >= most), 0))
    return Path(
        start=start,
        end=end,
        extents=(extents[0], extents[-1]),
        scales=(scales[0], scales[-1]),
        size=(sides[0], sides[1]) if all(sides) else None,
        fine=any(height * scale < _FINE for height, scale in zip(heights, scales, strict=True)),
    )


def _swept(path: Path) -> Extent:
    """All that the path's crops may show."""
    low = np.minimum(path.extents[0][:2], path.extents[1][:2])
    return np.concatenate([low, np.maximum(path.extents[0][2:], path.extents[1][2:])])


def _meet(a: Extent, b: Extent) -> bool:
    return bool(np.all(a[:2] < b[2:]) and np.all(b[:2] < a[2:]))


def _extent(pose: Pose, height: float, aside: float) -> Extent:
    """What a crop of this person shows: box and keypoints with margins."""
    points = pose.keypoints[pose.confidence >= CONFIDENT]
    corners = np.concatenate([pose.box.reshape(2, 2), points]).astype(np.float64)
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = height * np.array([-_ASIDE - aside, -_OVERHEAD, _ASIDE + aside, _BELOW])
    return np.concatenate([low, high]) + margin


def body_height(pose: Pose, skeleton: Skeleton) -> float:
    """About how tall somebody stands, in source pixels, by trunk and legs: raised arms and bent knees change little.

    Trunk, thigh and shank are 0.288 + 0.245 + 0.246 of stature (Winter 2009, Biomechanics and Motor Control of Human
    Movement, figure 4.1). At least what the box suggests, for legs may be foreshortened or hidden. The box alone where
    the skeleton has no such chain.
    """
    tall = float(pose.box[3] - pose.box[1])
    smallest = max(0.5 * size_of(pose.box), 1.0)
    lengths = [_length(pose, ends) for ends in _chain(skeleton)]
    known = [length for length in lengths if length is not None]
    return max(sum(known) / _CHAIN_SHARE, smallest) if len(known) == len(_CHAIN) else max(tall, smallest)


@cache
def _chain(skeleton: Skeleton) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Of each segment of the chain its ends' positions, left and right; nothing where the skeleton lacks one."""
    if not skeleton.has(*(f"{side}_{joint}" for ends in _CHAIN for joint in ends for side in ("left", "right"))):
        return ()
    return tuple(tuple(zip(*(skeleton.sides(joint) for joint in ends), strict=True)) for ends in _CHAIN)


def _length(pose: Pose, joints: tuple[tuple[int, int], ...]) -> float | None:
    """Of one segment of the body, the longer of its two sides; None where neither is seen."""
    lengths = [
        math.dist(pose.keypoints[a], pose.keypoints[b])
        for a, b in joints
        if min(pose.confidence[a], pose.confidence[b]) >= CONFIDENT
    ]
    return max(lengths, default=None)


def _scale(height: float, whole: Letterbox) -> float:
    floor = max(whole.scale)
    return max(floor, min(STATURE / height, MAX_ENLARGED))


def _between(start: NDArray[np.float64], end: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    return start + (end - start) * share


def _middle(box: FloatArray) -> tuple[float, float]:
    return float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2


def _off(pose: Pose, expected: FloatArray) -> float:
    size, other = size_of(expected), size_of(pose.box)
    distance = math.dist(_middle(pose.box), _middle(expected)) / size
    return max(distance, abs(math.log(other / size)))


def _grown(box: FloatArray) -> FloatArray:
    margin = _ONE_SIDED * size_of(box)
    return box + np.array([-margin, -margin, margin, margin], np.float32)
