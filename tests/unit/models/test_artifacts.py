from __future__ import annotations

import hashlib
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import S3Server

from models.artifacts import (
    CHUNK_BYTES,
    ArtifactStore,
    artifact_key,
    byte_range,
    check_key,
    content_type,
    sibling_key,
)
from models.errors import InvalidKey, NotFound, RangeNotSatisfiable, StoreError, StoreUnavailable, UploadTooLarge
from models.folder import FolderStore
from models.s3 import PART_BYTES, S3Options, S3Store

KEY = "sessions/one/source/clip.mp4"
LARGE = bytes(range(256)) * (PART_BYTES // 256 * 2 + 1000)
"""Two whole parts and a small one that is longer than a chunk."""


def content(store: ArtifactStore, key: str = KEY, **part: int) -> bytes:
    return b"".join(store.open(store.bucket, key, **part).chunks)


def in_chunks(data: bytes, size: int = 100_000) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


class TestKeys:
    def test_artifacts_lie_beside_their_source(self) -> None:
        assert artifact_key("a/b/clip.mp4", "job", 2, "report.html") == "a/b/analysis/job/2/report.html"
        assert artifact_key("clip.mp4", "job", 1, "overlay.mp4") == "analysis/job/1/overlay.mp4"
        assert sibling_key("a/b/1/deep_results.json", "report.html") == "a/b/1/report.html"
        assert sibling_key("deep_results.json", "report.html") == "report.html"

    def test_the_longest_source_key_leaves_room_in_the_row(self) -> None:
        key = artifact_key("k/" * 199 + "kk", "0b9d7c55-52f4-4a3e-8d3b-1a0b6f1c2d3e", 999, "quick_results.json")
        assert len(key) <= 500

    @pytest.mark.parametrize(
        "key",
        [
            "",
            "/",
            "/etc/passwd",
            "a//b",
            "a/",
            "../a",
            "a/../../b",
            "a/..",
            "./a",
            "a\\b",
            "a\0b",
            "a\nb",
            "é" * 513,
            "a" * 256,
            "\ud800",
        ],
    )
    def test_what_is_no_plain_path_is_refused(self, key: str) -> None:
        with pytest.raises(InvalidKey):
            check_key(key)

    @pytest.mark.parametrize(
        "key", ["a", "a/b.c", "Zoë/Nets 1 (é).mp4", "..a/b..", "a" * 255, "/".join(["a" * 254] * 4)]
    )
    def test_everything_else_is_a_key(self, key: str) -> None:
        assert check_key(key) == key

    @pytest.mark.parametrize(
        ("key", "expected"),
        [("a.JSON", "application/json"), ("a/b.mp4", "video/mp4"), ("a", "application/octet-stream")],
    )
    def test_content_types(self, key: str, expected: str) -> None:
        assert content_type(key) == expected

    def test_ranges(self) -> None:
        assert byte_range(10, 0, None) == (0, 9)
        assert byte_range(10, 3, 3) == (3, 3)
        assert byte_range(10, 3, 99) == (3, 9)
        assert byte_range(0, 0, None) == (0, -1)
        for start, end in ((10, None), (11, 20)):
            with pytest.raises(RangeNotSatisfiable):
                byte_range(10, start, end)
        for start, end in ((-1, None), (5, 4)):
            with pytest.raises(ValueError, match="no such range"):
                byte_range(10, start, end)


class TestEveryStore:
    def test_bytes_come_back(self, store: ArtifactStore) -> None:
        store.put_bytes(store.bucket, KEY, b"video")
        assert content(store) == b"video"
        found = store.stat(store.bucket, KEY)
        assert (found.size, found.content_type) == (5, "video/mp4")
        assert store.exists(store.bucket, KEY)

    def test_what_is_put_again_replaces(self, store: ArtifactStore) -> None:
        store.put_bytes(store.bucket, KEY, b"first and longer")
        store.put_bytes(store.bucket, KEY, b"second")
        assert content(store) == b"second"

    def test_a_file(self, store: ArtifactStore, sample_clip: Path) -> None:
        store.put_file(store.bucket, KEY, sample_clip)
        assert content(store) == sample_clip.read_bytes()

    @pytest.mark.parametrize(
        "data", [b"", b"small", LARGE[:PART_BYTES], LARGE], ids=["empty", "small", "part", "parts"]
    )
    def test_a_stream(self, store: ArtifactStore, data: bytes) -> None:
        stored = store.put_stream(store.bucket, KEY, in_chunks(data), len(data))
        assert (stored.size, stored.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert store.stat(store.bucket, KEY).size == len(data)
        assert content(store) == data

    def test_a_part_of_it(self, store: ArtifactStore) -> None:
        data = LARGE[: 3 * CHUNK_BYTES]
        store.put_bytes(store.bucket, KEY, data)
        opened = store.open(store.bucket, KEY, start=CHUNK_BYTES - 1, end=2 * CHUNK_BYTES)
        assert (opened.start, opened.end, opened.size) == (CHUNK_BYTES - 1, 2 * CHUNK_BYTES, len(data))
        assert b"".join(opened.chunks) == data[CHUNK_BYTES - 1 : 2 * CHUNK_BYTES + 1]
        assert content(store, start=len(data) - 2, end=10**9) == data[-2:]
        with pytest.raises(RangeNotSatisfiable):
            store.open(store.bucket, KEY, start=len(data))

    def test_half_a_read_is_no_leak(self, store: ArtifactStore) -> None:
        store.put_bytes(store.bucket, KEY, LARGE[: 3 * CHUNK_BYTES])
        store.open(store.bucket, KEY)
        chunks = store.open(store.bucket, KEY).chunks
        assert len(next(chunks)) <= CHUNK_BYTES
        chunks.close()  # type: ignore[attr-defined]

    @pytest.mark.parametrize("size", [1, PART_BYTES, 2 * PART_BYTES, len(LARGE) - 1])
    def test_too_much_leaves_nothing(self, store: ArtifactStore, size: int) -> None:
        with pytest.raises(UploadTooLarge):
            store.put_stream(store.bucket, KEY, in_chunks(LARGE[: size + 1]), size)
        assert not store.exists(store.bucket, KEY)

    @pytest.mark.parametrize("size", [1, 2 * PART_BYTES + 1])
    def test_a_sender_that_fails_leaves_what_was_there(self, store: ArtifactStore, size: int) -> None:
        def breaking() -> Iterator[bytes]:
            yield from in_chunks(LARGE[:size])
            raise ConnectionResetError("the phone lost its network")

        store.put_bytes(store.bucket, KEY, b"before")
        with pytest.raises(ConnectionResetError):
            store.put_stream(store.bucket, KEY, breaking(), 10**9)
        assert content(store) == b"before"

    def test_nothing_there(self, store: ArtifactStore) -> None:
        assert not store.exists(store.bucket, KEY)
        for look in (store.stat, store.open):
            with pytest.raises(NotFound):
                look(store.bucket, KEY)
        store.delete(store.bucket, KEY)
        assert store.delete_prefix(store.bucket, "sessions") == 0

    def test_a_folder_is_no_object(self, store: ArtifactStore) -> None:
        store.put_bytes(store.bucket, KEY, b"x")
        assert not store.exists(store.bucket, "sessions/one")

    def test_other_buckets_are_not_there(self, store: ArtifactStore) -> None:
        assert not store.exists("elsewhere", KEY)
        for act in (
            lambda: store.put_bytes("elsewhere", KEY, b"x"),
            lambda: store.put_stream("elsewhere", KEY, iter((b"x",)), 9),
            lambda: store.stat("elsewhere", KEY),
            lambda: store.presigned_url("elsewhere", KEY, 60),
            lambda: store.delete_prefix("elsewhere", "sessions"),
        ):
            with pytest.raises(NotFound):
                act()

    @pytest.mark.parametrize("key", ["../clip.mp4", "/etc/passwd", "a/../../b", "a\0b"])
    def test_no_key_leads_out(self, store: ArtifactStore, key: str) -> None:
        for act in (
            lambda: store.put_bytes(store.bucket, key, b"x"),
            lambda: store.open(store.bucket, key),
            lambda: store.local_path(store.bucket, key),
            lambda: store.presigned_url(store.bucket, key, 60),
            lambda: store.delete(store.bucket, key),
            lambda: store.delete_prefix(store.bucket, key),
        ):
            with pytest.raises(InvalidKey):
                act()

    def test_deleting(self, store: ArtifactStore) -> None:
        for key in ("a/1/x", "a/1/y", "a/10/z", "b"):
            store.put_bytes(store.bucket, key, b"x")
        assert store.delete_prefix(store.bucket, "a/1/") == 2
        assert [store.exists(store.bucket, key) for key in ("a/1/x", "a/1/y", "a/10/z", "b")] == [
            False,
            False,
            True,
            True,
        ]
        store.delete(store.bucket, "b")
        assert not store.exists(store.bucket, "b")

    def test_it_answers(self, store: ArtifactStore) -> None:
        store.check()

    def test_a_file_or_a_link(self, store: ArtifactStore) -> None:
        store.put_bytes(store.bucket, KEY, b"video")
        path = store.local_path(store.bucket, KEY)
        link = store.presigned_url(store.bucket, KEY, 60)
        assert (path is None) is not (link is None)
        if path:
            assert path.read_bytes() == b"video"
        if link:
            with urllib.request.urlopen(link, timeout=10) as reply:  # noqa: S310 - our own server
                assert reply.read() == b"video"


class TestFolder:
    def test_links_do_not_lead_out(self, folder_store: FolderStore, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "secret").write_text("secret")
        folder_store.put_bytes("local", "a/b", b"x")
        (tmp_path / "artifacts" / "a" / "link").symlink_to(outside)
        for act in (
            lambda: folder_store.open("local", "a/link/secret"),
            lambda: folder_store.put_bytes("local", "a/link/new", b"x"),
        ):
            with pytest.raises(InvalidKey):
                act()
        folder_store.delete_prefix("local", "a")
        assert (outside / "secret").read_text() == "secret"

    def test_half_an_upload_is_out_of_reach(self, folder_store: FolderStore, tmp_path: Path) -> None:
        def looking() -> Iterator[bytes]:
            yield b"half"
            partial = [path.name for path in (tmp_path / "artifacts" / ".partial").iterdir()]
            assert len(partial) == 1
            assert not folder_store.exists("local", KEY)
            with pytest.raises(InvalidKey):
                folder_store.open("local", f".partial/{partial[0]}")

        folder_store.put_stream("local", KEY, looking(), 100)
        assert list((tmp_path / "artifacts" / ".partial").iterdir()) == []

    def test_a_disk_that_refuses_is_transient(self, folder_store: FolderStore, tmp_path: Path) -> None:
        (tmp_path / "artifacts").write_text("a file where the folder should be")
        with pytest.raises(StoreUnavailable):
            folder_store.put_bytes("local", KEY, b"x")
        with pytest.raises(StoreUnavailable):
            folder_store.check()

    def test_readers_see_one_version_or_the_other(self, folder_store: FolderStore) -> None:
        versions = [bytes([number]) * 1_000_000 for number in range(2)]
        folder_store.put_bytes("local", KEY, versions[0])
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                for version in versions:
                    folder_store.put_bytes("local", KEY, version)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            assert all(content(folder_store) in versions for _ in range(30))
        finally:
            stop.set()
            writer.join()


class TestS3:
    def test_an_aborted_upload_leaves_no_parts(self, s3_store: S3Store, s3: S3Server) -> None:
        with pytest.raises(UploadTooLarge):
            s3_store.put_stream(s3.bucket, KEY, in_chunks(LARGE), len(LARGE) - 1)
        client = s3.client()
        assert client.list_multipart_uploads(Bucket=s3.bucket).get("Uploads", []) == []
        client.close()

    def test_content_types_are_stored(self, s3_store: S3Store, s3: S3Server) -> None:
        s3_store.put_bytes(s3.bucket, "a/report.html", b"x")
        s3_store.put_stream(s3.bucket, KEY, in_chunks(LARGE), len(LARGE))
        client = s3.client()
        types = [client.head_object(Bucket=s3.bucket, Key=key)["ContentType"] for key in ("a/report.html", KEY)]
        client.close()
        assert types == ["text/html; charset=utf-8", "video/mp4"]

    def test_more_buckets_where_they_are_allowed(self, s3: S3Server, s3_options: S3Options) -> None:
        client = s3.client()
        client.create_bucket(Bucket="second")
        store = S3Store(
            S3Options(
                bucket=s3.bucket,
                allowed_buckets=("second", "missing"),
                endpoint_url=s3_options.endpoint_url,
                region=s3_options.region,
                access_key_id=s3_options.access_key_id,
                secret_access_key=s3_options.secret_access_key,
            )
        )
        store.put_bytes("second", KEY, b"x")
        assert store.exists("second", KEY)
        with pytest.raises(NotFound):
            store.stat("missing", KEY)
        store.delete("second", KEY)
        client.delete_bucket(Bucket="second")
        client.close()
        store.close()

    def test_wrong_credentials_are_not_transient(self, s3: S3Server) -> None:
        store = S3Store(
            S3Options(
                bucket=s3.bucket,
                endpoint_url=s3.endpoint_url,
                region=s3.region,
                access_key_id=s3.access_key_id,
                secret_access_key="wrong",
            )
        )
        with pytest.raises(StoreError) as raised:
            store.put_bytes(s3.bucket, KEY, b"x")
        assert not raised.value.transient
        assert "wrong" not in repr(S3Options(bucket="b", secret_access_key="wrong"))
        store.close()

    def test_nobody_there_is_transient(self) -> None:
        store = S3Store(
            S3Options(
                bucket="b", endpoint_url="http://127.0.0.1:1", region="r", access_key_id="a", secret_access_key="s"
            )
        )
        for act in (
            store.check,
            lambda: store.put_bytes("b", KEY, b"x"),
            lambda: store.put_file("b", KEY, Path(__file__)),
            lambda: store.stat("b", KEY),
        ):
            with pytest.raises(StoreUnavailable):
                act()
        store.close()
