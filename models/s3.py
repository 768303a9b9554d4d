"""The artifact store that is S3, or anything that speaks its language."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from models.artifacts import (
    CHUNK_BYTES,
    OpenedObject,
    StoredObject,
    StoredUpload,
    UploadLinks,
    UploadPart,
    byte_range,
    check_key,
    content_type,
    limited,
)
from models.errors import NotFound, RangeNotSatisfiable, StoreError, StoreUnavailable, UploadInvalid

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, ObjectIdentifierTypeDef

PART_BYTES = 8 * 1024 * 1024
"""A stream is sent in parts of this size: S3 takes 10 000 of them, 78 GiB, and four at most are in memory."""
LINKED_PART_BYTES = 64 * 1024 * 1024
"""What is larger is uploaded by links in parts of this size; no retry repeats more than that."""
MAX_PARTS = 10_000
"""S3's own bound."""

_NOT_FOUND = {"404", "NoSuchKey", "NoSuchBucket", "NoSuchUpload", "NotFound"}
_BAD_PARTS = {"EntityTooSmall", "InvalidPart", "InvalidPartOrder", "MalformedXML"}
_RANGE = {"416", "InvalidRange"}
_PASSING = {
    "ExpiredToken",  # credentials that are just being renewed
    "OperationAborted",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Options:
    """Which server, which buckets, as whom. Without keys the AWS chain decides (environment, profile, role)."""

    bucket: str
    """Where uploads go."""
    allowed_buckets: tuple[str, ...] = ()
    """Buckets that may be read and written besides."""
    endpoint_url: str | None = None
    """None is AWS."""
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.bucket:
            raise ValueError("the S3 store needs a bucket")


class S3Store:
    """Objects of a few buckets. Connects on first use; safe to share between threads."""

    def __init__(self, options: S3Options) -> None:
        self._bucket = options.bucket
        self._buckets = frozenset((options.bucket, *options.allowed_buckets))
        self._client = _client(options)

    @property
    def bucket(self) -> str:
        """Where uploads go."""
        return self._bucket

    @property
    def buckets(self) -> frozenset[str]:
        """Every bucket that may be read and written."""
        return self._buckets

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def put_bytes(self, bucket: str, key: str, content: bytes) -> None:
        """See ArtifactStore."""
        self._check(bucket, key)
        with _answers():
            self._client.put_object(Bucket=bucket, Key=key, Body=content, ContentType=content_type(key))

    def put_file(self, bucket: str, key: str, path: Path) -> None:
        """See ArtifactStore."""
        self._check(bucket, key)
        with _answers():
            self._client.upload_file(str(path), bucket, key, ExtraArgs={"ContentType": content_type(key)})

    def put_stream(self, bucket: str, key: str, chunks: Iterator[bytes], max_bytes: int) -> StoredUpload:
        """See ArtifactStore."""
        self._check(bucket, key)
        digest, size = hashlib.sha256(), 0
        parts = _parts(limited(chunks, max_bytes))
        part = next(parts, b"")
        if len(part) < PART_BYTES:
            self.put_bytes(bucket, key, part)
            return StoredUpload(size=len(part), sha256=hashlib.sha256(part).hexdigest())
        with self._multipart(bucket, key) as (upload_id, sent):
            while part:
                digest.update(part)
                size += len(part)
                self._send_part(bucket, key, upload_id, sent, part)
                part = next(parts, b"")
        return StoredUpload(size=size, sha256=digest.hexdigest())

    def open(self, bucket: str, key: str, *, start: int = 0, end: int | None = None) -> OpenedObject:
        """See ArtifactStore."""
        found = self.stat(bucket, key)
        first, last = byte_range(found.size, start, end)
        return OpenedObject(
            chunks=self._read(bucket, key, first, last),
            start=first,
            end=last,
            size=found.size,
            content_type=found.content_type,
        )

    def stat(self, bucket: str, key: str) -> StoredObject:
        """See ArtifactStore."""
        self._check(bucket, key)
        with _answers():
            head = self._client.head_object(Bucket=bucket, Key=key)
        return StoredObject(bucket=bucket, key=key, size=head["ContentLength"], content_type=head["ContentType"])

    def exists(self, bucket: str, key: str) -> bool:
        """See ArtifactStore."""
        try:
            self.stat(bucket, key)
        except NotFound:
            return False
        return True

    def local_path(self, bucket: str, key: str) -> Path | None:
        """None: there is no file."""
        self._check(bucket, key)
        return None

    def presigned_url(self, bucket: str, key: str, expires_s: int, *, disposition: str | None = None) -> str | None:
        """See ArtifactStore."""
        self._check(bucket, key)
        where = {"Bucket": bucket, "Key": key}
        if disposition is not None:
            where |= {"ResponseContentDisposition": disposition, "ResponseContentType": content_type(key)}
        return self._signed("get_object", where, expires_s)

    def upload_links(
        self, bucket: str, key: str, *, size: int, sha256: str | None, expires_s: int
    ) -> UploadLinks | None:
        """See ArtifactStore."""
        self._check(bucket, key)
        where: dict[str, Any] = {"Bucket": bucket, "Key": key}
        if size <= LINKED_PART_BYTES:
            bound, headers = {"IfNoneMatch": "*"}, {"If-None-Match": "*"}
            if sha256 is not None:
                bound["ChecksumSHA256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
                headers["x-amz-checksum-sha256"] = bound["ChecksumSHA256"]
            url = self._signed("put_object", {**where, **bound, "ContentLength": size}, expires_s)
            return UploadLinks(parts=(UploadPart(number=1, size=size, url=url),), headers=headers, multipart_id=None)
        with _answers():
            begun = self._client.create_multipart_upload(**where, ContentType=content_type(key))
        where["UploadId"] = begun["UploadId"]
        parts = []
        for number, length in enumerate(_part_sizes(size), start=1):
            url = self._signed("upload_part", {**where, "PartNumber": number, "ContentLength": length}, expires_s)
            parts.append(UploadPart(number=number, size=length, url=url))
        return UploadLinks(parts=tuple(parts), headers={}, multipart_id=begun["UploadId"])

    def finish_upload(self, bucket: str, key: str, multipart_id: str, etags: Mapping[int, str] | None) -> None:
        """See ArtifactStore."""
        self._check(bucket, key)
        with _answers():
            if etags is None:
                pages = self._client.get_paginator("list_parts").paginate(Bucket=bucket, Key=key, UploadId=multipart_id)
                etags = {part["PartNumber"]: part["ETag"] for page in pages for part in page.get("Parts", ())}
            if not etags:
                raise UploadInvalid("No part of the upload has arrived.")
            parts: list[CompletedPartTypeDef] = [
                {"PartNumber": number, "ETag": etag} for number, etag in sorted(etags.items())
            ]
            self._client.complete_multipart_upload(
                Bucket=bucket, Key=key, UploadId=multipart_id, MultipartUpload={"Parts": parts}
            )

    def abort_uploads(self, bucket: str, key: str) -> None:
        """See ArtifactStore."""
        self._check(bucket, key)
        with _answers():
            pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=key)
            for found in [upload for page in pages for upload in page.get("Uploads", ())]:
                if found["Key"] == key or found["Key"].startswith(f"{key}/"):
                    with suppress(self._client.exceptions.NoSuchUpload):
                        self._client.abort_multipart_upload(Bucket=bucket, Key=found["Key"], UploadId=found["UploadId"])

    def sweep(self, idle_s: float) -> int:
        """0: a half-written object is an upload in parts, which whoever began it, or its deletion, aborts."""
        return 0

    def delete(self, bucket: str, key: str) -> None:
        """See ArtifactStore."""
        self._check(bucket, key)
        with _answers():
            self._client.delete_object(Bucket=bucket, Key=key)

    def check(self) -> None:
        """See ArtifactStore."""
        with _answers():
            self._client.head_bucket(Bucket=self._bucket)

    def delete_prefix(self, bucket: str, prefix: str) -> int:
        """See ArtifactStore."""
        folder = prefix.removesuffix("/")
        self._check(bucket, folder)
        count = 0
        with _answers():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{folder}/")
            for page in pages:
                keys: list[ObjectIdentifierTypeDef] = [{"Key": found["Key"]} for found in page.get("Contents", ())]
                if keys:
                    reply = self._client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
                    if reply.get("Errors"):
                        raise StoreUnavailable(f"{len(reply['Errors'])} objects could not be deleted.")
                count += len(keys)
        return count

    def _check(self, bucket: str, key: str) -> None:
        if bucket not in self._buckets:
            raise NotFound
        check_key(key)

    def _signed(self, method: str, parameters: Mapping[str, Any], expires_s: int) -> str:
        with _answers():
            return self._client.generate_presigned_url(method, Params=parameters, ExpiresIn=expires_s)

    @contextmanager
    def _multipart(self, bucket: str, key: str) -> Iterator[tuple[str, list[CompletedPartTypeDef]]]:
        """An upload in parts, completed at the end, or aborted when anything is raised: then nothing is left."""
        with _answers():
            begun = self._client.create_multipart_upload(Bucket=bucket, Key=key, ContentType=content_type(key))
        upload_id, sent = begun["UploadId"], list[Any]()
        try:
            yield upload_id, sent
            with _answers():
                self._client.complete_multipart_upload(
                    Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": sent}
                )
        except BaseException:
            # What stopped the upload is what its sender hears, even if the abort fails too.
            with suppress(StoreError), _answers():
                self._client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
            raise

    def _send_part(self, bucket: str, key: str, upload_id: str, sent: list[CompletedPartTypeDef], part: bytes) -> None:
        number = len(sent) + 1
        with _answers():
            reply = self._client.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=part)
        sent.append({"PartNumber": number, "ETag": reply["ETag"]})

    def _read(self, bucket: str, key: str, first: int, last: int) -> Generator[bytes]:
        if last < first:
            return
        with _answers():
            reply = self._client.get_object(Bucket=bucket, Key=key, Range=f"bytes={first}-{last}")
            with closing(reply["Body"]) as body:
                yield from body.iter_chunks(CHUNK_BYTES)


