"""Poses in, measurements out: `measure` is the only way into this room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from inference.poses import PoseSequence
from models.documents import Metric, ViewDocument
from models.requests import Mode
from pipeline.biomechanics.clock import judge_clock
from pipeline.biomechanics.cut import explain_cuts
from pipeline.biomechanics.detected import detect, judge_hand
from pipeline.biomechanics.doubts import apply_doubts
from pipeline.biomechanics.events.contacts import find_steps_along
from pipeline.biomechanics.gates import Verdict, refused, worst
from pipeline.biomechanics.ground import GroundLine
from pipeline.biomechanics.metrics import batting, bowling, common, fielding, wicketkeeping
from pipeline.biomechanics.motion import Motion, prepare
from pipeline.biomechanics.plots import collect_signals
from pipeline.biomechanics.readings import ModeOutcome, Outcome, Spec, to_metric, to_repetition
from pipeline.biomechanics.recording import camera_moves, collect_issues, is_visible
from pipeline.biomechanics.runs import longest_run
from pipeline.biomechanics.scene import Scene
from pipeline.biomechanics.standing_view import decide_standing_view
from pipeline.biomechanics.steps import compute_facing, find_steps
from pipeline.biomechanics.view import compute_travel, decide_view
from pipeline.measurements import MeasureContext, Measurements, RecordingIssue

ROOMS: dict[Mode, tuple[tuple[Spec, ...], Callable[[Scene], ModeOutcome]]] = {
    "bowling": (bowling.SPECS, bowling.measure_bowling),
    "batting": (batting.SPECS, batting.measure_batting),
    "wicketkeeping": (wicketkeeping.SPECS, wicketkeeping.measure_wicketkeeping),
    "fielding": (fielding.SPECS, fielding.measure_fielding),
}
NOT_SEEN = refused(
    "the athlete was well seen in too few frames",
    "Film the whole athlete, head to feet, unobstructed and near enough.",
)


def measure(poses: PoseSequence, context: MeasureContext) -> Measurements:
    """Measure what this recording allows, and say of the rest why not.

    Pure and deterministic. Every metric id of the mode is in `metrics`, in a fixed order. A sequence in which the
    athlete is hardly seen gives no number at all and the recording issue `INSUFFICIENT_POSE_VISIBILITY`.
    """
    specs, room = ROOMS[context.mode]
    specs = common.fit_units(specs, context.options)
    if len(poses.timestamps_s) < 2 or not is_visible(poses):
        return _nothing(poses, context, specs)
    scene = _look(poses, context)
    specs = _applicable(specs, scene)
    outcome = explain_cuts(scene, room(scene))
    detected = detect(scene, outcome.hands)
    hand = judge_hand(detected["handedness"], repetitions=len(outcome.hands))
    outcome = apply_doubts(scene, specs, outcome, hand)
    gates = {spec.id: _gate(scene, spec, outcome) for spec in specs}
    metrics = {spec.id: _metric(spec, gates[spec.id], outcome) for spec in specs}
    motion = scene.motion
    return Measurements(
        mode=context.mode,
        stage=context.stage,
        view=scene.view,
        options=context.options,
        metrics=metrics,
        repetitions=tuple(to_repetition(i, found, specs, gates) for i, found in enumerate(outcome.found))
        if context.stage == "deep"
        else (),
        signals=collect_signals(scene, metrics),
        recording=collect_issues(scene, context, outcome.found),
        real_fps=round(motion.fps, 3),
        visible_share=_visible_share(motion),
        off_square_deg=None if scene.travel.yaw is None else round(scene.travel.yaw, 1),
        detected=detected,
    )


def _look(poses: PoseSequence, context: MeasureContext) -> Scene:
    given = context.view
    runs = context.mode in ("bowling", "fielding")

    def clean(*, side: bool) -> Motion:
        slowmo = context.options.slowmo_factor
        return prepare(
            poses, slowmo, constant_view=side, in_plane=side and runs, upright=context.mode == "bowling",
            overlap=context.overlap,
        )  # fmt: skip

    motion = clean(side=given.value == "side")
    travel = compute_travel(motion, poses.frame_size)
    view = decide_view(given, travel) if runs else decide_standing_view(given, travel, motion, context.mode)
    if view.value == "side" and given.value != "side":
        motion = clean(side=True)
        travel = compute_travel(motion, poses.frame_size)
    if runs and view.value == "side" and travel.line is not None:
        motion = _scale_along(motion, travel.line)
    told = {"right": 1, "left": -1}.get(context.options.direction or "")
    facing = told or compute_facing(motion)
    if view.value in ("front", "behind"):
        steps = find_steps_along(motion)
    else:
        steps = find_steps(motion, facing) if (travel.yaw is None or travel.yaw <= 35) else ()
    return Scene(
        motion=motion, mode=context.mode, stage=context.stage, view=view, options=context.options, travel=travel,
        facing=facing, steps=steps, camera_moves=camera_moves(motion, steps),
        clock=judge_clock(motion, steps, context.options.height_m),
    )  # fmt: skip


def _scale_along(motion: Motion, line: GroundLine) -> Motion:
    """With the stature of somebody on the line: less noisy than one moment's, and no oblique leg shortens it."""
    hips = motion.point("hips").path[:, 0]
    seen = np.flatnonzero(~np.isnan(hips))
    return replace(motion, stature=line.size(np.interp(np.arange(len(hips)), seen, hips[seen])))


