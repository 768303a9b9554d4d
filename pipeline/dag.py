"""The graph of one stage: poses → metrics → findings → report → results → drawing → persist.

Ray's own task graph, made by handing the reference that one `.remote()` returns to the next: nothing waits here, and
the driver sees only the references. (`DAGNode.execute()` is deprecated in Ray 2.60; compiled graphs take no tasks.)
Nodes are per clip, never per frame. Retries belong to the database alone, so Ray's are off.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray

from inference.extract import Extraction, ExtractRequest
from inference.sources import ClipSource
from models.queue import ClaimedJob
from models.requests import AnalysisRequest
from models.storage import StorageOptions
from pipeline import persist, stages
from pipeline.cluster import CONTROL
from pipeline.stages import Limits, Stage

_task = ray.remote(num_cpus=0.5, max_retries=0)
_measure = _task(stages.measure_poses)
_judge = _task(stages.judge)
_word = _task(stages.word)
_compose = _task(stages.compose)
_draw = ray.remote(num_cpus=1, max_retries=0)(stages.draw)
_persist = ray.remote(num_cpus=0, resources={CONTROL: 0.5}, max_retries=0)(persist.persist_recording_logs)


@dataclass(frozen=True, kw_only=True, slots=True)
class StageGraph:
    """References to what a submitted stage will come to."""

    extraction: Any
    """→ `Extraction`."""
    persisted: Any
    """→ `persist.Persisted`: the sink; when it is there, the stage is stored."""
    nodes: tuple[Any, ...]
    """Every node: all of them must be canceled, for canceling the sink leaves those above it running."""


def submit_stage(
    stage: Stage,
    *,
    actor: Any,
    job: ClaimedJob,
    source: ClipSource,
    wanted: ExtractRequest,
    request: AnalysisRequest,
    limits: Limits,
    storage: StorageOptions,
) -> StageGraph:
    """Submit the graph of one stage and return at once. The last stage of a job also draws its files."""
    last = stage == "deep" or not request.deep_enabled
    extraction = actor.extract.remote(_key(job), source, wanted)
    measurements = _measure.remote(extraction, request, stage)
    findings = _judge.remote(measurements)
    report = _word.remote(extraction, measurements, findings)
    results = _compose.remote(extraction, measurements, findings, report, request.include_frames)
    files: Any = _draw.remote(source, extraction, measurements, results, limits) if last else None
    persisted = _persist.remote(storage, job, stage, results, files)
    nodes = [extraction, measurements, findings, report, results, files, persisted]
    return StageGraph(
        extraction=extraction,
        persisted=persisted,
        nodes=tuple(node for node in nodes if node is not None),
    )


def cancel(graph: StageGraph, actor: Any, job: ClaimedJob) -> None:
    """Stop the stage: what waits never begins; a running extraction, a thread of its actor, ends at its next frame."""
    with suppress(ray.exceptions.RayError):  # an actor that is gone has nothing to cancel
        actor.cancel.remote(_key(job))
        for node in graph.nodes:
            ray.cancel(node)


def finished(graph: StageGraph, *, timeout_s: float) -> bool:
    """Wait up to `timeout_s` for the stage to end, well or badly."""
    done, _ = ray.wait([graph.persisted], timeout=timeout_s)
    return bool(done)


def extraction_of(graph: StageGraph) -> Extraction:
    """The poses of a finished stage."""
    extraction: Extraction = ray.get(graph.extraction)
    return extraction


def outcome(graph: StageGraph) -> persist.Persisted:
    """What a finished stage came to. Raises what its first failing node raised, in Ray's wrapping."""
    persisted: persist.Persisted = ray.get(graph.persisted)
    return persisted


def progress(actor: Any, job: ClaimedJob) -> float:
    """Share of the clip's extraction done, 0..1. An actor that does not answer has nothing to say: 0."""
    try:
        share: float = ray.get(actor.progress.remote(_key(job)), timeout=2.0)
    except ray.exceptions.RayError:
        return 0.0
    return share


def _key(job: ClaimedJob) -> str:
    """Names an attempt's extraction in its actor."""
    return f"{job.id}/{job.attempt}"