def _client(options: S3Options) -> S3Client:
    return boto3.session.Session().client(
        "s3",
        endpoint_url=options.endpoint_url,
        region_name=options.region,
        aws_access_key_id=options.access_key_id,
        aws_secret_access_key=options.secret_access_key,
        aws_session_token=options.session_token,
        config=Config(
            signature_version="s3v4",
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 4},
            max_pool_connections=32,
            # Servers other than AWS have no name for each bucket and do not all know the newer checksums.
            s3={"addressing_style": "path" if options.endpoint_url else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _part_sizes(size: int) -> Iterator[int]:
    """What an upload in parts by links is cut into; the last may be smaller."""
    whole = max(LINKED_PART_BYTES, -(-size // MAX_PARTS))
    for start in range(0, size, whole):
        yield min(whole, size - start)


def _parts(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in parts of PART_BYTES; the last may be smaller."""
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= PART_BYTES:
            yield bytes(waiting[:PART_BYTES])
            del waiting[:PART_BYTES]
    if waiting:
        yield bytes(waiting)


@contextmanager
def _answers() -> Iterator[None]:
    """Vendor errors stop here."""
    try:
        yield
    except ClientError as error:
        raise _translated(error) from error
    except ParamValidationError as error:
        raise StoreError(f"S3 refused the request: {error}") from error
    except Boto3Error as error:
        cause = error.__cause__ or error.__context__
        raise (_translated(cause) if isinstance(cause, ClientError) else StoreUnavailable()) from error
    except BotoCoreError as error:
        raise StoreUnavailable(f"The S3 store did not answer: {type(error).__name__}.") from error


def _translated(error: ClientError) -> StoreError:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _NOT_FOUND:
        return NotFound()
    if code in _RANGE:
        return RangeNotSatisfiable()
    if code in _BAD_PARTS:
        return UploadInvalid("The parts named do not make the upload.")
    if code in _PASSING or status >= 500:
        return StoreUnavailable(f"The S3 store is in trouble: {code}.")
    return StoreError(f"The S3 store refused: {code}.")
