"""A pinhole camera, and the pose sequence that a model would make of its pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cricketer.body import Array
from inference.poses import COCO_17, ModelInfo, PoseSequence
from inference.skeletons import HALPE_26

FRAME = (3840, 2160)
MODEL = ModelInfo(name="figure", version="1", sha256="0" * 64, backend="none", precision="exact", runtime="numpy")


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Where it stands. Lengths in % of the athlete's height, angles in degrees."""

    view: str = "side"
    yaw: float = 0.0
    """Off the view's own direction."""
    roll: float = 0.0
    distance: float = 900.0
    height: float = 80.0
    """Of the lens above the ground."""
    focal: float = 0.9
    """Focal length / longer side of the picture."""
    target: tuple[float, float] = (0.0, 0.0)
    """x, y that it looks at."""

    def project(self, joints: Array) -> tuple[Array, Array]:
        """(T, K, 3) → pixels (T, K, 2), y downwards, and the stature in pixels at mid-hips (T,)."""
        c, s = np.cos(np.radians(self.yaw)), np.sin(np.radians(self.yaw))
        ahead = np.array({"side": (s, c, 0.0), "behind": (c, s, 0.0), "front": (-c, -s, 0.0)}[self.view])
        right = np.array([ahead[1], -ahead[0], 0.0])
        place = np.array([*self.target, self.height]) - self.distance * ahead
        from_lens = joints - place
        depth = from_lens @ ahead
        assert np.all(depth > 50), "the athlete runs into the camera"
        focal = self.focal * FRAME[0]
        picture = focal * np.stack((from_lens @ right, -from_lens[..., 2]), axis=-1) / depth[..., None]
        c, s = np.cos(np.radians(self.roll)), np.sin(np.radians(self.roll))
        picture = picture @ np.array([[c, s], [-s, c]]) + np.array(FRAME) / 2
        return picture, 100 * focal / depth[:, [11, 12]].mean(axis=1)


def sequence(points: Array, times: Array, confidence: Array | None = None) -> PoseSequence:
    """Keypoints (T, 17 or 26, 2) and their confidence (0.9 where None) as the product gets them."""
    sure = np.full(points.shape[:2], 0.9) if confidence is None else confidence
    seen = ~np.all(np.isnan(points[..., 0]), axis=1)
    boxes = np.full((len(points), 4), np.nan)
    boxes[seen] = np.concatenate((np.nanmin(points[seen], axis=1) - 5, np.nanmax(points[seen], axis=1) + 5), axis=1)
    sure = np.where(np.isnan(points[..., 0]), np.nan, sure)
    return PoseSequence(
        keypoints=points.astype(np.float32), confidence=sure.astype(np.float32),
        boxes=boxes.astype(np.float32), timestamps_s=times, frame_indices=np.arange(len(times)),
        skeleton=COCO_17 if points.shape[1] == 17 else HALPE_26,
        frame_size=FRAME, model=MODEL,
    )  # fmt: skip


def random_camera(
    rng: np.random.Generator, view: str, centre: tuple[float, float], approach: float, yaw_max: float
) -> Camera:
    """As a careful parent films: the whole action in the picture, the phone not quite level.

    From the side it looks at the action's middle: of who runs up, `approach` before the centre.
    """
    focal = rng.uniform(0.75, 1.1)
    pixels = rng.uniform(330, 460)
    target = (centre[0] - approach, centre[1]) if view == "side" else centre
    away = 100 * focal * FRAME[0] / pixels
    if view == "behind":
        away = max(away, centre[0] + 300.0)  # the run-up begins in front of the lens
    return Camera(
        view=view, yaw=rng.uniform(-yaw_max, yaw_max), roll=rng.uniform(-3, 3), height=rng.uniform(60, 100),
        distance=away, focal=focal, target=target,
    )  # fmt: skip
