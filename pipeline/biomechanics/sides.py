"""Left and right: what the model exchanges, mirrors or draws on top of each other.

The estimates are wrong about sides in ways its confidence does not show. Repairs exchange a whole limb or body, never
a single joint, and only a short run whose **two** edges both become clearly smoother: a bolder rule "repairs" a
correct walk. Feet belong to their leg: they go where it goes, and have no say in it. Every function takes and gives
keypoints (T, K, 2) in pixels, NaN where not seen, of a skeleton that has COCO-17's names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.poses import Skeleton
from pipeline.biomechanics.signals import segments

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Pairs = Sequence[tuple[int, int]]
"""Columns (left, right)."""

BODY = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
LEG = ("hip", "knee", "ankle")
ARM = ("elbow", "wrist")
FOOT = ("big_toe", "small_toe", "heel")
"""Beside the ankle, where the skeleton has them."""

RUN_MAX_S = 0.25
CLEAR_GAIN = 0.04
"""Mean gain per joint at an edge, of stature."""
CLEAR_RATIO = 0.5
MERGED = 0.03
"""Two ankles closer than this share of stature are one."""

STAND_S, STAND_PLACE = 0.4, 0.08
"""Seconds, and share of stature over which the model's slow error lets a standing foot wander."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SideReport:
    """What was repaired or withdrawn."""

    mirrored_share: float
    """Of the frames: whole body, left and right exchanged (repaired)."""
    swapped_share: float
    """Of the frames: one leg or arm exchanged (repaired)."""
    merged: Mask
    """(T,) both legs drawn on one: withdrawn."""


def repair_sides(keypoints: Array, times: Array, size: Array, skeleton: Skeleton) -> tuple[Array, SideReport]:
    """Exchange mirrored bodies and swapped limbs back, and withdraw merged legs. `size` (T,) is stature in pixels."""
    out = keypoints.copy()
    body, leg, arm = (columns(skeleton, joints) for joints in (BODY, LEG, ARM))
    feet = columns(skeleton, [joint for joint in FOOT if skeleton.has(f"left_{joint}", f"right_{joint}")])
    mirrored = _exchange(out, times, size, body, skeleton.left_right)
    swapped = _exchange(out, times, size, leg, [*leg, *feet])
    swapped |= _exchange(out, times, size, arm, arm)
    merged = find_merged(out, times, size, skeleton)
    for left, right in (*columns(skeleton, ("knee", "ankle")), *feet):
        near = _apart(out, left, right) < 2 * MERGED * size
        for joint in (left, right):
            out[merged & near, joint] = np.nan
    frames = max(int(np.sum(~np.all(np.isnan(keypoints[..., 0]), axis=1))), 1)
    report = SideReport(
        mirrored_share=float(mirrored.sum() / frames), swapped_share=float(swapped.sum() / frames), merged=merged
    )
    return out, report


def columns(skeleton: Skeleton, joints: Iterable[str]) -> list[tuple[int, int]]:
    """Where a skeleton has these joints, left and right."""
    return [skeleton.sides(joint) for joint in joints]


def _exchange(keypoints: Array, times: Array, size: Array, judged: Pairs, exchanged: Pairs) -> Mask:
    """Exchange, in place, the short runs of frames in which `judged` is clearly smoother the other way round."""
    jump = _clear_jumps(keypoints, size, judged)
    swapped = _shortest(np.flatnonzero(jump) + 1, times)
    for left, right in exchanged:
        keypoints[swapped, left], keypoints[swapped, right] = keypoints[swapped, right], keypoints[swapped, left]
    return swapped


