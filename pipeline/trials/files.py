"""What lies in the store of both sides of a trial: the job's own results and poses, and those of the other version."""

from __future__ import annotations

from collections.abc import Sequence

from inference.extraction_io import read_extraction, write_extraction
from models.artifacts import ArtifactStore, sibling_key
from models.documents import Results
from pipeline.comparison.differences import Outcome
from pipeline.rederive import extraction_of, stored_poses
from pipeline.results import json_bytes
from pipeline.run import StageOutcome
from pipeline.stages import Stage

EXTRACTION = "extraction.npz"
"""Exactly what was extracted, so that drawing it later draws what was measured."""


def job_outcome(store: ArtifactStore, bucket: str, results_key: str) -> Outcome:
    """What a job's results say, and the poses beside them.

    Raises NotFound, PosesUnreadable and its kin, and ValueError where they are not each other's.
    """
    results = read_results(store, bucket, results_key)
    return Outcome(extraction=extraction_of(results, stored_poses(store, bucket, results_key)), results=results)


def trial_outcome(store: ArtifactStore, bucket: str, results_key: str, model: str) -> Outcome:
    """What `keep` kept. Raises NotFound, and ValueError where it is another version's or of other code."""
    content = _read(store, bucket, sibling_key(results_key, EXTRACTION))
    extraction = read_extraction(content, fingerprint=model)
    return Outcome(extraction=extraction, results=read_results(store, bucket, results_key))


def keep(store: ArtifactStore, bucket: str, folder: str, model: str, stages: Sequence[StageOutcome]) -> None:
    """Store the results of the stages that ran, and the last one's extraction."""
    for outcome in stages:
        store.put_bytes(bucket, stage_key(folder, outcome.results.stage), json_bytes(outcome.results))
    store.put_bytes(bucket, f"{folder}/{EXTRACTION}", write_extraction(stages[-1].extraction, fingerprint=model))


def stage_key(folder: str, stage: Stage) -> str:
    """Where a stage's results are: the name that they have among a job's own files."""
    return f"{folder}/{stage}_results.json"


def read_results(store: ArtifactStore, bucket: str, key: str) -> Results:
    """A stored document. Raises NotFound, and ValueError where it is none."""
    return Results.model_validate_json(_read(store, bucket, key))


def _read(store: ArtifactStore, bucket: str, key: str) -> bytes:
    return b"".join(store.open(bucket, key).chunks)
