"""Whether an extraction still moves."""

from __future__ import annotations

import time

from inference.actor import ClipProgress


class StallWatch:
    """Sees whether an extraction still moves: fetched bytes and inferred frames, whichever."""

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._last: ClipProgress | None = None
        self._since = time.monotonic()

    def stalled(self, so_far: ClipProgress | None) -> bool:
        """`so_far` is None where the actor did not answer, which is no progress either."""
        if so_far is not None and so_far != self._last:
            self._last, self._since = so_far, time.monotonic()
        return time.monotonic() - self._since > self._stall_s