def _applicable(specs: Sequence[Spec], scene: Scene) -> tuple[Spec, ...]:
    """A batter or a keeper who takes no steps, or is filmed along the pitch, is not asked for a step rate."""
    walks = scene.athletes_left is None and len(longest_run(scene.steps, scene.motion.slowmo)) >= 3
    if walks or scene.mode in ("bowling", "fielding"):
        return tuple(specs)
    walking = {common.CADENCE.id, common.STEP_LENGTH.id, common.TRAVEL_SPEED.id}
    return tuple(spec for spec in specs if spec.id not in walking)


def _gate(scene: Scene, spec: Spec, outcome: ModeOutcome) -> Verdict:
    """The recording's verdict: by the frame rate where the repetitions are, or else over the whole clip."""
    spans: list[tuple[float, float] | None] = [(found.start_s, found.end_s) for found in outcome.found]
    if spec.id in outcome.whole_clip or not spans:
        spans = [None]
    return worst(*(scene.gate(spec, span) for span in spans))


def _metric(spec: Spec, gate: Verdict, outcome: ModeOutcome) -> Metric:
    found: list[Outcome] = [f.outcomes[spec.id] for f in outcome.found if spec.id in f.outcomes]
    if spec.id in outcome.whole_clip:
        found = [outcome.whole_clip[spec.id]]
    fundamental = spec.view == "never" or spec.not_built is not None
    if not found and not fundamental and not (gate.reason or "").startswith("quick pass"):
        gate = outcome.missing
    return to_metric(spec, gate, found, outcome.missing)


def _visible_share(motion: Motion) -> float:
    return round(float(np.mean(motion.well_seen)), 3)


def _nothing(poses: PoseSequence, context: MeasureContext, specs: Sequence[Spec]) -> Measurements:
    """No number at all: who is not seen is not measured."""
    walking = {common.CADENCE.id, common.STEP_LENGTH.id, common.TRAVEL_SPEED.id}
    if context.mode in ("batting", "wicketkeeping"):
        specs = [spec for spec in specs if spec.id not in walking]
    issue = RecordingIssue(
        id="INSUFFICIENT_POSE_VISIBILITY",
        text="The athlete was well seen in too few frames to measure anything.",
        advice=NOT_SEEN.advice or "",
    )
    interval = np.median(np.diff(poses.timestamps_s)) if len(poses.timestamps_s) > 1 else np.inf
    return Measurements(
        mode=context.mode,
        stage=context.stage,
        view=ViewDocument(value=context.view.value, source=context.view.source, confidence=context.view.confidence),
        options=context.options,
        metrics={spec.id: to_metric(spec, NOT_SEEN, [], NOT_SEEN) for spec in specs},
        repetitions=(),
        signals=(),
        recording=(issue,),
        real_fps=round(float(context.options.slowmo_factor / interval), 3),
        visible_share=round(float(np.mean(poses.seen)), 3) if len(poses.seen) else 0.0,
    )
