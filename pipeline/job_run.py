"""One claimed job from start to end: brings it to an actor, submits its graphs, and ends it in the queue."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass

from pydantic import ValidationError

from inference.errors import ModelUnknown
from models.errors import INTERNAL_ERROR, ArtifactsMissing, JobCanceled, LeaseLost, StoreUnavailable
from models.jobs import ClaimedJob, Job
from models.requests import AnalysisRequest
from pipeline import checkpoints
from pipeline.errors import HandedBack, ModelNotLoaded, ModeMissing, NeighbourCrash, RequestInvalid
from pipeline.failures import Failure, failure_of
from pipeline.generation import Generation
from pipeline.heart import Heart, Pulse
from pipeline.stage_run import StageRun, StageTools

logger = logging.getLogger(__name__)

RECORD_AGAIN_S = 1.0
"""Between two tries to say in the queue how a job ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRunner:
    """What every job of a worker needs."""

    tools: StageTools
    heart: Heart
    follows: str | None
    """The alias that the worker follows."""

    def run(self, claimed: ClaimedJob, generation: Generation, hand_back: threading.Event) -> None:
        """Run a job to whatever end, on actors of this generation alone, which the caller holds.

        Raises nothing: the end is in the queue, and the worker lives on.
        """
        fields = {"job_id": claimed.id, "attempt": claimed.attempt}
        logger.info("Job claimed: job_id=%s attempt=%d", claimed.id, claimed.attempt, extra=fields)
        with self.heart.beating(claimed.lease) as pulse:
            try:
                keeping = self._run_stages(claimed, generation, pulse, hand_back)
                self.tools.metrics.job_ended("done")
                checkpoints.forget(self.tools.storage.store, claimed, keeping)
            except ArtifactsMissing as error:
                # The guardrails ended the attempt in their own transaction, and `persist` said so.
                self.tools.metrics.attempt_failed(error.code, retried=error.retried)
                if not error.retried:
                    self.tools.metrics.job_ended("failed")
            except LeaseLost:
                self._log_lost(claimed)
            except Exception as error:  # noqa: BLE001 - whatever a clip does, the next job must run
                self._end(claimed, error)

    def _run_stages(
        self, claimed: ClaimedJob, generation: Generation, pulse: Pulse, hand_back: threading.Event
    ) -> list[Future[None]]:
        """See all stages to their end. Returns the poses that are being kept."""
        request = request_of(claimed)
        check_model(request.model, claimed.job.resolved_model, generation.model, follows=self.follows)
        run = StageRun(
            tools=self.tools,
            generation=generation,
            claimed=claimed,
            request=request,
            pulse=pulse,
            hand_back=hand_back,
        )
        quick = run.run("quick")
        if request.deep_enabled:
            self.tools.storage.queue.start_deep(claimed.lease)
            run.run("deep", quick)
        return run.keeping

    def _end(self, claimed: ClaimedJob, error: Exception) -> None:
        """Say in the queue how the job ended; again and again while the database is away and the lease may hold."""
        failure = failure_of(error)
        fields = {"job_id": claimed.id, "error_code": failure.code, "transient": failure.transient}
        deadline = time.monotonic() + self.tools.storage_options.lease_s
        while True:
            try:
                return self._record(claimed, error, failure, fields)
            except LeaseLost:
                return self._log_lost(claimed)
            except JobCanceled:  # its lease had run out, and whoever took it back saw that its owner did not want it
                logger.info("Job canceled: job_id=%s", claimed.id, extra=fields)
                return None
            except StoreUnavailable as away:
                if time.monotonic() > deadline:
                    logger.warning("Job end not recorded: job_id=%s %s", claimed.id, away.code, extra=fields)
                    return None
                time.sleep(RECORD_AGAIN_S)

    def _record(self, claimed: ClaimedJob, error: Exception, failure: Failure, fields: dict[str, object]) -> None:
        queue, lease = self.tools.storage.queue, claimed.lease
        if failure.code == NeighbourCrash.code:
            if queue.release(lease, crashed=True).crashes > claimed.job.crashes:
                logger.warning("Actor died, job runs alone next: job_id=%s", claimed.id, extra=fields)
            else:
                logger.warning("Canary's actor died, production is next: job_id=%s", claimed.id, extra=fields)
        elif failure.code == HandedBack.code:
            queue.release(lease)
            logger.info("Job handed back: job_id=%s", claimed.id, extra=fields)
        elif failure.code == JobCanceled.code:
            queue.mark_canceled(lease)
            logger.info("Job canceled: job_id=%s", claimed.id, extra=fields)
            self.tools.metrics.job_ended("canceled")
        else:
            self._log_failed(queue.fail(lease, failure.code, failure.message, failure.transient), error, failure)

    def _log_failed(self, job: Job, error: Exception, failure: Failure) -> None:
        fields = {"job_id": job.id, "error_code": failure.code, "transient": failure.transient}
        logger.error(
            "Job attempt failed: job_id=%s error_code=%s status=%s %s",
            job.id,
            failure.code,
            job.status,
            failure.message,
            extra=fields,
            exc_info=error if failure.code == INTERNAL_ERROR else None,
        )
        self.tools.metrics.attempt_failed(failure.code, retried=job.status == "queued")
        if job.status != "queued":
            self.tools.metrics.job_ended(job.status)

    def _log_lost(self, claimed: ClaimedJob) -> None:
        logger.warning("Lease lost: job_id=%s", claimed.id, extra={"job_id": claimed.id, "attempt": claimed.attempt})
        self.tools.metrics.lease_lost()


def check_model(asked: str | None, meant: str | None, runs: str | None, *, follows: str | None) -> None:
    """No job is measured by another model than it asks for, or is said to get.

    Raises ModelUnknown, ModelNotLoaded, and HandedBack where the job leaves it to the worker, which `follows` that
    alias, and what it had begun with was dropped just as it was claimed again.
    """
    if meant == runs and meant is not None:
        return
    if asked in {None, follows}:
        if meant is not None:
            raise HandedBack(f"The job began with {meant}, which this worker has just dropped.")
        return
    if meant is None:
        raise ModelUnknown(f"There is no model {asked!r} in the catalogue, or it is retired.")
    raise ModelNotLoaded(f"The job asks for {asked}, which is {meant}; this worker runs {runs}.")


def request_of(claimed: ClaimedJob) -> AnalysisRequest:
    """The job's request, checked again: rows may come from elsewhere. Raises ModeMissing, RequestInvalid."""
    if claimed.job.analysis_mode is None:
        raise ModeMissing
    try:
        return claimed.job.request()
    except ValidationError as error:
        fault = error.errors()[0]
        raise RequestInvalid(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
