"""What the caller may say and the picture may show: hand or arm, and which way the athlete goes; each with how sure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.documents import DetectedDocument
from pipeline.biomechanics.gates import MEASURABLE, Verdict, degraded
from pipeline.biomechanics.scene import Scene
from pipeline.biomechanics.steps import Side

SURE_MAX = 0.95
"""Nothing that a picture shows is certain."""
SURE_MIN = 0.6
"""Below it what depends on the hand is degraded."""
LOOKS_SURE = 0.6
"""Of a direction known from nose and ears alone."""
HAND_UNSURE = degraded(
    "which hand or arm leads is not clear from the picture", "Give it (--handedness right or --handedness left)."
)
UNKNOWN = DetectedDocument(value=None, source="unknown", confidence=0.0)


def detect(scene: Scene, hands: Sequence[tuple[Side, float]]) -> dict[str, DetectedDocument]:
    """`handedness` (left, right: bowling or throwing arm, batting hand) and `direction` (left, right, towards, away).

    `hands`: of each repetition the hand and how clearly it was that one, 0..1.
    """
    return {"handedness": detect_handedness(scene, hands), "direction": detect_direction(scene)}


def detect_handedness(scene: Scene, hands: Sequence[tuple[Side, float]]) -> DetectedDocument:
    """The caller's, or the hand of most repetitions (none where as many say the other).

    confidence = share of the repetitions that agree × their mean clearness × share of the frames that were not
    mirrored, at most 0.95.
    """
    if scene.options.handedness is not None:
        return DetectedDocument(value=scene.options.handedness, source="caller", confidence=1.0)
    right = [sure for hand, sure in hands if hand == "right"]
    left = [sure for hand, sure in hands if hand == "left"]
    if len(right) == len(left):
        return UNKNOWN
    most = max(right, left, key=len)
    confidence = len(most) / len(hands) * float(np.mean(most)) * (1 - scene.motion.sides.mirrored_share)
    value = "right" if most is right else "left"
    return DetectedDocument(value=value, source="estimate", confidence=_rounded(confidence))


def detect_direction(scene: Scene) -> DetectedDocument:
    """Which way the athlete goes or looks in the picture.

    Along the pitch as the view says (towards: the camera stands in front). Else as the caller says; or by travel, as
    sure as it is long: 2 statures and more 0.95; or by nose and ears.
    """
    view = scene.view
    if scene.athletes_left is not None:
        value = "towards" if scene.athletes_left == 1 else "away"
        source = "caller" if view.source == "caller" else "estimate"
        return DetectedDocument(value=value, source=source, confidence=view.confidence)
    if scene.options.direction is not None:
        return DetectedDocument(value=scene.options.direction, source="caller", confidence=1.0)
    if scene.facing == 0:
        return UNKNOWN
    travelled = abs(scene.travel.across)
    confidence = max(LOOKS_SURE, travelled / 2)
    value = "right" if scene.facing == 1 else "left"
    return DetectedDocument(value=value, source="estimate", confidence=_rounded(confidence))


def judge_hand(handedness: DetectedDocument, *, repetitions: int) -> Verdict:
    """Degraded where repetitions were found and the hand in them is not clear."""
    unsure = repetitions > 0 and handedness.source != "caller" and handedness.confidence < SURE_MIN
    return HAND_UNSURE if unsure else MEASURABLE


def _rounded(confidence: float) -> float:
    return round(min(confidence, SURE_MAX), 2)
