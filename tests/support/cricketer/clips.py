"""Clips of synthetic cricketers, and what the product reads in them beside what is true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cricketer.camera import Camera, random_camera, sequence
from cricketer.movement import Movement
from cricketer.noise import Noise
from inference.poses import PoseSequence
from models.documents import Metric, ViewDocument
from models.requests import AnalysisOptions
from pipeline.biomechanics.measure import ROOMS, measure
from pipeline.biomechanics.readings import Found, ModeOutcome, Outcome, Reading
from pipeline.biomechanics.scene import Scene
from pipeline.measurements import MeasureContext, Measurements

PAUSE_S = 0.6
"""Between two repetitions of a clip the athlete walks back, out of the picture."""
MATCH_S = 0.25
MAIN_EVENT = {"bowling": "release", "batting": "impact", "wicketkeeping": "rise", "fielding": "pick_up"}


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One athlete's repetitions as the model sees them."""

    poses: PoseSequence
    context: MeasureContext
    movements: tuple[Movement, ...]
    starts: tuple[float, ...]
    """Clip seconds at which each movement begins."""
    camera: Camera


@dataclass(frozen=True, kw_only=True)
class Read:
    """One metric in one repetition beside its truth, in the metric's unit."""

    metric: str
    value: float
    truth: float
    expected: float
    """One standard error as stated."""
    modelled: float
    """The part of it that a simulation contains: no published floor."""
    status: str


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One event beside its truth, clip seconds."""

    event: str
    error: float
    half_width: float


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What came of a clip."""

    measurements: Measurements
    reads: tuple[Read, ...]
    events: tuple[Timed, ...]
    found: int
    """Repetitions found where there is one."""
    false: int


def film(
    movements: Sequence[Movement],
    view: str,
    fps: float,
    rng: np.random.Generator,
    *,
    noise: Noise,
    yaw: float = 0.0,
    camera: Camera | None = None,
) -> Clip:
    """One camera for all repetitions; the noise starts anew after each pause. `yaw`: at most so far off the view."""
    first = movements[0]
    camera = camera or random_camera(rng, view, first.centre, first.approach, yaw)
    points, confidence, times, starts = [], [], [], []
    now = rng.uniform(0, 1 / fps)
    for movement in movements:
        count = int(movement.duration * fps)
        phase = rng.uniform(0, 1 / fps)
        own = np.arange(count) / fps + phase
        picture, stature = camera.project(movement.pose(own))
        seen, sure = noise.add(picture, stature, own, rng, side_view=view == "side", blurs=movement.blurs)
        pause = round(PAUSE_S * fps)
        starts.append(now - phase)
        times.append(now + np.arange(count + pause) / fps)
        points += [seen, np.full((pause, *seen.shape[1:]), np.nan)]
        confidence += [sure, np.full((pause, *sure.shape[1:]), np.nan)]
        now += (count + pause) / fps
    end = -round(PAUSE_S * fps)
    handedness = first.side if first.mode == "batting" else None
    return Clip(
        poses=sequence(np.concatenate(points)[:end], np.concatenate(times)[:end], np.concatenate(confidence)[:end]),
        context=MeasureContext(
            mode=first.mode, stage="deep", view=ViewDocument(value=view, source="caller", confidence=1.0),  # type: ignore[arg-type]
            options=AnalysisOptions(height_m=first.body.height_m, handedness=handedness),  # type: ignore[arg-type]
        ),
        movements=tuple(movements), starts=tuple(starts), camera=camera,
    )  # fmt: skip


def judge(clip: Clip) -> Judged:
    """Measure the clip, and lay every number beside its truth."""
    measurements, outcome = measure_openly(clip)
    main = MAIN_EVENT[clip.context.mode]
    reads: list[Read] = []
    events: list[Timed] = []
    matched: set[int] = set()
    for movement, start in zip(clip.movements, clip.starts, strict=True):
        moments = [(abs(f.events[main].time_s - start - movement.events[main]), i)
                   for i, f in enumerate(outcome.found) if main in f.events]  # fmt: skip
        if not moments or min(moments)[0] > MATCH_S:
            continue
        index = min(moments)[1]
        matched.add(index)
        found = outcome.found[index]
        document = measurements.repetitions[index]
        for name, true in movement.events.items():
            if name in found.events:
                event = found.events[name]
                events.append(Timed(event=name, error=event.time_s - start - true, half_width=event.half_width_s))
        for name, reading in found.outcomes.items():
            if name in document.metrics:
                reads += _lay_beside(name, reading, movement, clip, document.metrics[name])
        if clip.context.mode == "bowling" and "run_up_speed_ratio" in movement.truth:
            reads = [_seen_ratio(read, found, start, movement) for read in reads]
    for name, reading in outcome.whole_clip.items():
        if len(clip.movements) == 1 and name in measurements.metrics:
            reads += _lay_beside(name, reading, clip.movements[0], clip, measurements.metrics[name])
    return Judged(
        measurements=measurements, reads=tuple(reads), events=tuple(events), found=len(matched),
        false=len(outcome.found) - len(matched),
    )  # fmt: skip


def measure_openly(clip: Clip) -> tuple[Measurements, ModeOutcome]:
    """`measure`, and the readings behind its documents."""
    mode = clip.context.mode
    specs, room = ROOMS[mode]
    seen: list[ModeOutcome] = []

    def listen(scene: Scene) -> ModeOutcome:
        seen.append(room(scene))
        return seen[-1]

    ROOMS[mode] = (specs, listen)
    try:
        measurements = measure(clip.poses, clip.context)
    finally:
        ROOMS[mode] = (specs, room)
    return measurements, seen[0]


def _seen_ratio(read: Read, found: Found, start: float, movement: Movement) -> Read:
    """The ratio is that of the run-up's visible part, which begins with the first step found."""
    if read.metric != "run_up_speed_ratio" or not found.steps:
        return read
    first = found.steps[0].time_s - start
    moments = [
        found.events[n].time_s for n in ("back_foot_contact", "front_foot_contact", "release") if n in found.events
    ]
    until = moments[0] - start
    third = (until - first) / 3
    return replace(read, truth=movement.speed(until - third, until) / movement.speed(first + third, until - third))


def _lay_beside(name: str, reading: Outcome, movement: Movement, clip: Clip, document: Metric) -> list[Read]:
    truth = movement.truth.get(f"{name}@{clip.camera.view}", movement.truth.get(name))
    if truth is None or not isinstance(document.value, float) or not isinstance(reading, Reading):
        return []
    doubts = max((document.sys or 0.0) ** 2 - reading.sys**2, 0.0)  # what the recording adds to every reading
    modelled = reading.sys if reading.modelled is None else reading.modelled
    return [Read(
        metric=name, value=document.value, truth=float(truth), expected=float(document.expected_error or 0.0),
        modelled=float(np.sqrt(modelled**2 + doubts + reading.rand**2 / reading.n)), status=document.status,
    )]  # fmt: skip
