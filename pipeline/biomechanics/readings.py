"""From a number in one repetition to a metric of the clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from models.documents import Event, Evidence, Metric, Repetition, TimeSpan, Unit
from pipeline.biomechanics import errors
from pipeline.biomechanics.errors import Array, Series
from pipeline.biomechanics.gates import MEASURABLE, RateNeed, Verdict, ViewNeed, judge_timing, refused, worst
from pipeline.biomechanics.motion import Motion

DIGITS = 3
NOWHERE = Evidence()
MIN_COVERED = 0.6
"""Share of a window's frames that must be seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """What a metric is, and what it asks of a recording."""

    id: str
    label: str
    unit: Unit
    method: str
    view: ViewNeed = "any"
    rate: RateNeed = "still"
    source: str | None = None
    static: bool = False
    """Posture that needs no event: the quick pass measures it too."""
    angle: bool = False
    sided: bool = False
    """It depends on which of two limbs is which."""
    estimable_view: bool = False
    """The athlete's own travel shows the view that it needs."""
    view_decides: bool = False
    """From the side it is read in another way than along the pitch."""
    not_built: str | None = None
    """Why this version never measures it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One metric in one repetition."""

    value: float | str
    sys: float
    rand: float
    """Keypoint noise and timing of this one reading."""
    modelled: float | None = None
    """The part of `sys` that the model of keypoints and camera explains; None: all of it. A study's floor lies over it
    where the study saw more than this."""
    verdict: Verdict = MEASURABLE
    evidence: Evidence = NOWHERE
    n: int = 1
    """Samples behind it; `rand` is that of one."""
    spread: float | None = None
    """Over those samples."""


Outcome = Reading | Verdict
"""A number, or why there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One delivery, shot, take or pick-up with what was read in it."""

    start_s: float
    end_s: float
    events: dict[str, Event] = field(default_factory=dict)
    steps: tuple[Event, ...] = ()
    outcomes: dict[str, Outcome] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModeOutcome:
    """All that a mode's room found."""

    found: tuple[Found, ...]
    missing: Verdict
    """Why there are no repetitions, where there are none."""
    whole_clip: dict[str, Outcome] = field(default_factory=dict)
    """What is read off the clip as a whole."""
    hands: tuple[tuple[Literal["left", "right"], float], ...] = ()
    """Of each repetition the bowling or throwing arm or the batting hand, and how clearly it was that one, 0..1."""


# ---- reading a series --------------------------------------------------------------------------------------------


def evidence_at(motion: Motion, *indices: int) -> Evidence:
    """The frames themselves, the most telling first."""
    unique = list(dict.fromkeys(indices))
    return Evidence(
        frames=tuple(int(motion.frames[i]) for i in unique),
        times_s=tuple(round(float(motion.times_s[i]), DIGITS) for i in unique),
    )


def evidence_over(motion: Motion, start_s: float, end_s: float, *indices: int) -> Evidence:
    """A span, and the frames in it that show it best (else its middle)."""
    shown = evidence_at(motion, *(indices or (motion.at((start_s + end_s) / 2),)))
    span = TimeSpan(start_s=round(start_s, DIGITS), end_s=round(end_s, DIGITS))
    return Evidence(spans=(span,), frames=shown.frames, times_s=shown.times_s)


def read_at(motion: Motion, series: Series, event: Event, floor: float, what: str, *, camera: float = 0.0) -> Outcome:
    """The series at an event, from frames that were seen within one frame of it.

    sys: the keypoints' slow error and what the `camera` adds (roll, yaw, scale), never less than `floor`.
    Timing error: rate of change × half-width / √3, the rate from the samples within the half-width and one frame.
    """
    i = motion.at(event.time_s)
    if abs(motion.times_s[i] - event.time_s) > 1.5 * motion.frame_s:
        return refused(f"no frame at {what}")
    near = slice(max(i - 1, 0), i + 2)
    if not series.trusted[near].all() or np.isnan(series.values[near]).any():
        return refused(f"the keypoints that it needs were not seen at {what}", "Keep the whole athlete unobstructed.")
    around = motion.window(
        event.time_s - event.half_width_s - motion.frame_s, event.time_s + event.half_width_s + motion.frame_s
    )
    own = around[~np.isnan(series.values[around])]
    rate = float(np.polyfit(motion.times_s[own], series.values[own], 1)[0]) if len(own) > 2 else 0.0
    timing = abs(rate) * event.half_width_s / np.sqrt(3)
    modelled = errors.combine(float(series.slow[i]), camera)
    sys = max(floor, modelled)
    return Reading(
        value=float(series.values[i]),
        sys=sys,
        modelled=modelled,
        rand=errors.combine(float(series.rand[i]), timing),
        verdict=judge_timing(timing, sys),
        evidence=evidence_at(motion, i),
    )


