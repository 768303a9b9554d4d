"""Poses as a .trc of marker paths, as OpenSim and Pose2Sim read it.

Laid out as Sports2D's `make_trc_with_trc_data` does. Three things differ: its pixels have y down and are labelled
metres, its metres start at the floor line that it estimates, and it filters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference.poses import PoseSequence, Skeleton
from inference.skeletons import HALPE_26
from inference.tracks import CONFIDENT

_LEG, _FOOT, _ARM = ("Hip", "Knee", "Ankle"), ("BigToe", "SmallToe", "Heel"), ("Shoulder", "Elbow", "Wrist")
MARKERS = (
    *(f"R{name}" for name in _LEG), *(f"L{name}" for name in _LEG), "Nose",
    *(f"R{name}" for name in _ARM), *(f"L{name}" for name in _ARM), "Hip", "Neck",
)  # fmt: skip
"""Sports2D's markers of COCO-17, in its order: no eyes, no ears, and two midpoints at the end."""
MARKERS_WITH_FEET = (
    "Hip", *(f"R{name}" for name in (*_LEG, *_FOOT)), *(f"L{name}" for name in (*_LEG, *_FOOT)), "Neck", "Head", "Nose",
    *(f"R{name}" for name in _ARM), *(f"L{name}" for name in _ARM),
)  # fmt: skip
"""Sports2D's markers of HALPE-26, in its order: the model's own hip and neck, and still no eyes and no ears."""

Array = NDArray[np.float64]


def trc_text(poses: PoseSequence, *, slowmo_factor: float, metres_per_pixel: float | None, name: str) -> str:
    """The file's text: tab separated, X to the picture's right, Y up, Z 0; X and Y are empty where not seen.

    Metres where `metres_per_pixel` is known, else pixels; `Units` says which. The origin is the lower left corner of
    the picture. Times are the athlete's own, slow motion undone, as Sports2D's are. Paths are as the model gave them,
    not filtered; a keypoint below a confidence of 0.3 counts as not seen. Frame# is the index among decoded frames.
    """
    times = poses.timestamps_s / slowmo_factor
    rate = _rate(times)
    metres = metres_per_pixel is not None
    markers = markers_of(poses.skeleton)
    places = _places(poses, markers) * (metres_per_pixel or 1.0)
    first, count = (int(poses.frame_indices[0]) if len(times) else 0), len(times)
    facts = (rate, rate, count, len(markers), "m" if metres else "px", rate, first, count)
    header = [
        f"PathFileType\t4\t(X/Y/Z)\t{name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        "\t".join(str(fact) for fact in facts),
        "Frame#\tTime\t" + "\t\t\t".join(markers) + "\t\t\t",
        "\t\t" + "\t".join(f"X{place}\tY{place}\tZ{place}" for place in range(1, len(markers) + 1)),
    ]
    digits = 5 if metres else 3
    rows = [
        "\t".join([str(frame), f"{time:.6f}", *(_marker(x, y, digits) for x, y in row)])
        for frame, time, row in zip(poses.frame_indices.tolist(), times.tolist(), places.tolist(), strict=True)
    ]
    return "\n".join([*header, *rows]) + "\n"


def markers_of(skeleton: Skeleton) -> tuple[str, ...]:
    """Which markers its file has, in Sports2D's order."""
    return MARKERS_WITH_FEET if skeleton == HALPE_26 else MARKERS


def _places(poses: PoseSequence, markers: Sequence[str]) -> Array:
    """(T, markers, 2) pixels from the lower left corner, y up; NaN where not seen."""
    paths = poses.keypoints.astype(np.float64)
    paths[~(poses.confidence >= CONFIDENT)] = np.nan
    paths[..., 1] = poses.frame_size[1] - paths[..., 1]

    def path(marker: str) -> Array:
        name = _name(marker)
        if not poses.skeleton.has(name):  # midpoints, which COCO-17 has no keypoint for
            left, right = poses.skeleton.sides({"hip": "hip", "neck": "shoulder"}[name])
            return np.asarray((paths[:, left] + paths[:, right]) / 2)
        return np.asarray(paths[:, poses.skeleton.index(name)])

    return np.stack([path(marker) for marker in markers], axis=1)


def _name(marker: str) -> str:
    """`RBigToe` → `right_big_toe`, `Neck` → `neck`."""
    side, joint = {"L": ("left_", marker[1:]), "R": ("right_", marker[1:])}.get(marker[0], ("", marker))
    return side + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", joint).lower()


def _marker(x: float, y: float, digits: int) -> str:
    """Z is there even where nothing was seen: OpenSim 4 drops a field that is empty at the end of a line, and then
    misses a column of the whole file."""
    seen = "\t" if np.isnan(x) or np.isnan(y) else f"{x:.{digits}f}\t{y:.{digits}f}"
    return f"{seen}\t{0:.{digits}f}"


def _rate(times: Array) -> float:
    """Real frames a second by the median interval; 0 for a single frame, which has no rate."""
    return round(1 / float(np.median(np.diff(times))), 4) if len(times) > 1 else 0.0
