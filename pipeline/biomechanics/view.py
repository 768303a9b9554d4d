"""From where the camera looks, as far as the athlete's own travel tells."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from models.documents import ViewDocument
from models.requests import View
from pipeline.biomechanics.gates import YAW_GOOD
from pipeline.biomechanics.ground import FOCAL_PER_SIDE, GroundLine, find_line
from pipeline.biomechanics.motion import Motion

TRAVEL_MIN = 1.5
"""Statures: less travel does not tell a direction."""
SIDE_MAX, ALONG_MIN = 35.0, 60.0
"""Degrees between the travel and the picture's plane."""


PROJECTION_YAW = (0.0, 20.0, 30.0, 40.0)
PROJECTION_DEG = (0.0, 3.0, 7.0, 12.0)
"""Most that a knee of 120-150° seems to change, at degrees off square."""


def projection_sys(yaw: float | None) -> float:
    """Degrees by which a joint's angle is off in the picture of a camera `yaw` degrees off square; 0 up to 20.

    Up to 20° the published errors of single cameras hold it; from there on the bound for a knee of 120-150°
    (`PROJECTION_DEG`), linear in between, is the error.
    """
    return float(np.interp(yaw, PROJECTION_YAW, PROJECTION_DEG)) if yaw is not None and yaw > YAW_GOOD else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Travel:
    """The athlete's way through the clip."""

    across: float
    """Statures to the picture's right."""
    away: float
    """Statures away from the camera."""
    line: GroundLine | None = None
    """The way on the ground, where it is long enough and runs across the picture."""

    @property
    def far_enough(self) -> bool:
        """Whether it is long enough to tell a direction."""
        return float(np.hypot(self.across, self.away)) >= TRAVEL_MIN

    @property
    def yaw(self) -> float | None:
        """Degrees between the way and the picture's plane, 0..90; None where the way is too short."""
        if self.line is not None:
            return float(np.degrees(abs(self.line.yaw)))
        return float(np.degrees(np.arctan2(abs(self.away), abs(self.across)))) if self.far_enough else None


def compute_travel(motion: Motion, frame_size: tuple[int, int]) -> Travel:
    """Net travel of the hips from the first to the last 0.3 s in which they are seen, statures.

    Places by the pinhole: away = focal length / stature in pixels, with an assumed focal length (`FOCAL_PER_SIDE`), so
    it is good to about a sixth; across = (x − centre) / stature in pixels, which no focal length enters. Nothing seen
    gives 0, 0.
    """
    hips = motion.point("hips").path[:, 0]
    seen = np.flatnonzero(~np.isnan(hips) & ~np.isnan(motion.stature_local))
    if len(seen) < 2:
        return Travel(across=0.0, away=0.0)
    real, size = motion.real_s[seen], motion.stature_local[seen]
    first, last = real <= real[0] + 0.3, real >= real[-1] - 0.3
    focal, centre = FOCAL_PER_SIDE * max(frame_size), frame_size[0] / 2
    places = np.stack(((hips[seen] - centre) / size, focal / size), axis=1)
    across, away = np.median(places[last], axis=0) - np.median(places[first], axis=0)
    travel = Travel(across=float(across), away=float(away))
    if travel.yaw is None or travel.yaw > ALONG_MIN:
        return travel
    return replace(travel, line=find_line(motion, frame_size))


def decide_view(given: ViewDocument, travel: Travel) -> ViewDocument:
    """The caller's view where there is one; else the one that the travel shows; else unknown.

    Only sound where the athlete travels along the pitch (a bowler's run-up, a fielder's approach).
    """
    yaw = travel.yaw
    if given.value is not None or yaw is None:
        return given
    value: View = "other"
    if yaw <= SIDE_MAX:
        value = "side"
    elif yaw >= ALONG_MIN:
        value = "behind" if travel.away > 0 else "front"
    margin = min(abs(yaw - SIDE_MAX), abs(yaw - ALONG_MIN))
    return ViewDocument(value=value, source="estimate", confidence=round(float(np.clip(margin / 30, 0.1, 0.9)), 2))
