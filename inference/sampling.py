"""Which decoded frames are wanted, by their timestamps."""

from __future__ import annotations

import math
from collections.abc import Callable

NOT_SAMPLED = "not_sampled"
AFTER_WINDOW = "after_window"

Wanted = Callable[[int, float], str | None]
"""(index among decoded frames, timestamp in seconds) → None, or why the frame is skipped."""

_EARLY_S = 0.0006
"""How much before its slot a frame may come: containers round timestamps, Matroska to whole milliseconds."""


def every_frame(_index: int, _timestamp_s: float) -> str | None:
    """Want all frames."""
    return None


class Sampler:
    """Want at most `sample_fps` frames a second, up to `max_time_s`. One sampler serves one pass over one clip.

    Slots lie on the fixed grid k / `sample_fps` (so nothing drifts: from 30 frames a second, 10 takes exactly every
    third) and each takes the first frame that reaches it; a hole in the video is not made up for afterwards.
    """

    def __init__(
        self, *, sample_fps: float | None = None, max_time_s: float | None = None, after_s: float | None = None
    ) -> None:
        """Take every frame where `sample_fps` is None, the whole clip where `max_time_s` is None. Raises ValueError.

        In the middle of a clip `after_s` is the time of the frame before: its slot is taken.
        """
        if sample_fps is not None and not sample_fps > 0:
            raise ValueError(f"sample_fps {sample_fps} is not positive")
        if max_time_s is not None and not max_time_s > 0:
            raise ValueError(f"max_time_s {max_time_s} is not positive")
        self._sample_fps = sample_fps
        self._max_time_s = max_time_s
        self._slot = -math.inf if after_s is None or sample_fps is None else self._slot_of(after_s, sample_fps)

    def __call__(self, index: int, timestamp_s: float) -> str | None:
        """Decide about one frame; frames come in the order of time."""
        if self._max_time_s is not None and timestamp_s >= self._max_time_s:
            return AFTER_WINDOW
        if self._sample_fps is None:
            return None
        slot = self._slot_of(timestamp_s, self._sample_fps)
        if slot <= self._slot:
            return NOT_SAMPLED
        self._slot = slot
        return None

    @staticmethod
    def _slot_of(timestamp_s: float, sample_fps: float) -> int:
        return math.floor((timestamp_s + _EARLY_S) * sample_fps)