def read_over(
    motion: Motion,
    series: Series,
    span: tuple[float, float],
    floor: float,
    what: str,
    *,
    camera: float = 0.0,
    reduce: Callable[[Array], float] = np.median,
    moment: Event | None = None,
) -> Outcome:
    """A median, an extreme or another number of the series over a span of which at least 60 % was seen.

    `moment`: the event that the span hangs on. Timing error: half of what the number changes when the span moves by the
    event's half-width either way, / √3.

    `rand` is that of a single filtered sample: over a short window the model's errors hardly average out. sys: the
    keypoints' slow error over the window and what the `camera` adds (roll, yaw, scale), never less than `floor`.
    """
    window = motion.window(*span)
    good = window[series.trusted[window] & ~np.isnan(series.values[window] + series.rand[window] + series.slow[window])]
    if len(good) < max(2, MIN_COVERED * len(window)):
        return refused(f"the keypoints that it needs were not seen {what}", "Keep the whole athlete unobstructed.")
    value = float(reduce(series.values[good]))
    shown = int(good[np.argmin(np.abs(series.values[good] - value))])
    timing = 0.0 if moment is None else _timing_over(motion, series, span, moment.half_width_s, reduce)
    averaged = errors.drift_of_mean(motion.real_s[good]) if reduce is np.median else 1.0
    modelled = errors.combine(float(np.median(series.slow[good])) * averaged, camera)
    sys = max(floor, modelled)
    return Reading(
        value=value,
        sys=sys,
        modelled=modelled,
        rand=errors.combine(float(np.median(series.rand[good])), timing),
        verdict=judge_timing(timing, sys),
        evidence=evidence_over(motion, span[0], span[1], shown),
    )


def _timing_over(
    motion: Motion, series: Series, span: tuple[float, float], half_width_s: float, reduce: Callable[[Array], float]
) -> float:
    numbers = []
    for shift in (-half_width_s, half_width_s):
        values = series.values[motion.window(span[0] + shift, span[1] + shift)]
        values = values[~np.isnan(values)]
        if not len(values):
            return 0.0
        numbers.append(float(reduce(values)))
    return abs(numbers[1] - numbers[0]) / 2 / float(np.sqrt(3))


def root_mean_square(values: Array) -> float:
    """RMS about the mean."""
    return float(np.std(values))


# ---- documents ---------------------------------------------------------------------------------------------------


def to_metric(spec: Spec, gate: Verdict, outcomes: Sequence[Outcome], missing: Verdict) -> Metric:
    """Aggregate the readings of all repetitions behind the gate. Rounds: this is the document's edge."""
    readings = [o for o in outcomes if isinstance(o, Reading)]
    refusals = [o for o in outcomes if isinstance(o, Verdict)]
    if gate.status == "not_measurable" or not readings:
        why = gate if gate.status == "not_measurable" else (refusals[0] if refusals else missing)
        return Metric(
            value=None, unit=spec.unit, status="not_measurable", reason=why.reason, advice=why.advice,
            label=spec.label, method=spec.method, source=spec.source,
        )  # fmt: skip
    verdict = worst(gate, *(r.verdict for r in readings))
    value, spread = _pool(readings)
    n = sum(r.n for r in readings)
    sys, rand = _mean_square(r.sys for r in readings), _mean_square(r.rand for r in readings)
    return Metric(
        value=value, unit=spec.unit, expected_error=_rounded(errors.expected_error(sys, rand, n)), sys=_rounded(sys),
        rand=_rounded(rand), status=verdict.status, reason=verdict.reason, advice=verdict.advice, n=n, spread=spread,
        label=spec.label, method=spec.method, source=spec.source, evidence=_joined(readings),
    )  # fmt: skip


def to_repetition(index: int, found: Found, specs: Sequence[Spec], gates: dict[str, Verdict]) -> Repetition:
    """The document of one repetition, with the metrics that were tried in it."""
    nothing = refused("not read in this repetition")
    metrics = {
        spec.id: to_metric(spec, gates[spec.id], [found.outcomes[spec.id]], nothing)
        for spec in specs
        if spec.id in found.outcomes
    }
    return Repetition(
        index=index, start_s=round(found.start_s, DIGITS), end_s=round(found.end_s, DIGITS),
        events={name: rounded_event(event) for name, event in found.events.items()},
        steps=tuple(rounded_event(step) for step in found.steps), metrics=metrics,
    )  # fmt: skip


def rounded_event(event: Event) -> Event:
    """To the document's digits."""
    return Event(time_s=round(event.time_s, DIGITS), half_width_s=round(event.half_width_s, 4))


def _pool(readings: Sequence[Reading]) -> tuple[float | str, float | None]:
    """Mean and spread; for a class the most frequent one (the first in order of the alphabet among equals)."""
    first = readings[0].value
    if isinstance(first, str):
        names = sorted(str(r.value) for r in readings)
        return max(dict.fromkeys(names), key=names.count), None
    if len(readings) == 1:
        return _rounded(first), None if readings[0].spread is None else _rounded(readings[0].spread)
    values = np.array([float(r.value) for r in readings])
    return _rounded(float(values.mean())), _rounded(float(values.std(ddof=1)))


def _joined(readings: Sequence[Reading]) -> Evidence:
    return Evidence(
        spans=tuple(span for r in readings for span in r.evidence.spans),
        frames=tuple(frame for r in readings for frame in r.evidence.frames),
        times_s=tuple(time for r in readings for time in r.evidence.times_s),
    )


def _mean_square(values: object) -> float:
    array = np.array(list(values), dtype=np.float64)  # type: ignore[call-overload]  # any iterable of floats
    return float(np.sqrt(np.mean(array**2)))


def _rounded(value: float) -> float:
    return round(value, DIGITS) + 0.0  # + 0.0 turns -0.0 into 0.0
