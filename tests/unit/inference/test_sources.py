"""Clips from a path and from a real HTTP server."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from inference.errors import ExtractionCanceled, InferenceError, SourceMissing, SourceTooLarge, SourceUnavailable
from inference.sources import ClipSource, Fetching, LinkedClip, LocalClip, sweep_abandoned

CONTENT = bytes(range(256)) * 8192  # 2 MiB: more than one chunk
MANY = 1 << 30


class Store(BaseHTTPRequestHandler):
    """Answers as a store does, well and badly; the path says how."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        what = self.path.split("?")[0].strip("/")
        if what.isdigit():
            self.send_error(int(what))
        elif what == "moved":
            self._redirect("/clip")
        elif what == "to-file":
            self._redirect("file:///etc/hostname")
        elif what == "to-ftp":
            self._redirect("ftp://127.0.0.1/clip")
        elif what == "silent":
            time.sleep(2)
        elif what == "falls-silent":
            self._headers(len(CONTENT))
            self.wfile.write(CONTENT[:1000])
            time.sleep(2)
        elif what == "garbage":
            self.wfile.write(b"no http at all\r\n\r\n")
            self.close_connection = True
        elif what == "endless":
            self._headers(None)
            for _ in range(64):
                self.wfile.write(CONTENT)
        else:
            self._headers(len(CONTENT) + (1000 if what == "short" else 0))
            self.wfile.write(CONTENT)

    def _headers(self, length: int | None) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def _redirect(self, place: str) -> None:
        self.send_response(302)
        self.send_header("Location", place)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up early is what some tests are about."""


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    server = Server(("127.0.0.1", 0), Store)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go; empty means that none was left."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return folder


def test_a_local_clip_is_its_file(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"x")
    with LocalClip(path=path).open() as opened:
        assert opened == path
    assert path.exists()


@pytest.mark.parametrize("name", ["missing.mp4", "."])
def test_a_local_clip_that_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceMissing), LocalClip(path=tmp_path / name).open():
        pass


@pytest.mark.parametrize("way", ["clip", "moved", "clip?X-Amz-Signature=secret"])
def test_a_linked_clip_is_a_copy_for_a_while(store: str, scratch: Path, way: str) -> None:
    with LinkedClip(url=f"{store}/{way}", size_limit=len(CONTENT)).open() as path:
        assert path.read_bytes() == CONTENT
        assert scratch in path.parents
    assert not list(scratch.iterdir())


def test_the_copy_is_removed_when_its_user_fails(store: str, scratch: Path) -> None:
    with pytest.raises(KeyError), LinkedClip(url=f"{store}/clip", size_limit=MANY).open():
        raise KeyError
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(
    ("way", "limit", "error"),
    [
        ("404", MANY, SourceMissing),
        ("403", MANY, SourceUnavailable),
        ("410", MANY, SourceMissing),
        ("408", MANY, SourceUnavailable),
        ("429", MANY, SourceUnavailable),
        ("500", MANY, SourceUnavailable),
        ("503", MANY, SourceUnavailable),
        ("short", MANY, SourceUnavailable),
        ("garbage", MANY, SourceUnavailable),
        ("silent", MANY, SourceUnavailable),
        ("to-file", MANY, SourceMissing),
        ("to-ftp", MANY, SourceUnavailable),
        ("clip", len(CONTENT) - 1, SourceTooLarge),
        ("endless", len(CONTENT), SourceTooLarge),
    ],
)
def test_what_cannot_be_fetched_says_why(
    store: str, scratch: Path, way: str, limit: int, error: type[InferenceError]
) -> None:
    source = LinkedClip(url=f"{store}/{way}?X-Amz-Signature=secret", size_limit=limit, timeout_s=0.5)
    with pytest.raises(InferenceError) as caught, source.open():
        pass
    assert type(caught.value) is error
    assert "secret" not in str(caught.value)
    assert caught.value.transient == (error is SourceUnavailable)
    assert not list(scratch.iterdir())


@pytest.mark.parametrize("way", ["silent", "falls-silent", "endless"])
def test_a_fetch_that_nobody_wants_any_more_ends_at_once(store: str, scratch: Path, way: str) -> None:
    fetching = Fetching()
    threading.Timer(0.2 if way != "endless" else 0.0, fetching.canceled.set).start()
    began = time.monotonic()
    with pytest.raises(ExtractionCanceled), LinkedClip(url=f"{store}/{way}", size_limit=MANY).open(fetching):
        pass
    assert time.monotonic() - began < 1.0
    assert not list(scratch.iterdir())


def test_a_fetch_says_how_far_it_is(store: str) -> None:
    seen: list[int] = []
    with LinkedClip(url=f"{store}/clip", size_limit=MANY).open(Fetching(on_bytes=seen.append)):
        assert seen[-1] == len(CONTENT)
    assert seen == sorted(seen)
    assert len(seen) > 1


def test_a_store_that_is_down_is_worth_another_try(store: str) -> None:
    gone = Server(("127.0.0.1", 0), Store)
    gone.server_close()
    source = LinkedClip(url=f"http://127.0.0.1:{gone.server_port}/clip", size_limit=MANY)
    with pytest.raises(SourceUnavailable), source.open():
        pass


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/clip", "/etc/passwd", "data:text/plain,x"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="http or https"):
        LinkedClip(url=url, size_limit=1)


def test_sources_travel_and_keep_their_secret(tmp_path: Path) -> None:
    linked = LinkedClip(url="https://example.org/clip?X-Amz-Signature=secret", size_limit=1)
    sources: list[ClipSource] = [linked, LocalClip(path=tmp_path / "clip.mp4")]
    for source in sources:
        assert pickle.loads(pickle.dumps(source)) == source  # noqa: S301 — our own bytes
    assert "secret" not in repr(linked)


def test_copies_of_processes_that_were_killed_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    for name in (f"frontfoot-clip-{int(ended.stdout)}-x", f"frontfoot-clip-{os.getpid()}-x", "frontfoot-clip-other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "clip").write_bytes(b"film")
    assert sweep_abandoned() == 1
    assert sorted(path.name for path in tmp_path.glob("frontfoot-*")) == [
        f"frontfoot-clip-{os.getpid()}-x",
        "frontfoot-clip-other",
    ]
