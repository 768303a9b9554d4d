"""One stage of one job on the cluster: a seat for its extraction, its graph, and whoever wants it to stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ray.exceptions import RayError

from inference.actor import Extracted
from inference.extract import Extraction, ExtractRequest
from inference.parts import SegmentPeople
from inference.poses import ModelInfo
from inference.probe import Survey
from inference.sources import ClipSource
from models.errors import LeaseLost
from models.jobs import ClaimedJob
from models.requests import AnalysisRequest
from models.storage import Storage, StorageOptions
from pipeline import checkpoints, dag
from pipeline.errors import HandedBack, NeighbourCrash, Stalled
from pipeline.failures import lost_its_actor
from pipeline.generation import Generation
from pipeline.heart import Pulse
from pipeline.metrics import WorkerMetrics
from pipeline.persist import Persisted
from pipeline.pool import Seat, Wish
from pipeline.segment_run import SegmentRun
from pipeline.sources import clip_source
from pipeline.stages import Limits, Stage, extract_request, room_for
from pipeline.watch import StallWatch

logger = logging.getLogger(__name__)

TICK_S = 0.5
"""How often a job looks at its progress, and whether it should stop."""
SINK_S = 5.0
"""How long the sink may take to return once it has ended the job in the database."""
_SPANS: dict[Stage, tuple[float, float]] = {"quick": (0.0, 45.0), "deep": (50.0, 90.0)}
"""progress_pct at the start and the end of pose extraction; what is between belongs to metrics and drawing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageTools:
    """What the stages of all jobs of a worker share."""

    storage: Storage
    storage_options: StorageOptions
    limits: Limits
    stall_s: float
    """Seconds without progress after which an extraction is given up, and without any actor a job handed back."""
    metrics: WorkerMetrics = field(default_factory=WorkerMetrics)


