"""What a trial measured becomes its job's results: drawn first, then one transaction that checks everything."""

from __future__ import annotations

import logging

from models.artifacts import sibling_key
from models.errors import InvalidTransition
from models.replacing import NewResult, replace_results
from models.storage import Storage
from models.stored import DoneJobs
from models.trials import Trial
from pipeline import stages
from pipeline.sources import clip_source
from pipeline.stages import Limits
from pipeline.trials.files import read_results, trial_outcome

logger = logging.getLogger(__name__)


def replace(storage: Storage, trial: Trial, limits: Limits) -> None:
    """Draw the report of what `trial` measured, store its files, and let its job show that from now on.

    The old results and their files stay in the store, where `trial.outcome.base_key` says. Raises InvalidTransition,
    ArtifactsMissing, SourceMissing, NotFound, InferenceError, and ValueError where other code kept the extraction: then
    the job shows what it showed before.
    """
    key = trial.outcome.results_key
    if key is None:
        raise InvalidTransition("The version has no results of this job.")
    job, store = DoneJobs(storage.database).get(trial.job_id).job, storage.store
    request, outcome = job.request(), trial_outcome(store, trial.bucket, key, trial.model)
    results = outcome.results
    source = clip_source(store, trial.bucket, trial.source_key, limits)
    measurements = stages.measure_poses(outcome.extraction, request, results.stage)
    files = stages.draw(source, outcome.extraction, measurements, results, limits)
    for name, content in sorted(files.items()):
        store.put_bytes(trial.bucket, sibling_key(key, name), content)

    new = {}
    for stage in ("quick", "deep") if results.stage == "deep" else ("quick",):
        stage_at = sibling_key(key, f"{stage}_results.json")
        document = read_results(store, trial.bucket, stage_at).model_dump(mode="json", warnings=False)
        new[stage] = NewResult(document=document, s3_key=stage_at)
    replace_results(storage.database, trial, new["quick"], new.get("deep"))
    fields = {"job_id": trial.job_id, "model": trial.model, "before": trial.outcome.base_key, "key": key}
    logger.info("Results replaced: %s", " ".join(f"{name}={value}" for name, value in fields.items()), extra=fields)
