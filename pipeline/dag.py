"""The graph of one stage: poses → metrics → findings → report → results → drawing → persist.

Ray's own task graph, made by handing the reference that one `.remote()` returns to the next: nothing waits here, and
the driver sees only the references. (`DAGNode.execute()` is deprecated in Ray 2.60; compiled graphs take no tasks.)
Nodes are per clip, never per frame. Retries belong to the database alone, so Ray's are off.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray import ObjectRefGenerator

from inference.actor import ClipProgress, Extracted
from inference.extract import Extraction, ExtractRequest, join
from inference.parts import SegmentPeople
from inference.probe import Survey
from inference.segments import Segment
from inference.sources import ClipSource
from models.queue import ClaimedJob
from models.requests import AnalysisRequest
from models.storage import StorageOptions
from pipeline import persist, stages
from pipeline.cluster import CONTROL
from pipeline.stages import Limits, Stage


def _joined(
    surveyed: Survey, wanted: ExtractRequest, inferred: int, *parts: SegmentPeople
) -> tuple[Extraction, Extracted]:
    """The people of all segments → the athlete's poses, and what that came to."""
    return join(surveyed, parts, wanted), Extracted(inferred=inferred, kept=False, surveyed=surveyed)


_task = ray.remote(num_cpus=0.5, max_retries=0)
_join: Any = ray.remote(num_cpus=0.5, max_retries=0, num_returns=2)(_joined)  # its types know one return
_measure = _task(stages.measure_poses)
_judge = _task(stages.judge)
_word = _task(stages.word)
_compose = _task(stages.compose)
_draw = ray.remote(num_cpus=1, max_retries=0)(stages.draw)
_persist = ray.remote(num_cpus=0, resources={CONTROL: 0.5}, max_retries=0)(persist.persist_recording_logs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Poses:
    """References to what pose extraction will come to."""

    extraction: Any
    """→ `Extraction`."""
    extracted: Any
    """→ `Extracted`: there as soon as the poses are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageGraph:
    """References to what a submitted stage will come to."""

    poses: Poses
    persisted: Any
    """→ `persist.Persisted`: the sink; when it is there, the stage is stored."""
    files: Any
    """→ what was drawn, by name; None in a stage that is not the job's last."""


def submit_extraction(
    actor: Any, job: ClaimedJob, source: ClipSource, wanted: ExtractRequest, kept: Extraction | None
) -> Poses:
    """Submit the extraction of a clip in one pass. `kept` is what an earlier attempt at the same stage extracted."""
    extraction, extracted = actor.extract.remote(_key(job), source, wanted, kept)
    return Poses(extraction=extraction, extracted=extracted)


def submit_segments(
    actor: Any,
    job: ClaimedJob,
    *,
    source: ClipSource,
    wanted: ExtractRequest,
    surveyed: Survey,
    segments: Sequence[Segment],
) -> ObjectRefGenerator:
    """Submit these segments of a clip to one actor. Yields references to their people, one after the other."""
    submitted: ObjectRefGenerator = actor.detect.remote(_segments_key(job), source, wanted, surveyed, tuple(segments))
    return submitted


def submit_join(surveyed: Survey, wanted: ExtractRequest, parts: Sequence[Any], inferred: int) -> Poses:
    """Submit the joining of all segments; `parts` are references to their people, `inferred` the new ones' frames."""
    extraction, extracted = _join.remote(surveyed, wanted, inferred, *parts)
    return Poses(extraction=extraction, extracted=extracted)


def next_part(segments: ObjectRefGenerator) -> tuple[Any, SegmentPeople] | None:
    """The next segment, which is there, and the reference to it; None where that was the last. Raises its error."""
    try:
        reference = next(segments)
    except StopIteration:
        return None
    part: SegmentPeople = ray.get(reference)
    return reference, part


def parts_there(segments: Sequence[ObjectRefGenerator], *, timeout_s: float) -> list[ObjectRefGenerator]:
    """Wait up to `timeout_s` for one of these to have another segment, or an end."""
    there: list[ObjectRefGenerator]
    there, _ = ray.wait(list(segments), timeout=timeout_s, fetch_local=False)
    return there


def put(part: SegmentPeople) -> Any:
    """A reference to a segment that is here."""
    return ray.put(part)


def submit_stage(
    stage: Stage,
    *,
    poses: Poses,
    job: ClaimedJob,
    source: ClipSource,
    request: AnalysisRequest,
    limits: Limits,
    storage: StorageOptions,
) -> StageGraph:
    """Submit what is made of poses and return at once. The last stage of a job also draws its files."""
    last = stage == "deep" or not request.deep_enabled
    extraction = poses.extraction
    measurements = _measure.remote(extraction, request, stage)
    findings = _judge.remote(measurements)
    report = _word.remote(extraction, measurements, findings)
    results = _compose.remote(extraction, measurements, findings, report, request.include_frames)
    files: Any = _draw.remote(source, extraction, measurements, results, limits) if last else None
    persisted = _persist.remote(storage, job, stage, results, files)
    return StageGraph(poses=poses, persisted=persisted, files=files)


def cancel_segments(actor: Any, job: ClaimedJob) -> None:
    """Make an actor stop the segments of this attempt, at its next frame."""
    with suppress(ray.exceptions.RayError):
        actor.cancel.remote(_segments_key(job))


def cancel(graph: StageGraph, actor: Any, job: ClaimedJob) -> None:
    """Stop a stage that has not ended by itself: its extraction at the next frame, its drawing at once.

    Whatever waits for them fails with them, and what is left takes moments; `persist` is fenced. No other node is
    canceled, and none of a stage that failed: `ray.cancel` of a task that its failed argument has just set going
    makes Ray 2.60 abort the whole process ("Tried to complete task that was not pending").
    """
    with suppress(ray.exceptions.RayError):  # an actor that is gone has nothing to cancel
        actor.cancel.remote(_key(job))
        if graph.files is not None and poses_there(graph, timeout_s=0):
            ray.cancel(graph.files)


def finished(graph: StageGraph, *, timeout_s: float) -> bool:
    """Wait up to `timeout_s` for the stage to end, well or badly."""
    done, _ = ray.wait([graph.persisted], timeout=timeout_s)
    return bool(done)


def poses_there(graph: StageGraph, *, timeout_s: float) -> bool:
    """Wait up to `timeout_s` for the extraction to end, well or badly."""
    done, _ = ray.wait([graph.poses.extracted], timeout=timeout_s)
    return bool(done)


def extracted(graph: StageGraph) -> Extracted:
    """What the extraction came to, without bringing its poses here. Raises what it raised, in Ray's wrapping."""
    note: Extracted = ray.get(graph.poses.extracted)
    return note


def extraction_of(graph: StageGraph) -> Extraction:
    """The poses themselves, once they are there."""
    extraction: Extraction = ray.get(graph.poses.extraction)
    return extraction


def outcome(graph: StageGraph) -> persist.Persisted:
    """What a finished stage came to. Raises what its first failing node raised, in Ray's wrapping."""
    persisted: persist.Persisted = ray.get(graph.persisted)
    return persisted


def progress(actor: Any, job: ClaimedJob, *, segments: bool = False) -> ClipProgress | None:
    """How far the clip's extraction is, or the actor's `segments` of it are.

    An actor that does not answer has nothing to say: None.
    """
    key = _segments_key(job) if segments else _key(job)
    try:
        so_far: ClipProgress = ray.get(actor.progress.remote(key), timeout=2.0)
    except ray.exceptions.RayError:
        return None
    return so_far


def _key(job: ClaimedJob) -> str:
    """Names an attempt's extraction in its actor."""
    return f"{job.id}/{job.attempt}"


def _segments_key(job: ClaimedJob) -> str:
    """Another name: where its segments are given up, the clip may still be extracted as a whole."""
    return f"{_key(job)}/segments"
