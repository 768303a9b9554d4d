"""How long the clips of a process have kept its decoders busy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from inference.video import OpenVideo


class DecodeSeconds:
    """Seconds inside the decoders of all clips, also of those in progress: an hour's must not count only at its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended_s = 0.0
        self._open: list[OpenVideo] = []

    @contextmanager
    def of(self, video: OpenVideo) -> Iterator[OpenVideo]:
        """Count a clip, however the block ends."""
        with self._lock:
            self._open.append(video)
        try:
            yield video
        finally:
            with self._lock:
                self._open.remove(video)
                self._ended_s += video.decode_s

    @property
    def total(self) -> float:
        """Of all clips so far; never less than before."""
        with self._lock:
            return self._ended_s + sum(video.decode_s for video in self._open)
