"""Where the body's centre is over the feet: from the segments' masses, since a picture shows no force."""

from __future__ import annotations

import numpy as np

from pipeline.biomechanics import errors, kinematics
from pipeline.biomechanics.errors import Array, Series
from pipeline.biomechanics.events.batting import Shot
from pipeline.biomechanics.gates import Verdict, refused, worst
from pipeline.biomechanics.readings import Outcome, Reading, evidence_over, read_over
from pipeline.biomechanics.scene import Scene

BASE_MIN = 15.0
"""% of height between the feet: over less a share of the way says nothing."""
WINDOW_S = 0.1
CENTRE_SYS = 1.2
"""% of height: eleven keypoints at 2 % each, weighted as the masses weigh them (√Σ w² · 2 % is 0.9), and the far arm
taken for the near one."""
NO_STANCE = refused("no waiting stance was found before this shot", "Start filming two seconds before the ball.")
NO_FRONT = refused("which foot is the front one is not clear", "Give the batter's hand (--handedness).")
NO_NEAR = refused("which arm is nearer to the camera is not clear", "Film square to the pitch and give that view.")


def compute_weight_transfer(scene: Scene, shot: Shot) -> Outcome:
    """Body's centre at impact minus at stance, as a share of the way from back to front ankle; -1..1; side.

    Formula: (centre − back)ₓ / (front − back)ₓ, median over impact ± 0.1 s minus median over the stance; the centre is
    Σ mass × segment's centre (Winter 2009), head at the middle of the head's keypoints, both arms as the near one.
    Feet less than 15 % of height apart at either time: none. sys: 1.2 % of height for the centre and 2 % for each
    ankle, over the width of the base, at both times. It is a place, not a load: who accelerates leans beyond it.
    """
    if shot.stance is None:
        return NO_STANCE
    if shot.front is None:
        return NO_FRONT
    if scene.near is None:
        return NO_NEAR
    impact = shot.events["impact"].time_s
    half = max(WINDOW_S * scene.motion.slowmo, scene.motion.frame_s)
    share = compute_share(scene, shot.front)
    before = _read(scene, share, shot.stance, shot.front, "at stance")
    after = _read(scene, share, (impact - half, impact + half), shot.front, "at impact")
    if isinstance(before, Verdict) or isinstance(after, Verdict):
        return before if isinstance(before, Verdict) else after
    return Reading(
        value=float(after.value) - float(before.value), sys=errors.combine(before.sys, after.sys),
        rand=errors.combine(before.rand, after.rand), verdict=worst(before.verdict, after.verdict),
        evidence=evidence_over(scene.motion, shot.stance[0], impact + half, scene.motion.at(impact),
                               scene.motion.at(shot.stance[1])),
    )  # fmt: skip


def compute_share(scene: Scene, front: str) -> Series:
    """Place of the centre of mass between the ankles over time, 0 over the back one, 1 over the front one.

    NaN where the ankles are within 15 % of height of each other along the picture.
    """
    back, near = ("right" if front == "left" else "left"), scene.near
    names = ("head", "shoulders", "hips", f"{near}_shoulder", f"{near}_elbow", f"{near}_wrist", "left_hip", "left_knee",
             "left_ankle", "right_hip", "right_knee", "right_ankle")  # fmt: skip
    limit = BASE_MIN / 100 * scene.motion.stature

    def compute(*paths: Array) -> Array:
        at = dict(zip(names, (path[..., 0] for path in paths), strict=True))
        centre = kinematics.compute_centre(at, str(near))
        base = at[f"{front}_ankle"] - at[f"{back}_ankle"]
        base = np.where(np.abs(base) < limit, np.nan, base)
        return np.asarray((centre - at[f"{back}_ankle"]) / base)

    return errors.evaluate(compute, scene.motion.points(names, "contact"))


def _read(scene: Scene, share: Series, span: tuple[float, float], front: str, what: str) -> Outcome:
    motion, back = scene.motion, "right" if front == "left" else "left"
    width = np.abs(scene.distance(f"{front}_ankle", f"{back}_ankle", 0, "contact").values[motion.window(*span)])
    width = width[~np.isnan(width)]
    if len(width) and np.median(width) < BASE_MIN:
        return refused(f"the feet were too close together {what}")
    base = float(np.median(width)) if len(width) else np.nan
    place = errors.combine(CENTRE_SYS, errors.POSITION_SYS, errors.POSITION_SYS)
    return read_over(motion, share, span, place / base, what)
