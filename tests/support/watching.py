"""Sees whether a file is opened, by whatever code in whatever language: Linux inotify through libc."""

from __future__ import annotations

import ctypes
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_OPEN = 0x20
_IN_NONBLOCK = os.O_NONBLOCK


class Watch:
    """Opens seen so far."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def opened(self) -> bool:
        """Whether the file was opened since the watch began or was last asked."""
        if not select.select([self._descriptor], [], [], 0)[0]:
            return False
        return bool(os.read(self._descriptor, 65536))


@contextmanager
def watching(path: Path) -> Iterator[Watch]:
    """Watch one file for being opened."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(_IN_NONBLOCK)
    if descriptor < 0 or libc.inotify_add_watch(descriptor, os.fsencode(path), _IN_OPEN) < 0:
        raise OSError(ctypes.get_errno(), "inotify")
    try:
        yield Watch(descriptor)
    finally:
        os.close(descriptor)
