"""One followed person as a comparison sees it: confident joints in % of stature, sides repaired as the product does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.poses import PoseSequence, Skeleton
from inference.tracks import CONFIDENT
from pipeline.biomechanics import kinematics
from pipeline.biomechanics.sides import BODY, columns, repair_sides

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Body:
    """One person's joints over T frames, in % of stature; NaN where not confident."""

    path: Array
    """(T, K, 2) with mirrored bodies and swapped limbs exchanged back."""
    skeleton: Skeleton
    seen: Mask
    """(T,)"""
    mirrored: int
    """Frames whose whole body had left and right exchanged."""
    swapped: int
    """Frames with one leg or arm exchanged."""
    merged: int
    """Frames with both legs drawn on one."""

    def sides(self) -> dict[str, int]:
        """Frames seen, frames whose whole body or one limb was mirrored, and frames with both legs drawn on one."""
        return {
            "seen": int(self.seen.sum()),
            "mirrored": self.mirrored,
            "swapped_limbs": self.swapped,
            "merged": self.merged,
        }

    def noise_beside(self, other: Body) -> tuple[Array, Array]:
        """White noise of both from the shoulders to the ankles, each (T-3, 12) in % of stature; NaN but for the slower
        half of what both see. Both have the same skeleton.

        The third difference of white noise is √20 times as large as the noise itself, that of a movement almost
        nothing. The speed that counts as slow is that of the mean of the two, so that neither chooses its best frames.
        """
        joints = body_joints(self.skeleton)
        mine, theirs = (
            np.linalg.norm(np.diff(body.path[:, joints], 3, axis=0), axis=-1) / np.sqrt(20) for body in (self, other)
        )
        both = ((self.path + other.path) / 2)[:, joints]
        speed = np.linalg.norm(both[3:] - both[:-3], axis=-1)
        known = np.isfinite(mine + theirs)
        slow = known & (speed <= np.median(speed[known])) if known.any() else known
        return np.where(slow, mine, np.nan), np.where(slow, theirs, np.nan)


def body_joints(skeleton: Skeleton) -> list[int]:
    """Columns of shoulders, elbows, wrists, hips, knees and ankles, left before right."""
    return [joint for pair in columns(skeleton, BODY) for joint in pair]


def body_of(poses: PoseSequence) -> Body:
    """Mask what is doubtful, then repair left and right as the product does."""
    raw = np.where((poses.confidence >= CONFIDENT)[..., None], poses.keypoints, np.nan).astype(np.float64)
    names = poses.skeleton.keypoint_names
    chain = kinematics.compute_eye_to_ankle({name: raw[:, k] for k, name in enumerate(names)})
    stature = kinematics.compute_size(chain, poses.timestamps_s, 0.5)
    repaired, report = repair_sides(raw, poses.timestamps_s, stature, poses.skeleton)
    frames = int(np.sum(~np.all(np.isnan(raw[..., 0]), axis=1)))
    return Body(
        path=100 * repaired / stature[:, None, None],
        skeleton=poses.skeleton,
        seen=poses.seen,
        mirrored=round(report.mirrored_share * frames),
        swapped=round(report.swapped_share * frames),
        merged=int(report.merged.sum()),
    )
