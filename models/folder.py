"""The store that is a folder."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from models.artifacts import (
    CHUNK_BYTES,
    OpenedObject,
    StoredObject,
    StoredUpload,
    UploadLinks,
    byte_range,
    check_key,
    content_type,
    limited,
)
from models.errors import InvalidKey, NotFound, StoreUnavailable


class FolderStore:
    """The embedded default: one bucket, `local`, that is a folder."""

    bucket = "local"
    buckets = frozenset({bucket})

    _PARTIAL = ".partial"

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def put_bytes(self, bucket: str, key: str, content: bytes) -> None:
        """See ArtifactStore."""
        self.put_stream(bucket, key, iter((content,)), len(content))

    def put_file(self, bucket: str, key: str, path: Path) -> None:
        """See ArtifactStore."""
        with path.open("rb") as source:
            self.put_stream(bucket, key, iter(lambda: source.read(CHUNK_BYTES), b""), path.stat().st_size)

    def put_stream(self, bucket: str, key: str, chunks: Iterator[bytes], max_bytes: int) -> StoredUpload:
        """See ArtifactStore."""
        target = self._path(bucket, key)
        digest, size = hashlib.sha256(), 0
        with self._replacing(target) as descriptor:
            for chunk in limited(chunks, max_bytes):
                with _disk():
                    _write_all(descriptor, chunk)
                digest.update(chunk)
                size += len(chunk)
        return StoredUpload(size=size, sha256=digest.hexdigest())

    def open(self, bucket: str, key: str, *, start: int = 0, end: int | None = None) -> OpenedObject:
        """See ArtifactStore."""
        found = self.stat(bucket, key)
        first, last = byte_range(found.size, start, end)
        return OpenedObject(
            chunks=_read(self._path(bucket, key), first, last - first + 1),
            start=first,
            end=last,
            size=found.size,
            content_type=found.content_type,
        )

    def stat(self, bucket: str, key: str) -> StoredObject:
        """See ArtifactStore."""
        path = self._path(bucket, key)
        with _disk():
            if not path.is_file():
                raise NotFound
            size = path.stat().st_size
        return StoredObject(bucket=bucket, key=key, size=size, content_type=content_type(key))

    def exists(self, bucket: str, key: str) -> bool:
        """See ArtifactStore."""
        try:
            self.stat(bucket, key)
        except NotFound:
            return False
        return True

    def local_path(self, bucket: str, key: str) -> Path | None:
        """See ArtifactStore."""
        self.stat(bucket, key)
        return self._path(bucket, key)

    def presigned_url(self, bucket: str, key: str, expires_s: int, *, disposition: str | None = None) -> str | None:
        """None: a folder signs nothing."""
        self._path(bucket, key)
        return None

    def upload_links(
        self, bucket: str, key: str, *, size: int, sha256: str | None, expires_s: int
    ) -> UploadLinks | None:
        """None: a folder has no door of its own."""
        self._path(bucket, key)
        return None

    def finish_upload(self, bucket: str, key: str, multipart_id: str, etags: Mapping[int, str] | None) -> None:
        """NotFound: no upload in parts ever began here."""
        raise NotFound

    def abort_uploads(self, bucket: str, key: str) -> None:
        """Nothing: what is half-written here has no name yet; `sweep` finds it."""
        self._path(bucket, key)

    def sweep(self, idle_s: float) -> int:
        """See ArtifactStore."""
        count, oldest = 0, time.time() - idle_s
        with _disk(), suppress(FileNotFoundError):
            for path in (self._root / self._PARTIAL).iterdir():
                with suppress(FileNotFoundError):  # its writer came to an end meanwhile
                    if path.stat().st_mtime < oldest:
                        path.unlink()
                        count += 1
        return count

    def delete(self, bucket: str, key: str) -> None:
        """See ArtifactStore."""
        path = self._path(bucket, key)
        with _disk(), suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()

    def check(self) -> None:
        """See ArtifactStore."""
        with _disk():
            self._root.mkdir(parents=True, exist_ok=True)
        if not os.access(self._root, os.W_OK | os.X_OK):
            raise StoreUnavailable("The folder store cannot be written.")

    def delete_prefix(self, bucket: str, prefix: str) -> int:
        """See ArtifactStore."""
        folder = self._path(bucket, prefix.removesuffix("/"))
        count = 0
        with _disk():
            for path, folders, files in os.walk(folder, topdown=False):
                for name in files:
                    Path(path, name).unlink(missing_ok=True)
                    count += 1
                for name in (*folders, ""):
                    with suppress(OSError):  # somebody put something there meanwhile: it stays
                        Path(path, name).rmdir()
        return count

    def _path(self, bucket: str, key: str) -> Path:
        if bucket != self.bucket:
            raise NotFound
        path = self._root / check_key(key)
        # A link inside the folder must not lead out of it, whoever made it.
        if key.startswith(f"{self._PARTIAL}/") or not path.resolve().is_relative_to(self._root.resolve()):
            raise InvalidKey
        return path

    @contextmanager
    def _replacing(self, target: Path) -> Iterator[int]:
        """A file to write into, that becomes `target` at the end, or vanishes when anything is raised."""
        partial = self._root / self._PARTIAL / uuid.uuid4().hex
        with _disk():
            partial.parent.mkdir(parents=True, exist_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            try:
                yield descriptor
                with _disk():
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            with _disk():
                partial.replace(target)
                _sync_folder(target.parent)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


@contextmanager
def _disk() -> Iterator[None]:
    """What the disk refuses may go well later."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"The folder store failed: {error.strerror}.") from error


def _write_all(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, start: int, length: int) -> Generator[bytes]:
    with _disk(), path.open("rb") as file:
        file.seek(start)
        while length > 0 and (chunk := file.read(min(CHUNK_BYTES, length))):
            length -= len(chunk)
            yield chunk
