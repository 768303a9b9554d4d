"""What camera and bystanders take from every reading, whatever metric it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeline.biomechanics import errors
from pipeline.biomechanics.gates import MEASURABLE, Verdict, degraded, worst
from pipeline.biomechanics.readings import ModeOutcome, Outcome, Reading, Spec
from pipeline.biomechanics.scene import Scene
from pipeline.biomechanics.view import projection_sys

OVERLAP_MAX = 0.3
"""Share of the athlete's box behind or in front of somebody else's."""
OVERLAP_FRAMES = 0.1
"""Share of the frames that a reading rests on; of a moment, any."""
OVERLAPPED = degraded(
    "somebody else overlaps the athlete there, and keypoints may be theirs", "Film with nobody between or behind."
)


def apply_doubts(scene: Scene, specs: Sequence[Spec], outcome: ModeOutcome, hand: Verdict) -> ModeOutcome:
    """The outcome with the projection's error in the angles of an oblique camera, and degraded where people overlap.

    `hand`: what becomes of that which depends on the leading hand or arm.
    """
    by_id = {spec.id: spec for spec in specs}

    def doubt(outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
        return {name: _doubt(scene, by_id.get(name), one, hand) for name, one in outcomes.items()}

    return replace(
        outcome,
        found=tuple(replace(found, outcomes=doubt(found.outcomes)) for found in outcome.found),
        whole_clip=doubt(outcome.whole_clip),
    )


def _doubt(scene: Scene, spec: Spec | None, outcome: Outcome, hand: Verdict) -> Outcome:
    if spec is None or isinstance(outcome, Verdict):
        return outcome
    sys, modelled = outcome.sys, outcome.modelled
    if spec.unit == "deg" and spec.view == "side":
        sys = errors.combine(sys, projection_sys(scene.travel.yaw))
        modelled = None if modelled is None else errors.combine(modelled, projection_sys(scene.travel.yaw))
    doubts = [judge_overlap(scene, outcome), hand if spec.sided else MEASURABLE]
    return replace(outcome, sys=sys, modelled=modelled, verdict=worst(outcome.verdict, *doubts))


def judge_overlap(scene: Scene, reading: Reading) -> Verdict:
    """Degraded where another person's box covers more than 30 % of the athlete's in a tenth of the reading's frames."""
    motion, shown = scene.motion, reading.evidence
    spans = [(span.start_s, span.end_s) for span in shown.spans]
    spans = spans or [(time_s - motion.frame_s, time_s + motion.frame_s) for time_s in shown.times_s]
    frames = np.unique(np.concatenate([motion.window(*span) for span in spans])) if spans else np.empty(0, np.intp)
    if not len(frames):
        return MEASURABLE
    covered = motion.overlap[frames.astype(np.intp)] > OVERLAP_MAX
    enough = np.mean(covered) >= OVERLAP_FRAMES if shown.spans else covered.any()
    return OVERLAPPED if enough else MEASURABLE
