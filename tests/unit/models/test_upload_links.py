"""Links by which somebody without credentials stores one object; and what half-written leaves."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator

import httpx
import pytest

from models import s3 as s3_module
from models.artifacts import UploadLinks
from models.errors import NotFound, UploadInvalid
from models.folder import FolderStore
from models.s3 import S3Store

BUCKET, KEY = "clips", "sessions/one/source/clip.mp4"
BODY = bytes(range(256)) * 4
MIB = 1024 * 1024


@pytest.fixture
def web() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=20) as client:
        yield client


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """5 MiB, the smallest that S3 takes, so that a test's upload has parts."""
    monkeypatch.setattr(s3_module, "LINKED_PART_BYTES", 5 * MIB)


def links(store: S3Store, size: int, sha256: str | None = None, key: str = KEY) -> UploadLinks:
    made = store.upload_links(BUCKET, key, size=size, sha256=sha256, expires_s=60)
    assert made is not None
    return made


class TestOnePut:
    def test_it_takes_what_was_announced_once(self, s3_store: S3Store, web: httpx.Client) -> None:
        made = links(s3_store, len(BODY), hashlib.sha256(BODY).hexdigest())
        (part,) = made.parts
        assert (part.number, part.size, made.multipart_id) == (1, len(BODY), None)
        assert web.put(part.url, content=BODY + b"!", headers=made.headers).status_code == 403
        assert web.put(part.url, content=BODY[::-1], headers=made.headers).status_code == 400
        assert web.put(part.url, content=BODY).status_code == 403  # without the headers
        assert not s3_store.exists(BUCKET, KEY)
        assert web.put(part.url, content=BODY, headers=made.headers).status_code == 200
        assert web.put(part.url, content=BODY, headers=made.headers).status_code == 412
        assert b"".join(s3_store.open(BUCKET, KEY).chunks) == BODY

    def test_a_checksum_is_not_needed(self, s3_store: S3Store, web: httpx.Client) -> None:
        made = links(s3_store, len(BODY))
        assert web.put(made.parts[0].url, content=BODY, headers=made.headers).status_code == 200

    def test_a_link_of_another_key_or_bucket_is_refused(self, s3_store: S3Store) -> None:
        with pytest.raises(NotFound):
            s3_store.upload_links("elsewhere", KEY, size=1, sha256=None, expires_s=60)


@pytest.mark.usefixtures("small_parts")
class TestParts:
    size = 5 * MIB + 7

    def sent(self, made: UploadLinks, web: httpx.Client) -> dict[int, str]:
        answers = {part.number: web.put(part.url, content=bytes(part.size)) for part in made.parts}
        assert {answer.status_code for answer in answers.values()} == {200}
        return {number: answer.headers["etag"] for number, answer in answers.items()}

    @pytest.mark.parametrize("named", [True, False])
    def test_they_make_the_object(self, s3_store: S3Store, web: httpx.Client, named: bool) -> None:
        made = links(s3_store, self.size)
        assert [part.size for part in made.parts] == [5 * MIB, 7]
        etags = self.sent(made, web)
        s3_store.finish_upload(BUCKET, KEY, made.multipart_id or "", etags if named else None)
        assert s3_store.stat(BUCKET, KEY).size == self.size
        assert web.put(made.parts[1].url, content=bytes(7)).status_code == 404  # nothing moves any more

    def test_a_part_has_its_size(self, s3_store: S3Store, web: httpx.Client) -> None:
        made = links(s3_store, self.size)
        assert web.put(made.parts[1].url, content=bytes(8)).status_code == 403

    def test_what_makes_no_object_can_be_mended(self, s3_store: S3Store, web: httpx.Client) -> None:
        made = links(s3_store, self.size)
        multipart_id = made.multipart_id or ""
        with pytest.raises(UploadInvalid):
            s3_store.finish_upload(BUCKET, KEY, multipart_id, None)
        etags = self.sent(made, web)
        with pytest.raises(UploadInvalid):
            s3_store.finish_upload(BUCKET, KEY, multipart_id, {1: '"0"', 2: '"0"'})
        s3_store.finish_upload(BUCKET, KEY, multipart_id, etags)
        assert s3_store.exists(BUCKET, KEY)

    def test_aborted_ones_are_gone_and_others_are_not(self, s3_store: S3Store, web: httpx.Client) -> None:
        keys = [KEY, f"{KEY}2", "sessions/one2/source/clip.mp4", "sessions/one/analysis/report.html"]
        made = {key: links(s3_store, self.size, key=key) for key in keys}
        s3_store.abort_uploads(BUCKET, KEY)
        s3_store.abort_uploads(BUCKET, KEY)
        assert [self.answers(made[key], web) for key in keys] == [404, 200, 200, 200]
        s3_store.abort_uploads(BUCKET, "sessions/one")
        assert [self.answers(made[key], web) for key in keys] == [404, 404, 200, 404]
        with pytest.raises(NotFound):
            s3_store.finish_upload(BUCKET, KEY, made[KEY].multipart_id or "", {1: '"0"'})
        s3_store.abort_uploads(BUCKET, "sessions/one2")

    def answers(self, made: UploadLinks, web: httpx.Client) -> int:
        return web.put(made.parts[1].url, content=bytes(7)).status_code


def test_the_largest_upload_still_fits_into_the_parts_that_s3_takes() -> None:
    sizes = list(s3_module._part_sizes(700 * 1024 * MIB))
    assert len(sizes) <= s3_module.MAX_PARTS
    assert sum(sizes) == 700 * 1024 * MIB


def test_a_folder_makes_no_links(folder_store: FolderStore) -> None:
    assert folder_store.upload_links("local", KEY, size=1, sha256=None, expires_s=60) is None
    with pytest.raises(NotFound):
        folder_store.finish_upload("local", KEY, "1", None)
    folder_store.abort_uploads("local", KEY)


def test_what_a_dead_writer_left_in_a_folder_is_swept(folder_store: FolderStore) -> None:
    assert folder_store.sweep(60) == 0

    def dies() -> Iterator[bytes]:
        yield b"half"
        (partial,) = (folder_store._root / ".partial").iterdir()
        long_ago = time.time() - 61
        os.utime(partial, (long_ago, long_ago))
        assert folder_store.sweep(62) == 0
        assert folder_store.sweep(60) == 1

    with pytest.raises(Exception, match="The folder store failed"):
        folder_store.put_stream("local", KEY, dies(), 100)
    assert not folder_store.exists("local", KEY)
