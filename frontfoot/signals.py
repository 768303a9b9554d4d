"""SIGINT and SIGTERM as events, for commands that run until they are told to stop."""

from __future__ import annotations

import signal
import threading
from typing import Any


class Signals:
    """SIGINT and SIGTERM as events while the block runs: the first sets `stop`, the second `hand_back`."""

    def __init__(self) -> None:
        self.stop, self.hand_back = threading.Event(), threading.Event()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        self.install()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def install(self) -> None:
        """Set the handlers; again after Ray has set its own."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: object) -> None:
        (self.hand_back if self.stop.is_set() else self.stop).set()