@dataclass(frozen=True, kw_only=True, slots=True)
class StageRun:
    """The stages of one job, all of them with one model."""

    tools: StageTools
    generation: Generation
    claimed: ClaimedJob
    request: AnalysisRequest
    pulse: Pulse
    hand_back: threading.Event
    keeping: list[Future[None]] = field(default_factory=list)
    """The poses that are being kept for a later attempt."""

    def run(self, stage: Stage, quick: dag.StageGraph | None = None) -> dag.StageGraph:
        """See a stage to its end; DEEP follows whom `quick` chose, and splits the clip where that found it long.

        Raises what the stage raised, in Ray's wrapping; JobCanceled, LeaseLost and HandedBack where somebody wants it
        to stop; NeighbourCrash and Stalled.
        """
        began = time.monotonic()
        chosen = dag.extraction_of(quick) if quick else None
        priority = self.claimed.job.priority
        wanted = extract_request(stage, self.request, self.tools.limits, chosen, priority=priority)
        kept = self._kept(stage, wanted)
        surveyed = dag.extracted(quick).surveyed if quick else None
        store, claimed = self.tools.storage.store, self.claimed
        with self.generation.borrowed(self._wish(stage, wanted, surveyed), check=self._check_waiting) as seat:
            actor = seat.actor
            # A link of its own for each stage, made when it begins: it must not run out before the stage is done.
            source = clip_source(store, claimed.bucket, claimed.source_key, self.tools.limits)
            parts = None if kept or not surveyed else self._segments(stage, source, wanted, surveyed, seat.model)
            joining = parts.run(seat) if parts else None
            poses = joining or dag.submit_extraction(actor, self.claimed, source, wanted, kept)
            graph = self._submit(stage, source, poses)
            if joining is None:
                with self._canceling(graph, actor):
                    self._wait_for_poses(stage, graph, seat)
                note = self._poses_note(graph, seat)
        if joining is not None:
            with self._canceling(graph, actor):
                note = self._joined_note(graph)
        self._keep_poses(stage, wanted, graph, note)
        with self._canceling(graph, actor):
            self._wait_for_sink(graph)
        persisted = _logged(dag.outcome(graph))
        if persisted.error:
            raise persisted.error
        self.tools.metrics.stage_done(stage, time.monotonic() - began, note.inferred)
        return graph

    def _kept(self, stage: Stage, wanted: ExtractRequest) -> Extraction | None:
        """The poses that an earlier attempt kept."""
        model = self.generation.model_info
        if self.claimed.attempt == 1 or model is None:
            return None
        mark = checkpoints.fingerprint(model, wanted)
        return checkpoints.find(self.tools.storage.store, self.claimed, stage, mark)

    def _wish(self, stage: Stage, wanted: ExtractRequest, surveyed: Survey | None) -> Wish:
        """What the extraction wants of an actor."""
        later = 0
        if stage == "quick" and self.request.deep_enabled:
            later = room_for(extract_request("deep", self.request, self.tools.limits, None), None)
        return Wish(
            frames=room_for(wanted, surveyed),
            later=later,
            priority=wanted.priority,
            # Where an actor died under it before, it is a suspect: no other clip must die with it.
            alone=self.claimed.job.crashes > 0,
        )

    def _segments(
        self, stage: Stage, source: ClipSource, wanted: ExtractRequest, surveyed: Survey, model: ModelInfo | None
    ) -> SegmentRun | None:
        """How to extract the clip in segments; None where it is not split."""
        if len(surveyed.segments) == 1:
            return None
        return SegmentRun(
            generation=self.generation,
            claimed=self.claimed,
            source=source,
            wanted=wanted,
            surveyed=surveyed,
            stall_s=self.tools.stall_s,
            check=self._check,
            on_progress=partial(self._note_progress, stage),
            keep=partial(checkpoints.keep_part, self.tools.storage.store, self.claimed, stage, wanted),
            keeping=self.keeping,
            kept=self._kept_parts(stage, wanted, surveyed, model),
        )

    def _kept_parts(
        self, stage: Stage, wanted: ExtractRequest, surveyed: Survey, model: ModelInfo | None
    ) -> list[SegmentPeople]:
        """The segments that an earlier attempt kept, of the model that would infer the others."""
        if self.claimed.attempt == 1 or model is None:
            return []
        mark = checkpoints.fingerprint(model, wanted)
        parts = checkpoints.find_parts(self.tools.storage.store, self.claimed, stage, mark, surveyed)
        if parts:
            fields = {"job_id": self.claimed.id, "stage": stage, "segments": len(parts), "of": len(surveyed.segments)}
            words = "Segments of an earlier attempt used: job_id=%s stage=%s segments=%d of=%d"
            logger.info(words, *fields.values(), extra=fields)
        return parts

    def _note_progress(self, stage: Stage, share: float) -> None:
        start, end = _SPANS[stage]
        self.pulse.progress_pct = start + (end - start) * share

    def _joined_note(self, graph: dag.StageGraph) -> Extracted:
        """What joining the segments came to. Raises what it raised."""
        patience = time.monotonic() + self.tools.stall_s
        while not dag.poses_there(graph, timeout_s=TICK_S):
            self._check()
            if time.monotonic() > patience:
                raise Stalled("Nothing comes of the segments: joining them stands still.")
        return dag.extracted(graph)

    def _submit(self, stage: Stage, source: ClipSource, poses: dag.Poses) -> dag.StageGraph:
        tools = self.tools
        return dag.submit_stage(
            stage,
            poses=poses,
            job=self.claimed,
            source=source,
            request=self.request,
            limits=tools.limits,
            storage=tools.storage_options,
        )

    def _wait_for_poses(self, stage: Stage, graph: dag.StageGraph, seat: Seat) -> None:
        watch = StallWatch(self.tools.stall_s)
        while not dag.poses_there(graph, timeout_s=TICK_S):
            self._check()
            so_far = dag.progress(seat.actor, self.claimed)
            if so_far:
                self._note_progress(stage, so_far.share)
            if watch.stalled(so_far):
                self.generation.kill(seat)
                raise Stalled
        self._note_progress(stage, 1.0)

    def _poses_note(self, graph: dag.StageGraph, seat: Seat) -> Extracted:
        """What the extraction came to. Raises what it raised, or NeighbourCrash."""
        try:
            return dag.extracted(graph)
        except RayError as error:
            among = self.generation.died(seat) if lost_its_actor(error) else 1
            # The nodes behind it fail one after the other; without this pause a run of bad clips would pile them up.
            dag.finished(graph, timeout_s=SINK_S)
            if among > 1:
                raise NeighbourCrash from error
            raise

    def _keep_poses(self, stage: Stage, wanted: ExtractRequest, graph: dag.StageGraph, note: Extracted) -> None:
        if note.kept:
            fields = {"job_id": self.claimed.id, "stage": stage}
            logger.info("Poses of an earlier attempt used: job_id=%s stage=%s", *fields.values(), extra=fields)
            return
        poses = partial(dag.extraction_of, graph)
        self.keeping.append(checkpoints.keep(self.tools.storage.store, self.claimed, stage, wanted, poses))

    def _wait_for_sink(self, graph: dag.StageGraph) -> None:
        patience = time.monotonic() + self.tools.stall_s
        while not dag.finished(graph, timeout_s=TICK_S):
            if time.monotonic() > patience:
                raise Stalled("Nothing came of the poses: measuring, drawing or storing stands still.")
            try:
                self._check()
            except LeaseLost:
                # The sink may have ended the job between our look and the last beat: then its word counts.
                if not dag.finished(graph, timeout_s=SINK_S):
                    raise

    @contextmanager
    def _canceling(self, graph: dag.StageGraph, actor: Any) -> Iterator[None]:
        """Cancel the graph where the block, which waits for it, is told to stop."""
        try:
            yield
        except BaseException:
            dag.cancel(graph, actor, self.claimed)
            # A sink that had ended the job before it was canceled has lines to say that operators search for.
            if dag.finished(graph, timeout_s=SINK_S):
                with suppress(RayError):
                    _logged(dag.outcome(graph))
            raise

    def _check(self) -> None:
        self.pulse.check()
        if self.hand_back.is_set():
            raise HandedBack

    def _check_waiting(self, silent_s: float) -> None:
        self._check()
        if silent_s > self.tools.stall_s:
            raise HandedBack("No pose actor of this worker answers.")


def _logged(persisted: Persisted) -> Persisted:
    """Write what the sink's process had to say to this process's log."""
    for record in persisted.records:
        logging.getLogger(record.name).handle(record)
    return persisted
