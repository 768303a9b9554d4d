"""What any clip of a moving person shows: steps, travel, posture. Described, never graded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from models.documents import Evidence, TimeSpan
from models.requests import AnalysisOptions, Mode
from pipeline.biomechanics import errors
from pipeline.biomechanics.errors import Array
from pipeline.biomechanics.gates import Verdict, refused
from pipeline.biomechanics.motion import Motion
from pipeline.biomechanics.readings import Outcome, Reading, Spec, evidence_over, read_over
from pipeline.biomechanics.roll import UNKNOWN as UNKNOWN_ROLL
from pipeline.biomechanics.roll import Roll, estimate_roll
from pipeline.biomechanics.runs import UNEVEN, count_steps, fit_steps, judge_run, longest_run, number_steps
from pipeline.biomechanics.scene import Scene
from pipeline.biomechanics.steps import Step, find_passing, find_reach, find_stand, find_unseen_way

CADENCE = Spec(
    id="cadence", label="Step rate", unit="per_min", view="side", rate="gait", estimable_view=True,
    method="steps a minute over the steps in a row; a step is a peak of ankle minus hips, timed when the hips pass it",
    source="Zeni 2008 Gait Posture 27:710 (step detection)",
)  # fmt: skip
STEP_LENGTH = Spec(
    id="step_length", label="Step length", unit="pct_height", view="side", rate="gait", estimable_view=True,
    method="distance along the run between the ankles of one step and the next as they stand, mean over the steps",
    source="Sports Biomech 2022, 10.1080/14763141.2022.2137425 (for the error: single camera, stride)",
)  # fmt: skip
TRAVEL_SPEED = Spec(
    id="travel_speed", label="Travel speed", unit="pct_height_per_s", view="side", rate="gait", estimable_view=True,
    method="slope of the hips' way over the steps in a row (walking or running; not a run-up speed)",
)  # fmt: skip
TRUNK_LEAN = Spec(
    id="trunk_lean", label="Lean of the trunk", unit="deg", view="side", rate="still", static=True, angle=True,
    estimable_view=True,
    method="mid-hips to mid-shoulders against the vertical, positive forward, median over the frames that show it",
)  # fmt: skip
DESCRIPTIVE = (CADENCE, STEP_LENGTH, TRAVEL_SPEED, TRUNK_LEAN)
OWN_IN: Mapping[Mode, tuple[Spec, ...]] = MappingProxyType({"fielding": (CADENCE, STEP_LENGTH)})
"""What describes any walker elsewhere and is a metric of these modes themselves."""


def described_ids(mode: Mode) -> frozenset[str]:
    """Ids that only describe a moving person in this mode: they tell nothing of how far its own metrics were seen."""
    return frozenset(spec.id for spec in DESCRIPTIVE if spec not in OWN_IN.get(mode, ()))


SPEED_STEPS = 4
"""Intervals over which a speed before an action is measured: those of the last five steps."""
NO_STEPS = refused(
    "fewer than three steps in a row were found", "Film from the side, from well before the movement begins."
)
CAMERA_MOVES = refused(
    "the camera seems to move, so the way along the picture is not the athlete's", "Put the camera on a tripod."
)


def measure_gait(scene: Scene, steps: Sequence[Step] | None = None) -> dict[str, Outcome]:
    """All descriptive metrics over the clip; `steps`: those that are steps of a walk or a run, where not all are."""
    run = longest_run(scene.steps if steps is None else steps, scene.motion.slowmo)
    no_gait = judge_run(run)
    no_way = no_gait or (CAMERA_MOVES if scene.camera_moves else None)
    return {
        "cadence": no_gait or compute_cadence(scene, run),
        "step_length": no_way or compute_step_length(scene, run),
        "travel_speed": no_way or compute_travel_speed(scene, run),
        "trunk_lean": compute_trunk_lean(scene),
    }


def compute_cadence(scene: Scene, run: Sequence[Step]) -> Outcome:
    """Steps a minute over the steps in a row, real time. Range 0..400; fewer than 3 steps, or uneven ones: none.

    Formula: 60 / the time that a step adds (`fit_steps`), of the moments at which the hips pass over each foot
    (`find_passing`). rand: the errors of those moments. sys: 1 % for steps that begin or end differently from the rest,
    and what hips that slow down take longer from a contact to the passing over the later feet than over the earlier
    ones, evenly anywhere between none and all of it. Source: Zeni 2008 for the steps.
    """
    motion = scene.motion
    passings = [find_passing(motion, scene.facing, step) for step in run]
    seen = np.array([passing is not None for passing in passings], dtype=bool)
    weights = fit_steps(run, seen)
    if weights is None:
        return NO_STEPS
    reach = find_reach(motion, scene.facing, run)
    times, doubts, speeds = np.array([(p.time_s, p.doubt_s, p.speed) for p in passings if p is not None]).T
    if np.any(np.diff(times) <= 0):
        return UNEVEN
    interval = float(weights[seen] @ times) / motion.slowmo
    value, n = 60 / interval, len(times) - 1
    rates = 60 * np.diff(number_steps(run)[seen]) / np.diff(times) * motion.slowmo
    timing = float(np.linalg.norm(weights[seen] * doubts))
    early, late = (float(np.median(half)) for half in np.array_split(speeds, 2))
    slowing = reach * abs(1 / late - 1 / early) / (times[-1] - times[0]) * motion.slowmo / np.sqrt(12)
    return Reading(
        value=value, sys=value * errors.combine(0.01, slowing), rand=value * timing / interval * np.sqrt(n), n=n,
        spread=float(np.std(rates, ddof=1)), evidence=_steps_shown(motion, run),
    )  # fmt: skip


def compute_step_length(scene: Scene, run: Sequence[Step]) -> Outcome:
    """Distance along the direction of travel from where one foot stands to where the next does, % of height.

    Formula: the way that a step adds (`fit_steps`), of the places in which each foot is slowest after it came forward
    (`find_stand`). Range 0..150. Fewer than 3 such places, or a moving camera: none. sys: 2 % a place, and a foot that
    was hidden as it stood anywhere on its way meanwhile, evenly; at least 5.75 % (published stride); 3 % of stature,
    and what camera and line leave in doubt.
    """
    motion = scene.motion
    stands = [find_stand(motion, step) for step in run]
    seen = np.array([stand is not None for stand in stands], dtype=bool)
    weights = fit_steps(run, seen)
    if weights is None or len({step.side for step, one in zip(run, seen, strict=True) if one}) < 2:
        return NO_STEPS
    known = [stand for stand in stands if stand is not None]
    places = np.array([scene.facing * gap_between(scene, known[0], stand) for stand in known])
    mean, n, share = float(weights[seen] @ places), len(known) - 1, float(np.linalg.norm(weights))
    hidden = np.array([0.0 if one is None else find_unseen_way(motion, step.side, one[0])
                       for step, one in zip(run, stands, strict=True)]) / np.sqrt(12)  # fmt: skip
    place = errors.combine(errors.POSITION_SYS * share, float(np.linalg.norm(weights * hidden)))
    noise = float(np.mean([motion.point(f"{side}_ankle", "contact").sigma for side in ("left", "right")]))
    middle = float(np.mean([x for _, x in known]))
    camera = errors.combine(errors.STATURE_SYS * mean, way_sys(scene, middle) * mean)
    return Reading(
        value=mean, sys=errors.combine(max(errors.STRIDE_SYS, place), camera), modelled=errors.combine(place, camera),
        rand=noise / float(np.median(motion.stature)) * 100 * share * np.sqrt(n), n=n,
        spread=float(np.std(np.diff(places) / np.diff(number_steps(run)[seen]), ddof=1)),
        evidence=_steps_shown(motion, run),
    )  # fmt: skip


def fit_units(specs: Sequence[Spec], options: AnalysisOptions) -> tuple[Spec, ...]:
    """The specs in the units of this request: travel in metres where the caller gave the height, and only there."""
    metric = replace(TRAVEL_SPEED, unit="m_per_s", method=f"{TRAVEL_SPEED.method}; metres by the given height")
    return tuple(metric if spec == TRAVEL_SPEED and options.height_m is not None else spec for spec in specs)


def compute_travel_speed(scene: Scene, run: Sequence[Step]) -> Outcome:
    """Speed of mid-hips on their way over the steps, in the unit of `fit_units`.

    Formula: |slope| of the least-squares line through the way. Range 0..700 % of height per second, 0..12 m/s. Fewer
    than 3 steps, or a moving camera: none. sys: at least 1 % displacement over the span, 3 % of stature, and what
    camera and line leave in doubt (`way_sys`).
    """
    if len(run) < 3:
        return NO_STEPS
    reading = compute_speed_between(scene, run[0].time_s, run[-1].time_s)
    if scene.options.height_m is None:
        return reading
    return to_metres(reading, scene.options.height_m)


def to_metres(speed: Outcome, height_m: float) -> Outcome:
    """A speed in % of height per second as metres per second; the 3 % of stature are in its sys already."""
    if isinstance(speed, Verdict):
        return speed
    metres = height_m / 100
    return replace(speed, value=float(speed.value) * metres, sys=speed.sys * metres, rand=speed.rand * metres)


def find_speed_span(steps: Sequence[Step], until_s: float | None = None) -> tuple[float, float]:
    """Clip seconds of the last 4 intervals of at least 2 steps, over which a speed before an action is measured.

    A step that was missed is one all the same: the span is 4 usual intervals, or all there were, and not the one
    between the first and last of 5 steps that were found, which may be an earlier and faster part. `until_s`: clip
    seconds up to which the steps went on: where two intervals and more are left, the last ones were missed (the foot
    that stands at a pick-up stands longer than others).
    """
    first, last = steps[0].time_s, steps[-1].time_s
    usual = (last - first) / float(count_steps(steps).sum())
    if until_s is not None:
        last += usual * max(0, int((until_s - last) / usual) - 1)
    return max(first, last - SPEED_STEPS * usual), last


def compute_speed_over_steps(scene: Scene, steps: Sequence[Step], until_s: float | None = None) -> Outcome:
    """Speed of mid-hips over the span of `find_speed_span`, % of height per second; see `compute_travel_speed`.

    Which step was the last is known to half an interval; who gets slower was faster half an interval before. rand: half
    of what the speed changes when the span moves so far either way, / √3, and the white noise.
    """
    start_s, end_s = find_speed_span(steps, until_s)
    half = (end_s - start_s) / min(SPEED_STEPS, float(count_steps(steps).sum())) / 2
    speed, early, late = (compute_speed_between(scene, start_s + by, end_s + by) for by in (0.0, -half, half))
    if isinstance(speed, Verdict) or isinstance(early, Verdict) or isinstance(late, Verdict):
        return speed
    shifted = abs(float(late.value) - float(early.value)) / 2 / np.sqrt(3)
    return replace(speed, rand=errors.combine(speed.rand, shifted))


def compute_speed_between(scene: Scene, start_s: float, end_s: float) -> Outcome:
    """Speed of mid-hips on their way within a span, % of height per second; see `compute_travel_speed`."""
    motion = scene.motion
    window = motion.window(start_s, end_s)
    hips = motion.point("hips")
    good = window[~np.isnan(hips.path[window, 0])]
    if len(good) < 4 or len(good) < 0.6 * len(window):
        return refused("the hips were not seen throughout", "Keep the whole athlete unobstructed.")
    place = way_along(scene, hips.path)[good]
    real = motion.real_s[good]
    slope = float(np.polyfit(real - real[0], place, 1)[0])
    span = float(real[-1] - real[0])
    sigma = hips.sigma / float(np.median(motion.stature[good])) * 100
    drift = max(errors.DISPLACEMENT_SYS / span, slope_drift(motion, start_s, end_s))
    camera = way_sys(scene, float(np.mean(hips.path[good, 0])))
    sys = errors.combine(drift, errors.STATURE_SYS * slope, camera * slope)
    return Reading(
        value=abs(slope), sys=sys, rand=sigma * np.sqrt(12 / len(good)) / span,
        evidence=evidence_over(motion, start_s, end_s),
    )  # fmt: skip


def slope_drift(motion: Motion, start_s: float, end_s: float) -> float:
    """What the slow error of the two hips does to the slope of their middle over a span, % of height per second."""
    own = motion.real_s[motion.window(start_s, end_s)]
    return errors.POSITION_SYS / np.sqrt(2) * errors.drift_of_slope(own) if len(own) > 2 else 0.0


def way_along(scene: Scene, path: Array) -> Array:
    """(T,) way along the ground in % of height, positive to the picture's right; NaN where not seen.

    Along the line that the athlete runs, where the travel shows one; else along the picture, each stretch by the scale
    of its own time.
    """
    motion, line = scene.motion, scene.travel.line
    if line is not None:
        return line.way(path[:, 0])
    seen = np.flatnonzero(~np.isnan(path[:, 0]))
    out = np.full(len(path), np.nan)
    if len(seen):
        scale = (motion.stature[seen][1:] + motion.stature[seen][:-1]) / 2
        out[seen] = np.concatenate(([0.0], np.cumsum(np.diff(path[seen, 0]) / scale * 100)))
    return out


def gap_between(scene: Scene, one: tuple[int, float], two: tuple[int, float]) -> float:
    """Way along the ground from a place to another, each (frame, x in pixels), % of height; see `way_along`."""
    (i, start), (j, end) = one, two
    if scene.travel.line is not None:
        return float(np.diff(scene.travel.line.way(np.array([start, end])))[0])
    return float((end - start) / (scene.motion.stature[i] + scene.motion.stature[j]) * 200)


def way_sys(scene: Scene, x: float) -> float:
    """Share of `way_along` around a column of the picture (pixels) that the camera leaves in doubt."""
    if scene.travel.line is not None:
        return scene.travel.line.sys(x)
    return errors.LOCAL_SCALE_SYS if np.ptp(scene.motion.stature) > 0 else 0.0


def compute_trunk_lean(scene: Scene) -> Outcome:
    """Forward lean of the trunk, degrees, median over all frames. Range -180..180; seen in fewer than 5 frames: none.

    Formula: median of atan2(Δx, Δy) of mid-hips to mid-shoulders, the camera's roll undone where a run tells it, ×
    facing. sys: at least 2 % of height for each end's two keypoints over a trunk of 28.8 %, and the roll's own error,
    2° where nothing tells it.
    """
    if scene.facing == 0:
        return refused("it is not clear which way the athlete faces", "Film from the side.")
    motion, roll = scene.motion, find_roll(scene)
    tilt = scene.trunk_tilt()
    forward = replace(tilt, values=scene.facing * (tilt.values + roll.degrees))
    seen = np.flatnonzero(forward.trusted & ~np.isnan(forward.values))
    if len(seen) < 5:
        return refused("shoulders and hips were seen in too few frames", "Keep the whole athlete unobstructed.")
    span = (float(motion.times_s[seen[0]]), float(motion.times_s[seen[-1]]))
    reading = read_over(motion, forward, span, trunk_sys(roll.sys), "through the clip", camera=roll.sys)
    if isinstance(reading, Verdict):
        return reading
    shown = (int(seen[len(seen) // 2]), int(seen[0]), int(seen[-1]))  # one frame would not show a whole clip
    return replace(reading, evidence=evidence_over(motion, *span, *shown))


def find_roll(scene: Scene) -> Roll:
    """The camera's, by the steps of a walk or run before a camera that stands."""
    run = longest_run(scene.steps, scene.motion.slowmo)
    if scene.camera_moves or scene.athletes_left is not None or judge_run(run):
        return UNKNOWN_ROLL
    return estimate_roll(scene.motion, run, scene.travel.line)


def trunk_sys(roll_sys: float = errors.ROLL_SYS) -> float:
    """Degrees: position error of mid-shoulders and mid-hips across the trunk, and the camera's roll."""
    across = errors.combine(errors.POSITION_SYS, errors.POSITION_SYS) / np.sqrt(2)
    return errors.combine(float(np.degrees(np.arctan2(across, 28.8))), roll_sys)


def _steps_shown(motion: Motion, run: Sequence[Step]) -> Evidence:
    return Evidence(
        spans=(TimeSpan(start_s=round(run[0].time_s, 3), end_s=round(run[-1].time_s, 3)),),
        frames=tuple(int(motion.frames[step.index]) for step in run),
        times_s=tuple(round(step.time_s, 3) for step in run),
    )
