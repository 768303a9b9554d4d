"""Sideways steps of one who faces along the pitch: each foot's move from one stand to the next."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.biomechanics import errors
from pipeline.biomechanics.events.contacts import find_plants
from pipeline.biomechanics.motion import Motion
from pipeline.biomechanics.steps import Side

SIDE_STEP = 6.0
"""% of height, about 10 cm: a foot that comes down nearer to its last place has not stepped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SideStep:
    """A foot comes down beside its last place."""

    side: Side
    index: int
    """Frame of the motion in which it stands again."""
    shift: float
    """% of height to the picture's right."""
    sigma: float
    """One standard error of `shift`."""
    order: int
    """1 where the left foot is to the picture's right of the right one once it stands, else -1; 0 not seen."""

    @property
    def counts(self) -> bool:
        """Whether it is far enough to be a step."""
        return abs(self.shift) >= SIDE_STEP


def find_side_moves(motion: Motion, start_s: float, end_s: float) -> tuple[SideStep, ...]:
    """Every move of a foot from stand to stand that ends within a span of the clip, in order of time; short ones too.

    Formula: median across the picture of one plant minus that of the plant before it, by the scale of its own time.
    sigma: 1 % of height (displacement of one keypoint), the scale's error along the pitch, and the white noise left in
    the path.
    """
    moves: list[SideStep] = []
    sides: tuple[Side, ...] = ("left", "right")
    feet = {side: motion.point(f"{side}_ankle", "contact") for side in sides}
    apart = feet["left"].path[:, 0] - feet["right"].path[:, 0]
    for side in sides:
        across = feet[side].path[:, 0]
        for before, after in pairwise(find_plants(motion, side, along=True)):
            time_s = float(motion.times_s[after.first])
            if not start_s <= time_s <= end_s:
                continue
            size = float(motion.stature[after.first])
            places = [float(np.nanmedian(across[p.first : p.last + 1])) for p in (before, after)]
            standing = apart[after.first : after.last + 1]
            known = standing[~np.isnan(standing)]
            shift = (places[1] - places[0]) / size * 100
            moves.append(
                SideStep(
                    side=side,
                    index=after.first,
                    shift=shift,
                    sigma=errors.combine(
                        errors.DISPLACEMENT_SYS, errors.STATURE_ALONG_SYS * shift, feet[side].sigma / size * 100
                    ),
                    order=int(np.sign(np.median(known))) if len(known) else 0,
                )
            )
    return tuple(sorted(moves, key=lambda move: (move.index, move.side)))


def count_shuffles(steps: tuple[SideStep, ...], order: int) -> int:
    """Pairs of steps the same way, one foot after the other, in which the feet never cross. `order`: before the first.

    Each step belongs to one pair at most.
    """
    count, i = 0, 0
    while i + 1 < len(steps):
        one, two = steps[i], steps[i + 1]
        pair = one.side != two.side and one.shift * two.shift > 0 and one.order == two.order == order != 0
        order = two.order if pair else one.order
        count += pair
        i += 2 if pair else 1
    return count
