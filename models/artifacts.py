"""Where files go: what every store can do, and how keys are made."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from models.errors import InvalidKey, RangeNotSatisfiable, UploadTooLarge

CHUNK_BYTES = 256 * 1024
"""How much of an object is in memory while it is read."""

CONTENT_TYPES = {
    ".avi": "video/x-msvideo",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp4": "video/mp4",
    ".pdf": "application/pdf",
    ".parquet": "application/vnd.apache.parquet",
    ".ts": "video/mp2t",
    ".webm": "video/webm",
}

TRIALS = "trials"
"""In a job's folder, beside those of its attempts: what other versions of the model made of it."""

_ARTIFACT = re.compile(r"(^|/)analysis/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredObject:
    """What is in the store under a key."""

    bucket: str
    key: str
    size: int
    content_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredUpload:
    """A stream that is now in the store."""

    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedObject:
    """An object, or the part of it from byte `start` to byte `end`, both included."""

    chunks: Generator[bytes]
    """Close it when it is not read to its end."""
    start: int
    end: int
    """`start - 1` in an empty object."""
    size: int
    """Bytes of the whole object."""
    content_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadPart:
    """One PUT of exactly `size` bytes."""

    number: int
    """From 1, in the order of the object's bytes."""
    size: int
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadLinks:
    """How somebody without credentials stores one object: every part by a PUT of its own, with these headers."""

    parts: tuple[UploadPart, ...]
    headers: Mapping[str, str]
    multipart_id: str | None
    """The store's name for an upload in parts, which must be finished; None where the one PUT does it."""


class ArtifactStore(Protocol):
    """A place for files, by bucket and key.

    Every method raises InvalidKey, and StoreUnavailable where the store did not answer. A bucket that is not this
    store's is NotFound. What is put is there whole or not at all.
    """

    @property
    def bucket(self) -> str:
        """Where uploads go."""
        ...

    @property
    def buckets(self) -> frozenset[str]:
        """Every bucket that may be read and written."""
        ...

    def put_bytes(self, bucket: str, key: str, content: bytes) -> None:
        """Store some bytes."""
        ...

    def put_file(self, bucket: str, key: str, path: Path) -> None:
        """Store a copy of a file."""
        ...

    def put_stream(self, bucket: str, key: str, chunks: Iterator[bytes], max_bytes: int) -> StoredUpload:
        """Store a stream that is never whole in memory. Raises UploadTooLarge, and what `chunks` raises."""
        ...

    def open(self, bucket: str, key: str, *, start: int = 0, end: int | None = None) -> OpenedObject:
        """Read bytes `start` to `end`, both included. Raises NotFound and RangeNotSatisfiable."""
        ...

    def stat(self, bucket: str, key: str) -> StoredObject:
        """Size and type. Raises NotFound."""
        ...

    def exists(self, bucket: str, key: str) -> bool:
        """Whether something is there."""
        ...

    def local_path(self, bucket: str, key: str) -> Path | None:
        """The file itself, where the store is a folder. Raises NotFound."""
        ...

    def presigned_url(self, bucket: str, key: str, expires_s: int, *, disposition: str | None = None) -> str | None:
        """A link that needs no credentials, where the store can make one. Nobody looked whether something is there.

        `disposition` is what it will answer as `Content-Disposition`, beside the type that belongs to the key.
        """
        ...

    def upload_links(
        self, bucket: str, key: str, *, size: int, sha256: str | None, expires_s: int
    ) -> UploadLinks | None:
        """Links to store `size` bytes under a key that is still free, where the store can make them.

        What has another size or, where one PUT does it, another checksum is refused, and so is a second PUT.
        """
        ...

    def finish_upload(self, bucket: str, key: str, multipart_id: str, etags: Mapping[int, str] | None) -> None:
        """Make the object of its parts: of those named (number → ETag), or of all that arrived.

        Raises UploadInvalid where they do not make one, and NotFound where the upload was aborted.
        """
        ...

    def abort_uploads(self, bucket: str, key: str) -> None:
        """Forget unfinished uploads in parts of this object, and of every object in the folder of that name."""
        ...

    def sweep(self, idle_s: float) -> int:
        """Remove what writers that died left half-written for `idle_s`; returns how many files that was."""
        ...

    def delete(self, bucket: str, key: str) -> None:
        """Delete one object. Nothing there is no error."""
        ...

    def delete_prefix(self, bucket: str, prefix: str) -> int:
        """Delete everything in a folder; returns how many objects that was. Nothing there is no error."""
        ...

    def check(self) -> None:
        """Look whether the store answers. Raises StoreUnavailable, and NotFound for a bucket that is not there."""
        ...


def artifact_key(source_key: str, job_id: str, attempt: int, name: str) -> str:
    """`<the source's folder>/analysis/<job id>/<attempt>/<name>`."""
    return "/".join(part for part in (artifact_folder(source_key, job_id), str(attempt), name) if part)


def artifact_folder(source_key: str, job_id: str) -> str:
    """Everything that a job ever stored, and nothing else, is in it."""
    return sibling_key(source_key, f"analysis/{job_id}")


def trial_folder(source_key: str, job_id: str, token: str) -> str:
    """What one version made of a finished job, once: nothing is ever written there twice."""
    return f"{artifact_folder(source_key, job_id)}/{TRIALS}/{token.replace('-', '')[:12]}"


def is_artifact(key: str) -> bool:
    """Whether a job may have stored this."""
    return _ARTIFACT.search(key) is not None


def sibling_key(key: str, name: str) -> str:
    """The key of `name` beside `key`: `report.html` beside the `deep_results.json` that a job's row names."""
    folder, slash, _ = key.rpartition("/")
    return f"{folder}{slash}{name}"


def content_type(key: str) -> str:
    """What a browser should be told."""
    return CONTENT_TYPES.get(PurePosixPath(key).suffix.lower(), "application/octet-stream")


def check_key(key: str) -> str:
    """Returns `key` if it is a plain path of at most 1024 bytes. Raises InvalidKey."""
    parts = key.split("/")
    if not 0 < len(key.encode("utf-8", "surrogatepass")) <= 1024 or "\\" in key or not key.isprintable():
        raise InvalidKey
    if any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts):
        raise InvalidKey
    return key


def byte_range(size: int, start: int, end: int | None) -> tuple[int, int]:
    """First and last byte of what was asked for. Raises RangeNotSatisfiable."""
    if start < 0 or (end is not None and end < start):
        raise ValueError(f"no such range: {start}-{end}")
    if start >= size and (start or end is not None):
        raise RangeNotSatisfiable
    return start, size - 1 if end is None else min(end, size - 1)


def limited(chunks: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    """The same chunks, until they are too many: then UploadTooLarge."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise UploadTooLarge(f"The upload is larger than {max_bytes} bytes; nothing was kept.")
        yield chunk
