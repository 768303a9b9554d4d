"""One trial from claim to end: the clip from the store, the stages of every analysis, what differs, and it is kept."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from inference.errors import ExtractionCanceled, InferenceError, NoPerson, RuntimeBroken, SubjectNotFound
from inference.extract import PoseExtractor
from models.artifacts import trial_folder
from models.errors import INTERNAL_ERROR, LeaseLost, StoreError, StoreUnavailable
from models.storage import Storage
from models.stored import DoneJob, DoneJobs
from models.trials import ClaimedTrial, TrialOutcome, Trials
from pipeline.coaching.datafiles import DataFileError
from pipeline.comparison.differences import Failed, Outcome, compared
from pipeline.comparison.documents import ComparedClip
from pipeline.run import run_stages
from pipeline.sources import clip_source
from pipeline.stages import Limits
from pipeline.trials import files

logger = logging.getLogger(__name__)

LOOK_S = 0.2
"""How often an extraction is asked whether it is still wanted."""
UNREADABLE = "results_unreadable"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """One version, loaded, and where the jobs are that it measures."""

    storage: Storage
    trials: Trials
    extractor: PoseExtractor
    model: str
    """`name@version`."""
    limits: Limits
    lease_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Measured:
    """What came of a job, and where that was stored."""

    outcome: TrialOutcome
    said: str
    """In a word."""
    bucket: str = ""
    folder: str | None = None


def run_trial(bench: Bench, claimed: ClaimedTrial, stop: threading.Event) -> None:
    """Measure one job. What is wrong with it is the trial's end, and kept; an outage or `stop` hands it back.

    Raises StoreUnavailable, and RuntimeBroken: then nothing can be measured in this process any more.
    """
    started = time.perf_counter()
    try:
        with _held(bench, claimed, stop) as canceled:
            measured = _measured(bench, claimed, canceled)
    except (ExtractionCanceled, LeaseLost):
        bench.trials.hand_back(claimed)  # where it is somebody else's already, this does nothing
        return
    except StoreUnavailable as error:
        if not _reachable(bench):
            bench.trials.hand_back(claimed)
            raise
        bench.trials.hand_back(claimed, error.code)  # it is this job's file: the others need not wait for it
        return
    except (InferenceError, StoreError, DataFileError) as error:
        if isinstance(error, InferenceError) and error.transient:
            bench.trials.hand_back(claimed, error.code)
            if isinstance(error, RuntimeBroken):
                raise
            return
        measured = _failed(error.code)
    except ValueError as error:
        logger.warning("Trial's job cannot be read: job_id=%s %s", claimed.job_id, error)
        measured = _failed(UNREADABLE)
    except Exception:  # one job must not end the trials of all others
        logger.exception("Trial failed: job_id=%s model=%s", claimed.job_id, bench.model)
        measured = _failed(INTERNAL_ERROR)
    if not bench.trials.finish(claimed, measured.outcome):
        _forget(bench, measured)
        return
    seconds = round(time.perf_counter() - started, 1)
    fields = {"job_id": claimed.job_id, "model": bench.model, "outcome": measured.said, "seconds": seconds}
    logger.info("Trial ended: %s", " ".join(f"{name}={value}" for name, value in fields.items()), extra=fields)


def _reachable(bench: Bench) -> bool:
    """Whether the store answers, so that what was not to be had is one object."""
    try:
        bench.storage.store.check()
    except StoreError:
        return False
    return True


def _measured(bench: Bench, claimed: ClaimedTrial, canceled: threading.Event) -> _Measured:
    store, done = bench.storage.store, DoneJobs(bench.storage.database).get(claimed.job_id)
    bucket, source_key, request = done.job.s3_bucket or "", done.job.s3_key or "", done.job.request()
    source = clip_source(store, bucket, source_key, bench.limits)
    before = files.job_outcome(store, bucket, done.results_key)
    try:
        quick, final = run_stages(source, request, extractor=bench.extractor, limits=bench.limits, canceled=canceled)
    except (NoPerson, SubjectNotFound) as error:  # what the version makes of the clip; anything else is not its doing
        clip = compared(done.job.id, request.analysis_mode, before, Failed(code=error.code))
        return _Measured(outcome=_outcome(done, clip, error_code=error.code), said=error.code)
    after = Outcome(extraction=final.extraction, results=final.results)
    clip = compared(done.job.id, request.analysis_mode, before, after)
    bench.trials.renew(claimed)  # nothing is stored for a trial that is lost
    folder = trial_folder(source_key, done.job.id, claimed.token)
    files.keep(store, bucket, folder, bench.model, (quick, final) if final is not quick else (final,))
    key = files.stage_key(folder, final.results.stage)
    outcome = _outcome(done, clip, results_key=key)
    return _Measured(outcome=outcome, said=f"{clip.flips}_findings_differ", bucket=bucket, folder=folder)


def _outcome(
    done: DoneJob, clip: ComparedClip, *, results_key: str | None = None, error_code: str | None = None
) -> TrialOutcome:
    return TrialOutcome(
        base=done.job.resolved_model,
        base_key=done.results_key,
        results_key=results_key,
        error_code=error_code,
        comparison=clip.model_dump(mode="json"),
    )


def _failed(code: str) -> _Measured:
    return _Measured(outcome=TrialOutcome(error_code=code), said=code)


def _forget(bench: Bench, measured: _Measured) -> None:
    """Delete what nobody will look at: the job went, or changed, while it was measured."""
    if measured.folder is None:
        return
    try:
        bench.storage.store.delete_prefix(measured.bucket, measured.folder)
    except StoreError as error:
        logger.warning("Trial's files not deleted: key=%s %s", measured.folder, error.message)


@contextmanager
def _held(bench: Bench, claimed: ClaimedTrial, stop: threading.Event) -> Iterator[threading.Event]:
    """Renews the lease while the block runs; yields what is set once nobody wants its outcome any more."""
    ended, canceled = threading.Event(), threading.Event()
    if stop.is_set():  # a short clip would be over before the first look
        canceled.set()

    def beat() -> None:
        due = time.monotonic() + bench.lease_s / 3
        while not ended.wait(LOOK_S):
            if stop.is_set():
                canceled.set()
            if time.monotonic() < due:
                continue
            due = time.monotonic() + bench.lease_s / 3
            try:
                bench.trials.renew(claimed)
            except LeaseLost:
                canceled.set()
            except StoreError as error:  # the lease outlasts a missed beat
                logger.warning("Trial's lease not renewed: job_id=%s %s", claimed.job_id, error.message)

    thread = threading.Thread(target=beat, name=f"trial-{claimed.job_id}", daemon=True)
    thread.start()
    try:
        yield canceled
    finally:
        ended.set()
        thread.join()
