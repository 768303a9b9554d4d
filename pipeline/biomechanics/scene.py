"""Everything that a mode's room looks at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from models.documents import Event, Unit, ViewDocument
from models.requests import AnalysisOptions, Mode
from pipeline.biomechanics import errors, gates, kinematics
from pipeline.biomechanics.errors import Array, Series, evaluate
from pipeline.biomechanics.events.contacts import Stretch, fit_contact
from pipeline.biomechanics.gates import Verdict
from pipeline.biomechanics.motion import CUTOFF_HZ, Band, Motion
from pipeline.biomechanics.readings import Spec
from pipeline.biomechanics.signals import allowed_cutoff
from pipeline.biomechanics.steps import Side, Step, near_side
from pipeline.biomechanics.view import SIDE_MAX, Travel, decide_view

TIMED: frozenset[Unit] = frozenset({"s", "per_min", "m_per_s", "pct_height_per_s"})
"""What a wrong clock makes wrong; of a ratio of two speeds it drops out."""
MIRRORED_MAX = 0.05
"""Share of mirrored frames above which left and right are not to be relied on."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scene:
    """One athlete's movement, with what is known about camera and caller."""

    motion: Motion
    mode: Mode
    stage: Literal["quick", "deep"]
    view: ViewDocument
    options: AnalysisOptions
    travel: Travel
    facing: int
    """1: to the picture's right, -1: to the left, 0: not clear."""
    steps: tuple[Step, ...]
    camera_moves: bool
    clock: Verdict | None = None
    """Why the clip's time is not the athlete's, where steps or a jump tell so (`clock.judge_clock`)."""

    @property
    def near(self) -> Side | None:
        """The body's side towards the camera, where the camera looks from the side."""
        return near_side(self.facing) if self.view.value == "side" else None

    @property
    def athletes_left(self) -> int | None:
        """1: the left of one who moves along the pitch is the picture's right; -1: the other way; None: other views."""
        return {"front": 1, "behind": -1}.get(self.view.value or "")

    @property
    def view_doubtful(self) -> bool:
        """Whether a caller's view along the pitch meets a batter or keeper who travels across the picture.

        Either the view is wrong, or this is no shot and no take: nobody leaves the crease sideways so far.
        """
        stays, yaw = self.mode in ("batting", "wicketkeeping"), self.travel.yaw
        return stays and self.athletes_left is not None and yaw is not None and yaw <= SIDE_MAX

    def offset_sys(self, value: float, keypoints_a: int, keypoints_b: int) -> float:
        """`errors.offset_sys` for this camera: along the pitch a bent leg looks short, and the stature with it."""
        along = 0.0 if self.view.value == "side" else errors.STATURE_ALONG_SYS * value
        return errors.combine(errors.offset_sys(value, keypoints_a, keypoints_b), along)

    @property
    def knee_sys(self) -> float:
        """Absolute knee angle around a contact, degrees: the published floor and what the low-pass flattens."""
        return errors.combine(errors.KNEE_SYS, self.knee_camera)

    @property
    def knee_camera(self) -> float:
        """Degrees that the frame rate adds to a knee angle around a contact."""
        cutoff = allowed_cutoff(CUTOFF_HZ["contact"], self.motion.fps)
        return errors.FLATTENED_SYS if cutoff >= CUTOFF_HZ["contact"] else errors.FLATTENED_LOW_SYS

    def scale_sys(self, value: float) -> float:
        """What of `offset_sys` is the body's and the camera's: the scale of a length, % of height."""
        along = 0.0 if self.view.value == "side" else errors.STATURE_ALONG_SYS * value
        return errors.combine(errors.STATURE_SYS * value, along)

    # ---- series that several rooms read ------------------------------------------------------------------------

    def knee(self, side: Side, band: Band = "contact") -> Series:
        """Hip-knee-ankle, degrees, 180 = straight."""
        names = (f"{side}_hip", f"{side}_knee", f"{side}_ankle")
        return evaluate(kinematics.compute_joint_angle, self.motion.points(names, band))

    def hip(self, side: Side, band: Band = "contact") -> Series:
        """Trunk against thigh: mid-shoulders, hip, knee; degrees, 180 = straight."""
        return evaluate(
            kinematics.compute_joint_angle, self.motion.points(("shoulders", f"{side}_hip", f"{side}_knee"), band)
        )

    def elbow(self, side: Side, band: Band = "arm") -> Series:
        """Shoulder-elbow-wrist, degrees, 180 = straight."""
        names = (f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")
        return evaluate(kinematics.compute_joint_angle, self.motion.points(names, band))

    def trunk_tilt(self, band: Band = "posture") -> Series:
        """Mid-hips to mid-shoulders against the vertical, degrees, positive to the picture's right."""
        return evaluate(kinematics.compute_tilt, self.motion.points(("shoulders", "hips"), band))

    def distance(self, a: str, b: str, axis: int, band: Band = "posture") -> Series:
        """a minus b along an axis of the picture (0: to the right, 1: up), % of height."""
        stature = self.motion.stature

        def compute(first: Array, second: Array) -> Array:
            return (first[..., axis] - second[..., axis]) / stature * 100

        return evaluate(compute, self.motion.points((a, b), band))

    def height_above_feet(self, name: str, band: Band = "posture") -> Series:
        """Height of a point above the ground, % of height: above the lower ankle, plus the ankle's own 3.9 %."""
        stature = self.motion.stature

        def compute(point: Array, left: Array, right: Array) -> Array:
            lower = np.fmin(left[..., 1], right[..., 1])
            return (point[..., 1] - lower) / stature * 100 + kinematics.ANKLE_HEIGHT * 100

        series = evaluate(compute, self.motion.points((name, "left_ankle", "right_ankle"), band))
        seen = self.motion.point(name, band).trusted & (
            self.motion.point("left_ankle").trusted | self.motion.point("right_ankle").trusted
        )
        return replace(series, trusted=seen)

    # ---- events and gates --------------------------------------------------------------------------------------

    def event(self, index: int, half_width_frames: float = 1.0, half_width_s: float = 0.0) -> Event:
        """The moment of a frame; its half-width in frames or real seconds, whichever is more."""
        motion = self.motion
        width = max(half_width_frames * motion.frame_s, half_width_s * motion.slowmo)
        return Event(time_s=float(motion.times_s[index]), half_width_s=width)

    def contact(self, side: Side, plant: Stretch) -> Event:
        """When a foot came down, with its half-width."""
        time_s, half_width_s = fit_contact(self.motion, side, plant)
        return Event(time_s=time_s, half_width_s=half_width_s)

    def gate(self, spec: Spec, span: tuple[float, float] | None) -> Verdict:
        """Everything about the recording that decides over a metric, the most fundamental refusal first."""
        if spec.view == "never":
            return gates.judge_view("never", self.view, None)
        if spec.not_built is not None:
            return gates.refused(spec.not_built)
        if self.stage == "quick" and not spec.static:
            return gates.refused("quick pass only: this needs the full frame rate of the deep pass")
        travels = self.mode in ("bowling", "fielding")
        fps = self.motion.fps if span is None else self.motion.fps_near(*span)
        size = self.motion.stature if span is None else self.motion.stature[self.motion.window(*span)]
        view = decide_view(self.view, self.travel) if spec.estimable_view else self.view
        verdicts = [
            gates.judge_view(spec.view, view, self.travel.yaw if travels or spec.estimable_view else None),
            gates.judge_rate(spec.rate, fps),
            gates.judge_size(float(np.median(size)) if len(size) else float("nan"), angle=spec.angle),
        ]
        if self.clock is not None and spec.unit in TIMED:
            verdicts.append(self.clock)
        if not travels and (spec.view != "any" or spec.view_decides) and not spec.estimable_view:
            verdicts.append(gates.judge_estimated_view(self.view))
        if self.view_doubtful and spec.view != "any" and not spec.estimable_view:
            verdicts.append(
                gates.degraded(
                    "the view is in doubt: the athlete travels across the picture", "Check the view (--view)."
                )
            )
        mirrored = self.motion.sides.mirrored_share
        if spec.sided and mirrored > MIRRORED_MAX:
            verdicts.append(
                gates.degraded(
                    f"left and right were exchanged in {100 * mirrored:.0f} % of the frames", "Film from nearer."
                )
            )
        if span is not None and self.motion.has_gap(*span):
            verdicts.append(gates.degraded("frames are missing there", "Film with a constant frame rate."))
        return gates.worst(*verdicts)
