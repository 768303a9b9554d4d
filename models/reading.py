"""One job, read as often as its clients ask: a single SELECT, and its documents as the text that the database keeps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

from sqlalchemy import Select, Text, bindparam, select
from sqlalchemy import cast as as_type

from models.database import Database
from models.errors import NotFound
from models.jobs import Job, Owner, OwnerType
from models.rows import job_fields
from models.tables import VideoAnalysisJob

Blob = Literal["quick_results", "deep_results", "results"]

DOCUMENTS = ("quick_findings", "quick_report", "deep_findings", "deep_report")
BLOBS: tuple[Blob, ...] = ("quick_results", "deep_results", "results")

_COLUMNS = VideoAnalysisJob.__table__.c
_OWNER = select(_COLUMNS.owner_type, _COLUMNS.owner_id).where(_COLUMNS.id == bindparam("job_id"))


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredJob:
    """A job beside its documents as JSON text; None is not there (yet)."""

    job: Job
    documents: Mapping[str, str | None]
    """Findings and reports, by column."""
    blobs: Mapping[Blob, str | None]
    """The result documents that were asked for: megabytes where the job asked for every frame."""


class JobReader:
    """Reads single jobs for their owners. No document is parsed on its way: the store wrote it as JSON."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, owner: Owner, job_id: str, blobs: Collection[Blob] = ()) -> StoredJob:
        """A job as it is now. Raises NotFound."""
        wanted = tuple(blob for blob in BLOBS if blob in blobs)
        whose = {"owner_type": owner.owner_type, "owner_id": owner.owner_id, "job_id": job_id}
        row: Any = self._database.look_up(_statement(wanted), whose)
        if row is None:
            raise NotFound
        return StoredJob(
            job=Job(**job_fields(row)),
            documents={name: cast("str | None", getattr(row, name)) for name in DOCUMENTS},
            blobs={name: cast("str | None", getattr(row, name)) for name in wanted},
        )

    def owner_of(self, job_id: str) -> Owner:
        """Whose job it is, for whoever shows something that its owner signed. Raises NotFound."""
        found = self._database.look_up(_OWNER, {"job_id": job_id})
        if found is None:
            raise NotFound
        return Owner(owner_type=cast("OwnerType", found.owner_type), owner_id=found.owner_id)


@lru_cache
def _statement(blobs: tuple[Blob, ...]) -> Select[Any]:
    """Made once: building and caching it anew would cost more than running it."""
    texts = {*DOCUMENTS, *BLOBS}
    return select(
        *(column for column in _COLUMNS if column.name not in texts),
        *(as_type(_COLUMNS[name], Text).label(name) for name in (*DOCUMENTS, *blobs)),
    ).where(
        _COLUMNS.id == bindparam("job_id"),
        _COLUMNS.owner_type == bindparam("owner_type"),
        _COLUMNS.owner_id == bindparam("owner_id"),
    )
