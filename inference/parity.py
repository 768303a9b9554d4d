"""How far a version's poses lie from those of the version that it was made from: quantising moves keypoints.

Both see whole pictures: the golden photographs, and frames spread evenly over a clip. Distances are shares of the
height of the reference's box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.catalog import ModelSpec
from inference.errors import WeightsRejected
from inference.estimator import Estimator
from inference.golden import photographs
from inference.golden_poses import SAME_PERSON, SURE
from inference.poses import Pose
from inference.tracks import overlap
from inference.video import open_video

FRAMES = 60
"""Of the clip, at most."""

Image = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """What a version is compared with, and on which clip beside the photographs."""

    spec: ModelSpec
    clip: Path


def measure(spec: ModelSpec, reference: Reference, cache_dir: Path, *, threads: int | None = None) -> dict[str, Any]:
    """Figures against the reference, each in its own precision or else in fp32.

    Raises WeightsRejected where both see different keypoints, and what decoding and loading raise.
    """
    if spec.skeleton != reference.spec.skeleton:
        raise WeightsRejected(f"{reference.spec.name}@{reference.spec.version} has other keypoints")
    shown = [photograph.image for photograph in photographs()]
    clip = frames(reference.clip)
    ours, theirs = (_people(one, shown + clip, cache_dir, threads) for one in (spec, reference.spec))
    return {
        "against": f"{reference.spec.name}@{reference.spec.version}",
        "photographs": compare(ours[: len(shown)], theirs[: len(shown)]),
        "clip": compare(ours[len(shown) :], theirs[len(shown) :]),
    }


def compare(ours: Sequence[Sequence[Pose]], theirs: Sequence[Sequence[Pose]]) -> dict[str, float | None]:
    """Of each picture the people of a version and of its reference → how many agree, and how far keypoints lie apart.

    `median_pct_height` and `p95_pct_height` are over keypoints that both see with a confidence of 0.5 or more, in
    percent of the height of the reference's box; None where there is none.
    """
    offs: list[float] = []
    both = 0
    for people, expected in zip(ours, theirs, strict=True):
        for pose, other in _pairs(people, expected):
            both += 1
            sure = np.minimum(pose.confidence, other.confidence) >= SURE
            apart = np.linalg.norm(pose.keypoints - other.keypoints, axis=1)[sure]
            offs.extend((100 * apart / max(float(other.box[3] - other.box[1]), 1.0)).tolist())
    return {
        "pictures": len(ours),
        "people": sum(map(len, ours)),
        "people_of_reference": sum(map(len, theirs)),
        "people_of_both": both,
        "median_pct_height": round(float(np.median(offs)), 3) if offs else None,
        "p95_pct_height": round(float(np.percentile(offs, 95)), 3) if offs else None,
    }


def frames(clip: Path) -> list[Image]:
    """(h, w, 3) RGB, `FRAMES` of a clip or all of a shorter one, evenly spread. Raises what decoding raises."""
    with open_video(clip) as video:
        count = sum(1 for _ in video.pictures())
    chosen = set(np.linspace(0, count - 1, min(FRAMES, count)).round().astype(int).tolist())
    with open_video(clip) as video:
        return [picture.rgb() for place, picture in enumerate(video.pictures()) if place in chosen]


def _people(spec: ModelSpec, pictures: Sequence[Image], cache_dir: Path, threads: int | None) -> list[list[Pose]]:
    estimator = Estimator.load_precise(spec, threads=threads, cache_dir=cache_dir)
    try:
        return [estimator.infer([estimator.prepare(picture)])[0] for picture in pictures]
    finally:
        estimator.close()


def _pairs(people: Sequence[Pose], expected: Sequence[Pose]) -> list[tuple[Pose, Pose]]:
    """Who is whom, by the overlap of their boxes."""
    from scipy.optimize import linear_sum_assignment

    shared = np.array([[overlap(one.box, other.box) for other in expected] for one in people], np.float64)
    rows, columns = linear_sum_assignment(-shared.reshape(len(people), len(expected)))
    return [
        (people[row], expected[column])
        for row, column in zip(rows, columns, strict=True)
        if shared[row, column] >= SAME_PERSON
    ]
