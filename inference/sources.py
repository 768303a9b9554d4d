"""Where a clip comes from: small picklables that make it a local file for a while.

An actor is handed one of these and needs no credentials and no knowledge of any store.
"""

from __future__ import annotations

import http.client
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

from inference.errors import SourceMissing, SourceTooLarge, SourceUnavailable

_CHUNK = 1 << 20
_TRY_AGAIN = {403, 408, 425, 429}
"""403 too: the object was there when the link was signed, so the link or its signer's rights have run out."""
_FOLDER = "frontfoot-clip-"


class ClipSource(Protocol):
    """A clip, wherever it is."""

    def open(self) -> AbstractContextManager[Path]:
        """Make the clip a local file until the context ends.

        Raises SourceMissing, SourceTooLarge and SourceUnavailable (transient).
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalClip:
    """A clip that is a file already; it is left where it is."""

    path: Path

    @contextmanager
    def open(self) -> Iterator[Path]:
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
    def open(self) -> Iterator[Path]:
        """A temporary copy, removed when the context ends, however it ends.

        Raises SourceMissing (refused or not there), SourceTooLarge and SourceUnavailable (transient).
        """
        with tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-") as folder:
            path = Path(folder) / "clip"
            with path.open("wb") as file:
                self._fetch(file)
            yield path

    def _fetch(self, file: BinaryIO) -> None:
        try:
            with _opener().open(self.url, timeout=self.timeout_s) as response:
                self._copy(response, file)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500 and error.code not in _TRY_AGAIN:
                raise SourceMissing(f"The source video's store answered {error.code}.") from error
            raise SourceUnavailable(f"The source video's store answered {error.code}.") from error
        except (OSError, http.client.HTTPException) as error:  # URLError, timeouts and broken connections among them
            raise SourceUnavailable(f"The source video could not be fetched ({type(error).__name__}).") from error

    def _copy(self, response: http.client.HTTPResponse, file: BinaryIO) -> None:
        declared = response.length
        if declared is not None and declared > self.size_limit:
            raise SourceTooLarge(f"The source video has {declared} bytes; the limit is {self.size_limit}.")
        received = 0
        while chunk := response.read(_CHUNK):
            received += len(chunk)
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
