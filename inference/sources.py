"""Where a clip comes from: small picklables that make it a local file for a while.

An actor is handed one of these and needs no credentials and no knowledge of any store.
"""

from __future__ import annotations

import http.client
import os
import shutil
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

from inference.errors import ExtractionCanceled, SourceMissing, SourceTooLarge, SourceUnavailable

_CHUNK = 1 << 20
_TRY_AGAIN = {403, 408, 425, 429}
"""403 too: the object was there when the link was signed, so the link or its signer's rights have run out."""
_FOLDER = "frontfoot-clip-"
_LOOK_S = 0.1
"""How often a fetch looks whether it is still wanted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetching:
    """How whoever waits for a clip follows its fetching, and ends it."""

    on_bytes: Callable[[int], None] = lambda received: None
    """Called with the number of bytes that are here; never for a clip that is a file already."""
    canceled: threading.Event = field(default_factory=threading.Event)


class ClipSource(Protocol):
    """A clip, wherever it is."""

    def open(self, fetching: Fetching | None = None) -> AbstractContextManager[Path]:
        """Make the clip a local file until the context ends.

        Raises SourceMissing, SourceTooLarge, SourceUnavailable (transient), and ExtractionCanceled soon after
        `fetching.canceled` is set, whatever the other side does.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalClip:
    """A clip that is a file already; it is left where it is."""

    path: Path

    @contextmanager
    def open(self, fetching: Fetching | None = None) -> Iterator[Path]:
        """The file itself. Raises SourceMissing."""
        if not self.path.is_file():
            raise SourceMissing(f"There is no file {self.path.name}.")
        yield self.path


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkedClip:
    """A clip behind a presigned http(s) link. Raises ValueError for any other kind of address."""

    url: str = field(repr=False)
    """Signed, so it is a secret: it appears in no message."""
    size_limit: int
    """Bytes."""
    timeout_s: float = 60.0
    """Of silence."""

    def __post_init__(self) -> None:
        """Check the scheme: a `file:` address would read the machine's own files."""
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError("a linked clip needs an http or https address")

    @contextmanager
    def open(self, fetching: Fetching | None = None) -> Iterator[Path]:
        """A temporary copy, removed when the context ends, however it ends.

        Raises SourceMissing (refused or not there), SourceTooLarge, SourceUnavailable (transient), ExtractionCanceled.
        """
        fetching = fetching or Fetching()
        with tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-") as folder:
            path = Path(folder) / "clip"
            fetched: Future[None] = Future()
            # On a thread of its own: a silent server would hold back the word that nobody wants the clip any more.
            # Then the thread is left behind with its file; it ends with the next bytes, or with the silence.
            work = (path.open("wb"), fetching, fetched)
            threading.Thread(target=self._fetch_into, args=work, name="fetch", daemon=True).start()
            while not wait([fetched], timeout=_LOOK_S).done:
                if fetching.canceled.is_set():
                    raise ExtractionCanceled
            fetched.result()
            yield path

    def _fetch_into(self, file: BinaryIO, fetching: Fetching, fetched: Future[None]) -> None:
        try:
            with file:
                self._fetch(file, fetching)
        except BaseException as error:  # noqa: BLE001 - it belongs to the thread that waits for us
            fetched.set_exception(error)
        else:
            fetched.set_result(None)

    def _fetch(self, file: BinaryIO, fetching: Fetching) -> None:
        try:
            with _opener().open(self.url, timeout=self.timeout_s) as response:
                self._copy(response, file, fetching)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500 and error.code not in _TRY_AGAIN:
                raise SourceMissing(f"The source video's store answered {error.code}.") from error
            raise SourceUnavailable(f"The source video's store answered {error.code}.") from error
        except (OSError, http.client.HTTPException) as error:  # URLError, timeouts and broken connections among them
            raise SourceUnavailable(f"The source video could not be fetched ({type(error).__name__}).") from error

    def _copy(self, response: http.client.HTTPResponse, file: BinaryIO, fetching: Fetching) -> None:
        declared = response.length
        if declared is not None and declared > self.size_limit:
            raise SourceTooLarge(f"The source video has {declared} bytes; the limit is {self.size_limit}.")
        received = 0
        while chunk := response.read1(_CHUNK):  # what is there, without waiting for a whole chunk
            if fetching.canceled.is_set():
                raise ExtractionCanceled
            received += len(chunk)
            fetching.on_bytes(received)
            if received > self.size_limit:
                raise SourceTooLarge(f"The source video has more than {self.size_limit} bytes.")
            file.write(chunk)
        if declared is not None and received < declared:
            raise SourceUnavailable(f"The connection ended after {received} of {declared} bytes.")


def sweep_abandoned() -> int:
    """Remove the copies of processes that were killed before they could; returns how many there were."""
    swept = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        owner = folder.name.removeprefix(_FOLDER).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)
            swept += 1
    return swept


def _opener() -> urllib.request.OpenerDirector:
    """Http and https alone: the usual opener would follow a redirect to ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
