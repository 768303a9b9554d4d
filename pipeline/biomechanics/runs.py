"""Steps in a row: which of them are, how many were missed between, whether they are a walk or a run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from pipeline.biomechanics.errors import Array, Mask
from pipeline.biomechanics.gates import Verdict, refused
from pipeline.biomechanics.steps import Step

STEP_PAUSE_S = 1.5
UNEVEN_MAX = 2.5
"""Longest interval between steps / shortest: a sprinter's start and two frames of doubt stay below it."""
UNEVEN_FEW = 1.6
"""The same of two intervals alone: where one of them holds two missed steps, nothing beside them shows it."""
MISSED_FROM = 1.5
"""Usual intervals between the steps of two feet; longer from a foot to itself, and the other's step was missed."""
UNEVEN = refused(
    "the feet come forward at uneven times: this is no steady walk or run",
    "Film from the side, from well before the movement begins.",
)
UNCOUNTED = refused(
    "so many steps were missed that it is not clear how many",
    "Film from the side, the whole body in frame, from well before the movement begins.",
)


def longest_run(steps: Sequence[Step], slowmo: float) -> tuple[Step, ...]:
    """The longest sequence of steps without a pause over 1.5 real seconds; the first of equals."""
    runs: list[list[Step]] = []
    for step in steps:
        if runs and step.time_s - runs[-1][-1].time_s <= STEP_PAUSE_S * slowmo:
            runs[-1].append(step)
        else:
            runs.append([step])
    longest: list[Step] = []
    for run in runs:
        longest = run if len(run) > len(longest) else longest
    return tuple(longest)


def count_steps(run: Sequence[Step]) -> Array:
    """(N-1,) steps from each to the next: 2 from a foot to the same foot, for the other's step was missed.

    Unless no more time went by than from one foot to the other: then the model took one foot for the other.
    """
    if len(run) < 2:
        return np.ones(0)
    intervals = np.diff([step.time_s for step in run])
    same = np.array([one.side == two.side for one, two in pairwise(run)])
    usual = float(np.median(intervals[~same])) if not same.all() else 0.0
    return np.where(same & (intervals > MISSED_FROM * usual), 2.0, 1.0)


def number_steps(run: Sequence[Step]) -> Array:
    """(N,) the number of each step from 0, missed ones counted."""
    return np.concatenate(([0.0], np.cumsum(count_steps(run))))[: len(run)]


def fit_steps(run: Sequence[Step], seen: Mask) -> Array | None:
    """(N,) weights whose sum over a quantity of each step is what one step adds to it; None for fewer than 3 `seen`.

    Least squares on the steps' numbers, left and right feet each with an offset of their own: a camera that is not
    square sees the tracks of the two feet before and behind the hips. The weights of what was not seen are 0.
    """
    if int(seen.sum()) < 3:
        return None
    left = np.array([step.side == "left" for step in run])
    design = np.stack((number_steps(run), left, ~left), axis=1)[seen]
    weights = np.zeros(len(run))
    weights[seen] = np.linalg.pinv(design)[0]
    return weights


def judge_run(run: Sequence[Step]) -> Verdict | None:
    """Why a run of steps tells of no gait: jumps and tumbling give intervals of any length, a walk and a run do not.

    Nor does a run with a single interval from one foot to the other: it may hold missed steps itself, so beside it
    nobody can tell how many were missed between a foot and the same foot.
    """
    intervals = np.diff([step.time_s for step in run]) / count_steps(run)
    if len(intervals) < 2:
        return None
    longest, shortest = float(intervals.max()), float(intervals.min())
    if longest > UNEVEN_MAX * shortest:
        return UNEVEN
    alternating = sum(one.side != two.side for one, two in pairwise(run))
    unclear = alternating == 1 or (len(intervals) < 3 and longest > UNEVEN_FEW * shortest)
    return UNCOUNTED if unclear else None
