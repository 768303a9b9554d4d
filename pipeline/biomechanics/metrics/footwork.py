"""The keeper's sideways steps between rise and take: counted, never graded."""

from __future__ import annotations

from math import erf

import numpy as np

from models.documents import Event
from pipeline.biomechanics.events.footwork import SIDE_STEP, SideStep, count_shuffles, find_side_moves
from pipeline.biomechanics.events.wicketkeeping import TAKE_WITHIN_S, Crouch
from pipeline.biomechanics.gates import Verdict, refused
from pipeline.biomechanics.metrics import common
from pipeline.biomechanics.readings import MIN_COVERED, Outcome, Reading, evidence_over
from pipeline.biomechanics.scene import Scene

COUNT_SYS = 0.5
"""What one person calls a step and the next an adjustment."""
AFTER_RISE_MIN_S = 0.5
NO_RISE = refused("no rise out of this crouch was found", "Keep filming until after the ball.")
CUT_SHORT = refused("the clip ends less than half a second after the rise", "Keep filming until after the ball.")
FEET_UNSEEN = refused(
    "the feet were not seen throughout after the rise", "Keep the feet in the picture and unobstructed."
)


def find_footwork(scene: Scene, crouch: Crouch) -> tuple[SideStep, ...] | Verdict:
    """Every sideways move of a foot from the rise to the take (else to 1.5 s after the rise); or why it was not seen.

    Both ankles must be seen in 60 % of these frames.
    """
    rise, take = crouch.events.get("rise"), crouch.events.get("take")
    if rise is None:
        return NO_RISE
    if scene.camera_moves:
        return common.CAMERA_MOVES
    motion = scene.motion
    end_s = take.time_s + take.half_width_s if take else rise.time_s + TAKE_WITHIN_S * motion.slowmo
    last_s = float(motion.times_s[-1])
    if take is None and last_s < rise.time_s + AFTER_RISE_MIN_S * motion.slowmo:
        return CUT_SHORT
    window = motion.window(rise.time_s, min(end_s, last_s))
    if np.mean(motion.point("feet", "contact").trusted[window]) < MIN_COVERED:
        return FEET_UNSEEN
    return find_side_moves(motion, rise.time_s - rise.half_width_s, end_s)


def compute_footwork(scene: Scene, crouch: Crouch, moves: tuple[SideStep, ...] | Verdict) -> dict[str, Outcome]:
    """Sideways steps and shuffles after the rise, counts, 0..10; front or behind.

    Formula: moves of at least 6 % of height; pairs of them, see `count_shuffles`. rand: every move counts with the
    probability p that its true length is a step's, √Σ p(1 - p). No rise, feet not seen or a moving camera: none.
    sys: half a step (and half a shuffle).
    """
    if isinstance(moves, Verdict):
        return {"lateral_steps": moves, "shuffles": moves}
    steps = tuple(move for move in moves if move.counts)
    chance = np.array([(1 + erf((abs(m.shift) - SIDE_STEP) / m.sigma / np.sqrt(2))) / 2 for m in moves])
    rand = float(np.sqrt(np.sum(chance * (1 - chance))))
    motion, rise = scene.motion, crouch.events["rise"]
    apart = motion.point("left_ankle", "contact").path[:, 0] - motion.point("right_ankle", "contact").path[:, 0]
    at_rise = apart[motion.at(rise.time_s)]
    order = 0 if np.isnan(at_rise) else int(np.sign(at_rise))
    take = crouch.events.get("take")
    end_s = take.time_s if take else min(float(motion.times_s[-1]), rise.time_s + TAKE_WITHIN_S * motion.slowmo)
    shown = evidence_over(motion, rise.time_s, end_s, *(step.index for step in steps))
    return {
        "lateral_steps": Reading(value=float(len(steps)), sys=COUNT_SYS, rand=rand, evidence=shown),
        "shuffles": Reading(value=float(count_shuffles(steps, order)), sys=COUNT_SYS, rand=rand, evidence=shown),
    }


def to_events(scene: Scene, moves: tuple[SideStep, ...] | Verdict) -> tuple[Event, ...]:
    """The sideways steps as moments of the repetition: none where the camera does not look along the pitch."""
    if isinstance(moves, Verdict) or scene.athletes_left is None:
        return ()
    return tuple(scene.event(move.index, 1.5) for move in moves if move.counts)
