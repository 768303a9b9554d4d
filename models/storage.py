"""Database and artifact store together, opened from a small picklable: what a worker, a task and the API all need."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from models.artifacts import ArtifactStore
from models.database import Database
from models.folder import FolderStore
from models.queue import JobQueue
from models.s3 import S3Options, S3Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Storage:
    """An open database with its job queue, and an artifact store."""

    database: Database
    queue: JobQueue
    store: ArtifactStore

    def close(self) -> None:
        """Close the database's connections."""
        self.database.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageOptions:
    """Where things are kept. May hold a password: it is handed only to processes that may write, and never printed."""

    database_url: str = field(repr=False)
    folder: Path
    """Artifacts of the folder store; unused where `s3` is given."""
    s3: S3Options | None = None
    lease_s: float = 60.0
    max_attempts: int = 3
    max_active_jobs: int = 0
    """Of one owner; 0 is no limit."""

    def open(self) -> Storage:
        """Make the objects; nothing connects before its first use."""
        database = Database(self.database_url)
        return Storage(
            database=database,
            queue=JobQueue(
                database,
                lease_s=self.lease_s,
                max_attempts=self.max_attempts,
                max_active_jobs=self.max_active_jobs,
            ),
            store=S3Store(self.s3) if self.s3 else FolderStore(self.folder),
        )
