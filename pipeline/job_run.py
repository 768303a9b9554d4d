"""One claimed job from start to end: submits its graphs, beats its lease, writes progress, and ends it in the queue."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from ray.exceptions import RayError

from inference.errors import ModelUnknown
from inference.extract import Extraction
from models.errors import ArtifactsMissing, JobCanceled, LeaseLost, StoreUnavailable
from models.queue import ClaimedJob
from models.requests import AnalysisRequest
from models.storage import Storage, StorageOptions
from pipeline import dag
from pipeline.cluster import Cluster
from pipeline.errors import HandedBack, ModeMissing, RequestInvalid
from pipeline.failures import failure_of
from pipeline.persist import Persisted
from pipeline.sources import clip_source
from pipeline.stages import Limits, Stage, extract_request

logger = logging.getLogger(__name__)

TICK_S = 0.5
"""How often progress and cancellation travel."""
SINK_S = 5.0
"""How long the sink may take to return once it has ended the job in the database."""
_SPANS: dict[Stage, tuple[float, float]] = {"quick": (0.0, 45.0), "deep": (50.0, 90.0)}
"""progress_pct at the start and the end of pose extraction; what is between belongs to metrics and drawing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRunner:
    """What every job of a worker needs."""

    storage: Storage
    storage_options: StorageOptions
    cluster: Cluster
    limits: Limits

    def run(self, claimed: ClaimedJob, hand_back: threading.Event) -> None:
        """Run a job to whatever end. Raises nothing: the end is in the queue, and the worker lives on."""
        fields = {"job_id": claimed.id, "attempt": claimed.attempt}
        logger.info("Job claimed: job_id=%s attempt=%d", claimed.id, claimed.attempt, extra=fields)
        try:
            self._run_stages(claimed, hand_back)
        except ArtifactsMissing:
            pass  # the guardrails ended the job in their own transaction, and `persist` said so
        except LeaseLost:
            logger.warning("Lease lost: job_id=%s", claimed.id, extra=fields)
        except Exception as error:  # noqa: BLE001 - whatever a clip does, the next job must run
            self._end(claimed, error)

    def _run_stages(self, claimed: ClaimedJob, hand_back: threading.Event) -> None:
        request = request_of(claimed)
        if request.model not in {None, self.cluster.model}:
            raise ModelUnknown(f"This worker runs {self.cluster.model}, not {request.model}.")
        with self.cluster.borrowed() as actor:
            run = _StageRun(runner=self, claimed=claimed, request=request, actor=actor, hand_back=hand_back)
            graph = run.run("quick")
            if request.deep_enabled:
                self.storage.queue.start_deep(claimed.lease)
                run.run("deep", dag.extraction_of(graph))

    def _end(self, claimed: ClaimedJob, error: Exception) -> None:
        """Say in the queue how the job ended. If the database is away the lease runs out, and that says it too."""
        failure = failure_of(error)
        fields = {"job_id": claimed.id, "error_code": failure.code, "transient": failure.transient}
        try:
            if failure.code == HandedBack.code:
                self.storage.queue.release(claimed.lease)
                logger.info("Job handed back: job_id=%s", claimed.id, extra=fields)
            elif failure.code == JobCanceled.code:
                self.storage.queue.mark_canceled(claimed.lease)
                logger.info("Job canceled: job_id=%s", claimed.id, extra=fields)
            else:
                job = self.storage.queue.fail(claimed.lease, failure.code, failure.message, failure.transient)
                logger.error(
                    "Job attempt failed: job_id=%s error_code=%s status=%s %s",
                    claimed.id,
                    failure.code,
                    job.status,
                    failure.message,
                    extra=fields,
                    exc_info=error if failure.code == "internal_error" else None,
                )
        except (LeaseLost, StoreUnavailable) as second:
            logger.warning("Job end not recorded: job_id=%s %s", claimed.id, second.code, extra=fields)


def request_of(claimed: ClaimedJob) -> AnalysisRequest:
    """The job's request, checked again: rows may come from elsewhere. Raises ModeMissing, RequestInvalid."""
    if claimed.job.analysis_mode is None:
        raise ModeMissing
    try:
        return claimed.job.request()
    except ValidationError as error:
        fault = error.errors()[0]
        raise RequestInvalid(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class _StageRun:
    runner: JobRunner
    claimed: ClaimedJob
    request: AnalysisRequest
    actor: Any
    hand_back: threading.Event

    def run(self, stage: Stage, quick: Extraction | None = None) -> dag.StageGraph:
        """Submit a stage's graph and see it to its end; DEEP follows whom `quick` chose."""
        runner, job = self.runner, self.claimed
        graph = dag.submit_stage(
            stage,
            actor=self.actor,
            job=job,
            # A link of its own for each stage: it must not run out before the stage is done.
            source=clip_source(runner.storage.store, job.bucket, job.source_key, runner.limits),
            wanted=extract_request(stage, self.request, runner.limits, quick),
            request=self.request,
            limits=runner.limits,
            storage=runner.storage_options,
        )
        try:
            while not dag.finished(graph, timeout_s=TICK_S):
                if self.hand_back.is_set():
                    raise HandedBack
                try:
                    self._beat(stage)
                except LeaseLost:
                    # The sink may have ended the job between our look and our beat: then its word counts.
                    if not dag.finished(graph, timeout_s=SINK_S):
                        raise
        except BaseException:
            dag.cancel(graph, self.actor, job)
            self._log_if_ended(graph)
            raise
        persisted = _logged(dag.outcome(graph))
        if persisted.error:
            raise persisted.error
        return graph

    def _log_if_ended(self, graph: dag.StageGraph) -> None:
        """A sink that had ended the job before it was canceled has lines to say that operators search for."""
        if dag.finished(graph, timeout_s=SINK_S):
            with suppress(RayError):
                _logged(dag.outcome(graph))

    def _beat(self, stage: Stage) -> None:
        """Renew the lease, write progress, bring back cancellation. The lease may outlast a database away."""
        start, end = _SPANS[stage]
        share = dag.progress(self.actor, self.claimed)
        try:
            reply = self.runner.storage.queue.heartbeat(self.claimed.lease, round(start + (end - start) * share))
        except StoreUnavailable:
            logger.warning("Heartbeat not written: job_id=%s", self.claimed.id, extra={"job_id": self.claimed.id})
            return
        if reply.cancel_requested:
            raise JobCanceled


def _logged(persisted: Persisted) -> Persisted:
    """Write what the sink's process had to say to this process's log."""
    for record in persisted.records:
        logging.getLogger(record.name).handle(record)
    return persisted
