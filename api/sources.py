"""Videos in the store: those that a `source_uri` names, in a bucket that may be read and nowhere else, and uploads."""

from __future__ import annotations

from contextlib import closing

from api.problems import FieldError, Problem
from api.sniff import SNIFF_BYTES, Container, sniff
from models.artifacts import ArtifactStore, StoredObject, check_key, is_artifact
from models.errors import BucketNotAllowed, InvalidKey, NotFound, SourceMissing
from models.sessions import check_source_key
from models.uploads import UPLOADS

NOT_A_VIDEO = "The content is neither MP4, MOV, Matroska, WebM, AVI nor MPEG-TS."


def locate(store: ArtifactStore, uri: str) -> tuple[str, str]:
    """`s3://bucket/key` → bucket and key; the store is not asked whether something is there.

    Raises BucketNotAllowed, KeyTooLong and `validation_failed`.
    """
    scheme, _, place = uri.partition("://")
    bucket, _, key = place.partition("/")
    if scheme != "s3" or bucket not in store.buckets:
        raise BucketNotAllowed("A source is `s3://bucket/key`, in one of the buckets that the operator allows.")
    try:
        check_key(key)
    except InvalidKey:
        fault = FieldError(field="source_uri", source="body", code="source_uri", detail="Give `s3://bucket/key`.")
        raise Problem("validation_failed", f"{fault.field}: {fault.detail}", errors=[fault]) from None
    if key.startswith(f"{UPLOADS}/") or is_artifact(key):
        raise BucketNotAllowed("What a session's upload or an analysis left belongs to that session alone.")
    check_source_key(key)
    return bucket, key


def stored_source(store: ArtifactStore, uri: str, max_bytes: int) -> StoredObject:
    """What a `source_uri` names: it is there, not too large, and a video by its first bytes.

    Raises what `locate` raises, SourceMissing, `upload_too_large`, `video_empty` and `not_a_video`.
    """
    bucket, key = locate(store, uri)
    try:
        found = store.stat(bucket, key)
        container = container_of(store, found)
    except NotFound:
        raise SourceMissing from None
    if found.size == 0:
        raise Problem("video_empty")
    if found.size > max_bytes:
        raise Problem("upload_too_large", f"A video has at most {max_bytes} bytes.")
    if container is None:
        raise Problem("not_a_video", NOT_A_VIDEO)
    return found


def container_of(store: ArtifactStore, found: StoredObject) -> Container | None:
    """What a stored object is by its first bytes; None where it is no video. Raises NotFound."""
    if found.size == 0:
        return None
    opened = store.open(found.bucket, found.key, end=min(SNIFF_BYTES, found.size) - 1)
    with closing(opened.chunks) as chunks:
        return sniff(b"".join(chunks))
