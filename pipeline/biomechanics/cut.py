"""An action that the clip, or the edge of the picture, cuts off: said in words of what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from models.requests import Mode
from pipeline.biomechanics.errors import Mask
from pipeline.biomechanics.events import batting, bowling, fielding, wicketkeeping
from pipeline.biomechanics.gates import refused
from pipeline.biomechanics.metrics import bowling as bowling_metrics
from pipeline.biomechanics.metrics import fielding as fielding_metrics
from pipeline.biomechanics.metrics.batting import NO_PLANT
from pipeline.biomechanics.metrics.footwork import NO_RISE
from pipeline.biomechanics.metrics.stride import NO_BACK_CONTACT
from pipeline.biomechanics.metrics.weight import NO_STANCE
from pipeline.biomechanics.readings import Found, ModeOutcome, Outcome, Reading
from pipeline.biomechanics.scene import Scene

EDGE_S = 0.15
"""Real seconds at the beginning and the end of what is seen in which an action under way is one cut off."""
LASTS = 0.5
"""More than which share of these frames must show a crouch; a swing is over in three, and one may be the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What belongs to a repetition around its key event, real seconds, and what is missing without it."""

    event: str
    before_s: float
    before: str
    after_s: float
    after: str


NEEDS: Mapping[Mode, Needs] = MappingProxyType({
    "bowling": Needs(event="release", before_s=0.7, before="the last step and the foot contacts", after_s=0.3,
                     after="the follow-through"),
    "batting": Needs(event="impact", before_s=1.4, before="the stance and the backlift", after_s=0.5,
                     after="the finish"),
    "wicketkeeping": Needs(event="crouch", before_s=0.0, before="", after_s=1.5, after="the rise and the take"),
    "fielding": Needs(event="pick_up", before_s=1.0, before="the approach", after_s=0.5, after="the throw"),
})  # fmt: skip
ABSENT_BEFORE = frozenset(verdict.reason for verdict in (
    bowling_metrics.NO_CONTACT, NO_BACK_CONTACT, bowling_metrics.NO_RUN_UP, NO_STANCE, NO_PLANT,
    fielding_metrics.NO_APPROACH, fielding_metrics.NO_START,
))  # fmt: skip
ABSENT_AFTER = frozenset((NO_RISE.reason, fielding_metrics.NO_THROW.reason))


def find_cuts(scene: Scene, found: Found) -> tuple[str | None, str | None]:
    """What a repetition lacks before and after its key event, because the athlete is not in the clip then; or None."""
    needs, motion = NEEDS[scene.mode], scene.motion
    seen = motion.times_s[motion.well_seen]
    event = found.events.get(needs.event)
    if event is None or not len(seen):
        return None, None
    start = event.time_s - event.half_width_s if scene.mode == "wicketkeeping" else event.time_s
    end = event.time_s + event.half_width_s if scene.mode == "wicketkeeping" else event.time_s
    before, after = (start - seen[0]) / motion.slowmo, (seen[-1] - end) / motion.slowmo
    name = needs.event.replace("_", " ")
    late = f"the athlete is seen only from {max(before, 0):.1f} s before the {name}: {needs.before} may be missing"
    early = f"the athlete is seen only until {max(after, 0):.1f} s after the {name}: {needs.after} may be missing"
    whole = scene.mode == "wicketkeeping" and "take" in found.events
    return (late if before < needs.before_s else None, early if after < needs.after_s and not whole else None)


def explain_cuts(scene: Scene, outcome: ModeOutcome) -> ModeOutcome:
    """The outcome in which what was not found because the clip is cut there says so."""
    return replace(outcome, found=tuple(_explain(scene, found) for found in outcome.found))


def _explain(scene: Scene, found: Found) -> Found:
    before, after = find_cuts(scene, found)

    def explain(one: Outcome) -> Outcome:
        if isinstance(one, Reading):
            return one
        if before and one.reason in ABSENT_BEFORE:
            return refused(f"{one.reason}; {before}", "Start filming earlier.")
        if after and one.reason in ABSENT_AFTER:
            return refused(f"{one.reason}; {after}", "Keep filming longer.")
        return one

    return replace(found, outcomes={name: explain(one) for name, one in found.outcomes.items()})


def describe_cuts(scene: Scene, found: Sequence[Found]) -> tuple[str, ...]:
    """A sentence for each repetition that is cut, or, where none was found, for an action under way at an edge."""
    if found:
        texts = [text for one in found for text in find_cuts(scene, one) if text]
        return tuple(dict.fromkeys(text[0].upper() + text[1:] + "." for text in texts))
    active, what = _activity(scene)
    seen = np.flatnonzero(scene.motion.well_seen)
    if not len(seen):
        return ()
    real = scene.motion.real_s
    least = LASTS if scene.mode == "wicketkeeping" else 0.0
    edges = (("begins", real <= real[seen[0]] + EDGE_S), ("ends", real >= real[seen[-1]] - EDGE_S))
    return tuple(
        f"The athlete's part of the clip {verb} {what}: a whole action was not seen."
        for verb, near in edges
        if np.mean(active[near]) > least
    )


def _activity(scene: Scene) -> tuple[Mask, str]:
    """(T,) whether the mode's action seems under way, and the words for it."""
    motion = scene.motion
    if scene.mode == "bowling":
        over = [scene.distance(f"{side}_wrist", "head", 1, "arm").values for side in ("left", "right")]
        hips = motion.velocity(motion.point("hips", "contact"))
        speeds = [motion.velocity(motion.point(f"{side}_wrist", "arm")) - hips for side in ("left", "right")]
        fast = [np.hypot(*speed.T) > bowling.ARM_SPEED for speed in speeds]
        up = (over[0] > 0) & fast[0] | (over[1] > 0) & fast[1]
        return np.asarray(up), "with an arm coming over"
    if scene.mode == "batting":
        grip = batting.choose_hands(scene)
        hands = motion.velocity(motion.point(grip, "contact")) - motion.velocity(motion.point("hips", "contact"))
        enough = batting.HAND_SPEED if scene.athletes_left is None else batting.HAND_SPEED_ALONG
        return np.hypot(*hands.T) > enough, "with the hands swinging"
    if scene.mode == "wicketkeeping":
        return scene.height_above_feet("hips").values < wicketkeeping.CROUCHED, "in a crouch"
    low = np.fmin(*(scene.height_above_feet(f"{side}_wrist").values for side in ("left", "right")))
    return low < fielding.HAND_LOW, "with a hand at the ground"
