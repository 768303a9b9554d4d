"""A stored object → a `ClipSource` that an actor anywhere can open without credentials."""

from __future__ import annotations

from inference.sources import ClipSource, LinkedClip, LocalClip
from models.artifacts import ArtifactStore
from models.errors import SourceMissing
from pipeline.stages import Limits

LINK_LIFETIME_S = 6 * 3600


def clip_source(store: ArtifactStore, bucket: str, key: str, limits: Limits) -> ClipSource:
    """A path where the store is a folder, a presigned link where it is S3. Raises SourceMissing."""
    if not store.exists(bucket, key):
        raise SourceMissing
    url = store.presigned_url(bucket, key, LINK_LIFETIME_S)
    if url is not None:
        return LinkedClip(url=url, size_limit=limits.max_source_bytes)
    path = store.local_path(bucket, key)
    if path is None:
        raise SourceMissing
    return LocalClip(path=path)
