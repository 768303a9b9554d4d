"""Poses as a .trc of marker paths, as OpenSim and Pose2Sim read it.

Laid out as Sports2D's `make_trc_with_trc_data` does. Three things differ: its pixels have y down and are labelled
metres, its metres start at the floor line that it estimates, and it filters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.poses import PoseSequence
from inference.tracks import CONFIDENT

_SIDED = ("Hip", "Knee", "Ankle", "Shoulder", "Elbow", "Wrist")
MARKERS = (
    *(f"R{name}" for name in _SIDED[:3]), *(f"L{name}" for name in _SIDED[:3]), "Nose",
    *(f"R{name}" for name in _SIDED[3:]), *(f"L{name}" for name in _SIDED[3:]), "Hip", "Neck",
)  # fmt: skip
"""Sports2D's markers of COCO-17, in its order: no eyes, no ears, and two midpoints at the end."""

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
    places = _places(poses) * (metres_per_pixel or 1.0)
    first, count = (int(poses.frame_indices[0]) if len(times) else 0), len(times)
    facts = (rate, rate, count, len(MARKERS), "m" if metres else "px", rate, first, count)
    header = [
        f"PathFileType\t4\t(X/Y/Z)\t{name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        "\t".join(str(fact) for fact in facts),
        "Frame#\tTime\t" + "\t\t\t".join(MARKERS) + "\t\t\t",
        "\t\t" + "\t".join(f"X{place}\tY{place}\tZ{place}" for place in range(1, len(MARKERS) + 1)),
    ]
    digits = 5 if metres else 3
    rows = [
        "\t".join([str(frame), f"{time:.6f}", *(_marker(x, y, digits) for x, y in row)])
        for frame, time, row in zip(poses.frame_indices.tolist(), times.tolist(), places.tolist(), strict=True)
    ]
    return "\n".join([*header, *rows]) + "\n"


def _places(poses: PoseSequence) -> Array:
    """(T, markers, 2) pixels from the lower left corner, y up; NaN where not seen."""
    paths = poses.keypoints.astype(np.float64)
    paths[~(poses.confidence >= CONFIDENT)] = np.nan
    paths[..., 1] = poses.frame_size[1] - paths[..., 1]

    def path(marker: str) -> Array:
        if marker == "Nose":
            return paths[:, poses.skeleton.index("nose")]
        if marker in {"Hip", "Neck"}:
            joint = {"Hip": "hip", "Neck": "shoulder"}[marker]
            sides = [paths[:, poses.skeleton.index(f"{side}_{joint}")] for side in ("left", "right")]
            return (sides[0] + sides[1]) / 2
        side = {"L": "left", "R": "right"}[marker[0]]
        return paths[:, poses.skeleton.index(f"{side}_{marker[1:].lower()}")]

    return np.stack([path(marker) for marker in MARKERS], axis=1)


def _marker(x: float, y: float, digits: int) -> str:
    """Z is there even where nothing was seen: OpenSim 4 drops a field that is empty at the end of a line, and then
    misses a column of the whole file."""
    seen = "\t" if np.isnan(x) or np.isnan(y) else f"{x:.{digits}f}\t{y:.{digits}f}"
    return f"{seen}\t{0:.{digits}f}"


def _rate(times: Array) -> float:
    """Real frames a second by the median interval; 0 for a single frame, which has no rate."""
    return round(1 / float(np.median(np.diff(times))), 4) if len(times) > 1 else 0.0
