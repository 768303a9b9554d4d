"""Whether the clip's time is the athlete's: steps and jumps show a slow motion that nobody declared."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.biomechanics.gates import Verdict, refused
from pipeline.biomechanics.jumps import find_implausible_fall, find_jumps
from pipeline.biomechanics.motion import Motion
from pipeline.biomechanics.runs import count_steps, judge_run, longest_run
from pipeline.biomechanics.steps import Step

CADENCE_PLAUSIBLE = (50.0, 330.0)
"""Steps a minute: an amble, and a sprinter with a margin."""


def find_implausible_cadence(run: Sequence[Step], slowmo: float) -> float | None:
    """Steps a minute of at least four even steps, where nobody walks or runs like that: the clock is wrong."""
    if len(run) < 4 or judge_run(run):
        return None
    cadence = 60 * float(count_steps(run).sum()) / (run[-1].time_s - run[0].time_s) * slowmo
    return None if CADENCE_PLAUSIBLE[0] <= cadence <= CADENCE_PLAUSIBLE[1] else cadence


def judge_clock(motion: Motion, steps: Sequence[Step], height_m: float | None) -> Verdict | None:
    """Why the clip's time is not the athlete's: by the steps, or by how a jump falls; None where nothing tells so."""
    cadence = find_implausible_cadence(longest_run(steps, motion.slowmo), motion.slowmo)
    fall = find_implausible_fall(find_jumps(motion), height_m)
    if cadence is not None:
        why = f"the steps would come at {cadence:.0f} a minute"
    elif fall is not None:
        why = f"a jump falls as if the clip ran {fall:.1f} times slower than life"
    else:
        return None
    return refused(
        f"{why}, so the clip's time is not the athlete's",
        "Give the factor of the slow motion, 1 where there is none.",
    )
