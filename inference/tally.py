"""What became of the frames of a clip, and the rhythm of their times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.poses import ExtractionReceipt

_GAP = 1.5
"""Median intervals between two frames beyond which there is a gap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """Where the decoded frames went so far: `decoded == wanted + sum(skipped)`."""

    decoded: int
    wanted: int
    skipped: Mapping[str, int]
    broken: int
    """Packets that yielded no picture, and pictures that the decoder marked as damaged."""
    truncated: bool
    rotation: int
    """Degrees clockwise by which decoded pictures were turned."""
    fps_measured: float
    """1 / median interval of the timestamps; NaN below two frames."""
    gaps: tuple[tuple[float, float], ...]

    def receipt(self, inferred: int, redone: int = 0) -> ExtractionReceipt:
        """The receipt of an extraction that inferred so many frames, and `redone` times one of them once more.

        Raises ValueError where a frame is missing.
        """
        return ExtractionReceipt(
            decoded=self.decoded,
            inferred=inferred,
            redone=redone,
            skipped=self.skipped,
            broken=self.broken,
            truncated=self.truncated,
            rotation=self.rotation,
            fps_measured=self.fps_measured,
            gaps=self.gaps,
        )


def rhythm(times: NDArray[np.float64]) -> tuple[float, tuple[tuple[float, float], ...]]:
    """(1 / median interval, NaN below two frames; gaps as (start_s, end_s)) of the times of all frames of a clip."""
    intervals = np.diff(times)
    median = float(np.median(intervals)) if intervals.size else float("nan")
    gaps = np.flatnonzero(intervals > _GAP * median)
    return 1 / median, tuple(zip(times[gaps].tolist(), times[gaps + 1].tolist(), strict=True))