def _shortest(edges: NDArray[np.intp], times: Array) -> Mask:
    """(T,) the frames to exchange, given the frames at which left and right seem to change places.

    Exchanged seconds plus 0.125 s for every edge left as it is are least (dynamic programming): two edges up to 0.25 s
    apart enclose an exchanged run. Paired off one after the other, a single edge overlooked among many would exchange
    what lies between the runs, and so on to the end of the clip.
    """
    steps: list[tuple[bool, bool]] = []
    costs = (0.0, np.inf)
    spans = np.diff(np.append(times[edges], times[-1:]))
    for span in spans:
        kept, exchanged = costs
        back, away = exchanged <= kept + RUN_MAX_S / 2, kept <= exchanged + RUN_MAX_S / 2
        steps.append((back, away))
        costs = (exchanged if back else kept + RUN_MAX_S / 2, (kept if away else exchanged + RUN_MAX_S / 2) + span)
    swapped = np.zeros(len(times), dtype=bool)
    state = costs[1] < costs[0]
    for i in reversed(range(len(edges))):
        end = edges[i + 1] if i + 1 < len(edges) else len(times)
        swapped[edges[i] : end] = state
        state = state != steps[i][int(state)]
    return swapped


def _clear_jumps(keypoints: Array, size: Array, pairs: Pairs) -> Mask:
    """(T-1,) where going on to the next frame is clearly shorter with left and right exchanged."""
    before, after = keypoints[:-1], keypoints[1:]
    kept, crossed, count = (np.zeros(len(before)) for _ in range(3))
    for left, right in pairs:
        straight = _norm(after[:, left] - before[:, left]) + _norm(after[:, right] - before[:, right])
        across = _norm(after[:, left] - before[:, right]) + _norm(after[:, right] - before[:, left])
        known = ~np.isnan(straight + across)
        kept += np.where(known, straight, 0)
        crossed += np.where(known, across, 0)
        count += 2 * known
    enough = count >= 2 * min(2, len(pairs))
    gain = (kept - crossed) / np.maximum(count, 1)
    return enough & (gain > CLEAR_GAIN * size[1:]) & (crossed < CLEAR_RATIO * kept)


def find_merged(keypoints: Array, times: Array, size: Array, skeleton: Skeleton) -> Mask:
    """(T,) frames whose two ankles lie within 3 % of stature, unless the legs are just passing each other.

    Passing is expected where the feet change order over the run and the run is no longer than their speed before
    and after it explains, and one frame more; but not where the knees, apart beside the run, lie on each other all
    through it as well: the swinging leg is bent when it passes, and one whole leg was drawn on the other. Feet that
    stand side by side coincide in a side view for as long as they stand: a run of 0.4 s and more in which their
    middle stays in place is no merging.
    """
    left, right = skeleton.sides("ankle")
    apart = _apart(keypoints, left, right)
    close = apart < MERGED * size
    middle = (keypoints[:, left] + keypoints[:, right]) / 2
    order = keypoints[:, left, 0] - keypoints[:, right, 0]
    knees = _apart(keypoints, *skeleton.sides("knee")) / size
    merged = np.zeros(len(times), dtype=bool)
    for run in segments(times, close, max_gap=0.0):
        passes = _is_passing(order, times, size, run) and not _knees_join(knees, run)
        merged[run] = not (passes or _stands(middle, times, size, run))
    return merged


def _knees_join(apart: Array, run: slice) -> bool:
    """Whether the knees, `apart` (T,) in statures, meet for a run, and were well apart in the frame before or after."""
    beside = apart[[max(run.start - 1, 0), min(run.stop, len(apart) - 1)]]
    return bool(np.all(apart[run] < MERGED) and np.any(beside > 2 * MERGED))


def _stands(middle: Array, times: Array, size: Array, run: slice) -> bool:
    if times[run.stop - 1] - times[run.start] < STAND_S:
        return False
    return bool(np.ptp(middle[run], axis=0).max() <= STAND_PLACE * size[run.start])


def _is_passing(order: Array, times: Array, size: Array, run: slice) -> bool:
    before, after = run.start - 1, run.stop
    if before < 0 or after >= len(order):
        return False
    change = order[after] - order[before]
    span = times[after] - times[before]
    if np.isnan(change) or order[before] * order[after] >= 0:
        return False
    frame = span / (after - before)
    expected = 2 * MERGED * float(size[run.start]) / (abs(change) / span)
    return bool(times[run.stop - 1] - times[run.start] <= expected + frame)


def _apart(keypoints: Array, left: int, right: int) -> Array:
    return _norm(keypoints[:, left] - keypoints[:, right])


def _norm(vectors: Array) -> Array:
    return np.hypot(vectors[..., 0], vectors[..., 1])
