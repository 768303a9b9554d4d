"""The last node of the graph: artifacts first, then one fenced transaction that checks the guardrails.

The log lines are the contract's: operators search for their words and `key=value` pairs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from models.artifacts import artifact_key
from models.documents import Results
from models.errors import ArtifactsMissing
from models.queue import ClaimedJob
from models.storage import Storage, StorageOptions
from pipeline.results import json_bytes
from pipeline.stages import Stage

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Persisted:
    """What was stored, or why not, with the log records of the process that did it."""

    key: str | None
    error: Exception | None
    records: tuple[logging.LogRecord, ...]


def persist(
    storage: Storage, job: ClaimedJob, stage: Stage, results: Results, files: Mapping[str, bytes] | None
) -> str:
    """Store a stage's artifacts, then its documents. Returns the key of its results.

    `files` is None for a stage that is not the job's last. Raises LeaseLost or JobCanceled when the job is no longer
    ours and ArtifactsMissing when the guardrails refuse the documents: then the job is failed and shows no result.
    """
    key = artifact_key(job.source_key, job.id, job.attempt, f"{stage}_results.json")
    for name, content in sorted((files or {}).items()):
        storage.store.put_bytes(job.bucket, artifact_key(job.source_key, job.id, job.attempt, name), content)
    _log(f"Saving {stage} results to S3", {"job_id": job.id, "bucket": job.bucket, "key": key})
    storage.store.put_bytes(job.bucket, key, json_bytes(results))

    document: dict[str, Any] = results.model_dump(mode="json", warnings=False)
    last = files is not None
    kind = "Deep" if job.job.deep_enabled else "Quick-only"
    try:
        if last:
            storage.queue.finish(job.lease, stage=stage, document=document, s3_key=key)
        else:
            storage.queue.save_quick(job.lease, document=document, s3_key=key)
    except ArtifactsMissing as error:
        _log(f"{kind} job failed validation", {"job_id": job.id}, level=logging.ERROR, tail=error.message)
        raise
    sizes: dict[str, object] = {"findings_len": len(results.findings.findings), "report_len": len(results.report.text)}
    _log("Persisted job artifacts", {"job_id": job.id, **sizes})
    if last:
        _log(f"[PERSISTED] {kind} job completed", {"job_id": job.id, f"{stage}_results_s3_key": key, **sizes})
    return key


def persist_recording_logs(
    options: StorageOptions, job: ClaimedJob, stage: Stage, results: Results, files: Mapping[str, bytes] | None
) -> Persisted:
    """`persist` as a Ray task: its log records travel back, so that the worker writes them to its own standard output.

    (Ray forwards what a task logs to the driver's standard error, with a prefix: no longer one JSON object a line.)
    """
    with _Recording(logger) as records:
        try:
            key, error = persist(_storage(options), job, stage, results, files), None
        except Exception as raised:  # noqa: BLE001 - it is handed over whole, with the records that explain it
            key, error = None, raised
    return Persisted(key=key, error=error, records=tuple(records))


@lru_cache(maxsize=4)
def _storage(options: StorageOptions) -> Storage:
    """One connection pool a process, not one a job."""
    return options.open()


class _Recording(logging.Handler):
    """Keeps the records of one logger for as long as the block runs."""

    def __init__(self, source: logging.Logger) -> None:
        super().__init__()
        self._source = source
        self._records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record that can be pickled: its message is already made."""
        record.msg, record.args = record.getMessage(), None
        self._records.append(record)

    def __enter__(self) -> list[logging.LogRecord]:
        self._source.addHandler(self)
        self._source.setLevel(logging.INFO)
        self._source.propagate = False
        return self._records

    def __exit__(self, *_: object) -> None:
        self._source.removeHandler(self)
        self._source.propagate = True


def _log(sentence: str, values: Mapping[str, object], *, level: int = logging.INFO, tail: str = "") -> None:
    """`sentence: key=value …`, with the values as fields too."""
    pairs = " ".join(f"{key}={value}" for key, value in values.items())
    logger.log(level, "%s: %s", sentence, f"{pairs} {tail}".strip(), extra=values)
