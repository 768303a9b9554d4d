"""Poses already extracted are kept: a later attempt at a job goes on from them instead of inferring again.

`<source folder>/analysis/<job id>/checkpoints/<stage>-<fingerprint>.npz`. The fingerprint says what the poses are the
answer to: model, request, format, and the version of this code (results say which code made them). Which clip it was is
inside, and the actor compares. Of a long clip every segment is kept as soon as it is there, in a file of its own with
the segment's number at the end of its name. They go when the job is done; those of a job that failed or was canceled
stay as long as its other artifacts, for its owner may have it tried again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import TypeVar

from inference.extract import Extraction, ExtractRequest
from inference.extraction_io import FORMAT, read_extraction, read_part, write_extraction, write_part
from inference.parts import SegmentPeople
from inference.poses import ModelInfo
from inference.probe import Survey
from models.artifacts import ArtifactStore, artifact_folder
from models.errors import NotFound, StoreError
from models.jobs import ClaimedJob
from pipeline.stages import Stage

T = TypeVar("T")
logger = logging.getLogger(__name__)

KEPT_S = 5.0
"""How long a job that is done waits for the keeping of its poses, so as to delete them."""


def fingerprint(model: ModelInfo, wanted: ExtractRequest) -> str:
    """The first half of a SHA-256 over everything but the clip that an extraction depends on."""
    request = asdict(replace(wanted, priority=0))  # how soon, not what
    said = {"format": FORMAT, "code": version("frontfoot"), "model": asdict(model), "request": request}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


def find(store: ArtifactStore, job: ClaimedJob, stage: Stage, mark: str) -> Extraction | None:
    """What an earlier attempt kept. Whatever is wrong with it, or with the store, is a warning and no more."""
    return _found(store, job, stage, _key(job, stage, mark), lambda content: read_extraction(content, fingerprint=mark))


def find_parts(store: ArtifactStore, job: ClaimedJob, stage: Stage, mark: str, surveyed: Survey) -> list[SegmentPeople]:
    """The segments of this clip that an earlier attempt kept; as `find`."""
    found: list[SegmentPeople] = []
    for segment in surveyed.segments:
        key = _key(job, stage, mark, segment.number)
        part = _found(store, job, stage, key, lambda content: read_part(content, fingerprint=mark))
        if part is not None and part.segment == segment and part.clip_sha256 == surveyed.clip.sha256:
            found.append(part)
    return found


def keep(
    store: ArtifactStore, job: ClaimedJob, stage: Stage, wanted: ExtractRequest, poses: Callable[[], Extraction]
) -> Future[None]:
    """Store what a stage extracted, on a thread of its own: neither the stage nor its end waits for the store.

    `poses` gives them, on that thread. What goes wrong is a warning: the results are on their way, and they are what
    counts. (Not a Ray task: a burst of clips would start a process for each, and each imports for four CPU seconds.)
    """

    def write() -> None:
        extraction = poses()
        mark = fingerprint(extraction.poses.model, wanted)
        store.put_bytes(job.bucket, _key(job, stage, mark), write_extraction(extraction, fingerprint=mark))

    return _kept(job, stage, write)


def keep_part(
    store: ArtifactStore, job: ClaimedJob, stage: Stage, wanted: ExtractRequest, part: SegmentPeople
) -> Future[None]:
    """Store one segment's people; as `keep`."""

    def write() -> None:
        mark = fingerprint(part.model, wanted)
        key = _key(job, stage, mark, part.segment.number)
        store.put_bytes(job.bucket, key, write_part(part, fingerprint=mark))

    return _kept(job, stage, write)


def _found(store: ArtifactStore, job: ClaimedJob, stage: Stage, key: str, read: Callable[[bytes], T]) -> T | None:
    try:
        return read(b"".join(store.open(job.bucket, key).chunks))
    except NotFound:
        return None
    except (StoreError, ValueError) as error:
        fields = {"job_id": job.id, "stage": stage}
        logger.warning("Kept poses cannot be used: job_id=%s stage=%s %s", job.id, stage, error, extra=fields)
        return None


def _kept(job: ClaimedJob, stage: Stage, write: Callable[[], None]) -> Future[None]:
    kept: Future[None] = Future()

    def work() -> None:
        try:
            write()
        except Exception as error:  # noqa: BLE001 - nobody fails by it
            fields = {"job_id": job.id, "stage": stage}
            logger.warning("Poses not kept: job_id=%s stage=%s %s", job.id, stage, error, extra=fields)
        finally:
            kept.set_result(None)

    threading.Thread(target=work, name=f"keep-{job.id}", daemon=True).start()
    return kept


def forget(store: ArtifactStore, job: ClaimedJob, keeping: Sequence[Future[None]]) -> None:
    """Delete what a job kept, once that is there. Where the store is slow it stays, until the job's files go."""
    wait(keeping, timeout=KEPT_S)
    try:
        store.delete_prefix(job.bucket, _folder(job))
    except StoreError as error:
        fields = {"job_id": job.id}
        logger.warning("Kept poses not deleted: job_id=%s %s", job.id, error.message, extra=fields)


def _folder(job: ClaimedJob) -> str:
    return f"{artifact_folder(job.source_key, job.id)}/checkpoints/"


def _key(job: ClaimedJob, stage: Stage, mark: str, segment: int | None = None) -> str:
    return f"{_folder(job)}{stage}-{mark}{'' if segment is None else f'-{segment}'}.npz"
