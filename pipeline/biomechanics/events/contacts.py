"""Feet on the ground, and stretches in which something holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from pipeline.biomechanics.errors import POSITION_SYS, Array
from pipeline.biomechanics.motion import Mask, Motion
from pipeline.biomechanics.signals import GAP_MAX_S, segments
from pipeline.biomechanics.steps import STEP_MIN_S, Side, Step

STILL_FLOOR, STILL_FLOOR_ALONG = 60.0, 40.0
"""% of height per second: a planted ankle of the default model wanders at about 20. Along the pitch a swing is slow."""
FLICKER_S = 0.05
"""A planted ankle that seems to move for less has not."""
WANDER = 4.0
"""% of height: nor has one that meanwhile comes no further from where it stood (the model's slow error, 2 %, twice)."""
STILL_SHARE = 0.25
"""Of the foot's peak speed within half a second."""
PLANT_MIN_S = 0.05
CONTACT_FRAMES, CONTACT_S = 1.5, 0.012
"""Half-width of a contact, at least; also with feet, which meet it a little better but not always (docs/science.md)."""
LIFT = 6.0
"""% of height by which a running foot rises and comes down again; the model's slow error is 2 %."""
LANDED = 0.3
"""Of its lift, above its lowest: down."""
SWING_MAX_S = 0.6
SLOW_ERROR = 1.65
"""Half-width of a contact in standard errors of place over the foot's speed: 1.65 covers 90 % of them."""
CONTACT_MAX_S = 0.1
HOLE_FRAMES = 1.5
SEEN_MIN_S = 0.03
"""Of a stand must be seen: what lies in a hole alone was made by filling it."""
HEEL_SEEN = 0.8
BEFORE_S, AFTER_S = 0.12, 0.1
"""Of the swing's end and of the stand that a contact is fitted to."""
SHIFT_S = 0.06
"""How far a fitted contact may lie from the first still frame, besides two frames."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Frames `first`..`last`, both included."""

    first: int
    last: int


def find_plants(motion: Motion, side: Side, *, along: bool, floor: float | None = None) -> tuple[Stretch, ...]:
    """Stretches in which a foot stays in place: slower than 60 % of height/s or a quarter of its local peak speed.

    Local and robust: the threshold follows the own swing (within ± 0.5 s), on 12 Hz paths. The foot is the ankle, or
    the middle of ankle, heel and toes where the skeleton has them: it stands on its toes when the ankle has left. Along
    the pitch only the lift of a swing is seen, and 40 % of height/s on 6 Hz paths of the ankle counts. A foot that
    seems to move for less than 0.05 s, or comes no further than 4 % of height from where it stands, stands on.
    Stretches under 0.05 s are none, nor those of which less than 0.03 s was seen. `floor`: another speed than those,
    for feet that swing more slowly than a runner's.
    """
    foot = motion.point(f"{side}_ankle") if along else motion.point(f"{side}_foot", "contact")
    velocity = motion.velocity(foot)
    speed = np.hypot(velocity[:, 0], velocity[:, 1])
    real = motion.real_s
    peak = rolling_max(speed, real, 0.5)
    floor = floor or (STILL_FLOOR_ALONG if along else STILL_FLOOR)
    still = speed < np.fmax(floor, STILL_SHARE * peak)
    place = foot.path / motion.stature[:, None] * 100
    for moving in segments(real, ~still & ~np.isnan(speed)):
        if real[moving.stop - 1] - real[moving.start] < FLICKER_S or _stays(place, moving):
            still[moving] = True
    return tuple(p for p in find_stretches(still, real, PLANT_MIN_S) if _seen_s(motion, side, p) >= SEEN_MIN_S)


def find_landings(motion: Motion, side: Side) -> tuple[Stretch, ...]:
    """Stands of a running foot seen from the front or behind, each after a swing whose lift is seen.

    A swing is a peak of the ankle's height (6 Hz paths) with a prominence of 6 % of height. The stand begins where the
    ankle is down to 30 % of that above the lowest it comes before the next swing (within 0.6 s), and ends where it is
    up again as far. From there only up and down shows a step, so a plant is not where the ankle is slow: it is slow at
    the top of a swing as well.
    """
    height = motion.point(f"{side}_ankle").path[:, 1] / motion.stature * 100
    real, found = motion.real_s, []
    for part in segments(real, ~np.isnan(height)):
        own = height[part]
        tops, shape = find_peaks(own, prominence=LIFT)
        ends = [*tops, len(own)][1:]
        for top, end, rise in zip(tops, ends, shape["prominences"], strict=True):
            stop = int(np.searchsorted(real[part], real[part][top] + SWING_MAX_S))
            after = own[top : min(end, stop)]
            low = next((i for i in range(1, len(after) - 1)
                        if after[i] <= after[i + 1] and after[0] - after[i] >= rise / 2), len(after) - 1)  # fmt: skip
            down = np.flatnonzero(after <= after[low] + LANDED * (after[0] - after[low]))
            if after[0] - after[low] >= rise / 2 and len(down) > 1:
                found.append(Stretch(first=part.start + int(top + down[0]), last=part.start + int(top + down[-1])))
    return tuple(found)


def find_steps_along(motion: Motion) -> tuple[Step, ...]:
    """Foot contacts of walking and running seen from the front or behind: the ends of both feet's swings, in order.

    Of two within 0.12 s the later one is dropped: the feet of a jump come down together.
    """
    sides: tuple[Side, ...] = ("left", "right")
    found: list[Step] = []
    for side in sides:
        for stand in find_landings(motion, side):
            time_s, half_width_s = fit_contact(motion, side, stand)
            found.append(Step(side=side, index=motion.at(time_s), time_s=time_s, half_width_s=half_width_s))
    kept: list[Step] = []
    for step in sorted(found, key=lambda one: (one.time_s, one.side)):
        if not kept or step.time_s - kept[-1].time_s >= STEP_MIN_S * motion.slowmo:
            kept.append(step)
    return tuple(kept)


def _seen_s(motion: Motion, side: Side, plant: Stretch) -> float:
    """Real seconds of a stand in whose frames the ankle itself was seen."""
    trusted = motion.trusted[plant.first : plant.last + 1, motion.names.index(f"{side}_ankle")]
    return float(np.sum(trusted)) / motion.fps


def _stays(place: Array, moving: slice) -> bool:
    """Whether a stretch between two stands leaves neither: all of it within `WANDER` of both its ends."""
    if moving.start == 0 or moving.stop == len(place):
        return False
    ends = place[[moving.start - 1, moving.stop]]
    away = np.linalg.norm(place[moving][:, None] - ends[None], axis=-1)
    return bool(np.all(away < WANDER))


def fit_contact(motion: Motion, side: Side, plant: Stretch) -> tuple[float, float]:
    """When the foot came down for a plant, clip seconds, and its half-width: where a swing's end and a stand meet.

    Model on the unfiltered path of the ankle, and of the heel where the skeleton has one, both axes: place + b ·
    min(t − contact, 0), a place and a b for each, least squares over the last 0.12 s of the swing and the first 0.1 s
    of the stand that were seen; contact on a grid of an eighth of a frame, within two frames and 60 ms of the plant's
    first still frame and of any hole there. A low-pass makes a foot seem to stop a frame late. Too few samples, or no
    swing of the ankle (less than 2 % of height in that time), give that first frame. Half-width: 1.5 frames, 12 ms,
    1.65 · 2 % of height / |b| of the ankle, or half of the hole in which the foot came down unseen, whichever is most:
    the slower a foot comes down in the picture, the less well its contact is known.
    """
    real, frame = motion.real_s, 1 / motion.fps
    first = float(real[plant.first])
    used = _around_contact(motion, side, plant)
    path = motion.cleaned[used, motion.names.index(f"{side}_ankle")]
    heel = _heel(motion, side, used)
    hole = _hole_at(real[used], first)
    reach = SHIFT_S + 2 * frame
    width = max(CONTACT_FRAMES * frame, CONTACT_S)
    best, speed = (np.inf, first), np.inf
    for contact in np.arange(min(first, hole[0]) - reach, max(first, hole[1]) + reach + 1e-9, frame / 8):
        before = int(np.sum(real[used] < contact))
        if before < 3 or len(used) - before < 2:
            continue
        design = np.stack((np.ones(len(used)), np.minimum(real[used] - contact, 0.0)), axis=1)
        fit, residual, _, _ = np.linalg.lstsq(design, path, rcond=None)
        misfit = float(residual.sum()) + (0.0 if heel is None else _misfit(design, heel))
        if len(residual) and misfit < best[0]:
            best = misfit, float(contact)
            speed = float(np.hypot(*fit[1]) / motion.stature[plant.first] * 100)
    contact_s = first if speed * BEFORE_S < POSITION_SYS else best[1]
    if speed * BEFORE_S >= POSITION_SYS:
        width = max(width, min(SLOW_ERROR * POSITION_SYS / speed, CONTACT_MAX_S))
    start, end = _hole_at(real[used], contact_s)
    if end - start > HOLE_FRAMES * frame:
        width = max(width, (end - start) / 2)
    return motion.to_clip(contact_s), width * motion.slowmo


def _heel(motion: Motion, side: Side, used: NDArray[np.intp]) -> Array | None:
    """(n, 2) the heel over frames, NaN where not seen; None without one, or where it is seen in less than 4 of 5.

    Toes are left out: they come down late after a heel, and with them contacts were met less well.
    """
    if f"{side}_heel" not in motion.foot[side]:
        return None
    path: Array = motion.cleaned[used, motion.names.index(f"{side}_heel")]
    return path if np.mean(~np.isnan(path[:, 0])) >= HEEL_SEEN else None


def _misfit(design: Array, path: Array) -> float:
    """Sum of squares that least squares of `design` (n, 2) leave of a path (n, 2), where it was seen."""
    seen = ~np.isnan(path[:, 0])
    fit = np.linalg.lstsq(design[seen], path[seen])[0]
    return float(np.sum((path[seen] - design[seen] @ fit) ** 2))


def _around_contact(motion: Motion, side: Side, plant: Stretch) -> NDArray[np.intp]:
    """Frames that show the ankle: the last 0.12 s of them before the plant's first frame, and the first 0.1 s from it
    on."""
    seen = np.flatnonzero(~np.isnan(motion.cleaned[:, motion.names.index(f"{side}_ankle"), 0]))
    frame = 1 / motion.fps
    swing, stand = seen[seen < plant.first], seen[(seen >= plant.first) & (seen <= plant.last)]
    if len(swing):
        recent = motion.real_s[swing] >= min(motion.real_s[swing[-1]], motion.real_s[plant.first]) - BEFORE_S - frame
        swing = swing[recent & (motion.real_s[swing] >= motion.real_s[plant.first] - BEFORE_S - GAP_MAX_S)]
    if len(stand):
        stand = stand[motion.real_s[stand] <= motion.real_s[stand[0]] + AFTER_S]
    return np.concatenate((swing, stand))


def _hole_at(times: Array, moment: float) -> tuple[float, float]:
    """Times of the samples before and after a moment; the moment itself where there is none on a side."""
    i = int(np.searchsorted(times, moment))
    return (float(times[i - 1]) if i > 0 else moment, float(times[i]) if i < len(times) else moment)


def find_stretches(holds: Mask, times: Array, shortest: float) -> tuple[Stretch, ...]:
    """Runs of True that last at least `shortest` seconds."""
    found = (Stretch(first=run.start, last=run.stop - 1) for run in segments(times, holds))
    return tuple(s for s in found if times[s.last] - times[s.first] >= shortest)


def rolling_max(values: Array, times: Array, half_window: float) -> Array:
    """Largest value that is not NaN within ± `half_window`; NaN where there is none."""
    low = np.searchsorted(times, times - half_window)
    high = np.searchsorted(times, times + half_window, side="right")
    plain = np.where(np.isnan(values), -np.inf, values)
    peak = np.array([plain[a:b].max() for a, b in zip(low, high, strict=True)])
    return np.where(np.isinf(peak), np.nan, peak)
