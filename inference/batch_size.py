"""How many pictures go into a batch: as many as pay, half as many where memory ran out, and after a while twice that.

What fits is found out by trying, kind by kind: how much memory there is changes with whatever else runs on the device.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inference.errors import OutOfMemory
from inference.estimator import Kind

logger = logging.getLogger(__name__)

GROW_AFTER = 64
"""Batches of the size allowed that must fit before twice as many pictures are tried."""
MOST_PATIENCE = 64 * GROW_AFTER
"""Where trying went wrong the next try comes half as soon, down to one in so many batches."""
_SAID_BY_RUNTIMES = ("out of memory", "bad_alloc", "failed to allocate", "can't alloc", "alloc_failed")
"""By CUDA and its libraries, the C++ library, OpenVINO, torch on a CPU."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether a runtime failed for want of memory: its device's, or this process's.

    By its words, for OpenVINO has no class for it, and torch need not be here.
    """
    said = str(error).lower()
    return isinstance(error, MemoryError | OutOfMemory) or (
        isinstance(error, RuntimeError) and any(words in said for words in _SAID_BY_RUNTIMES)
    )


@dataclass(slots=True)
class _Limit:
    size: int
    patience: int = GROW_AFTER
    fitted: int = 0
    """Batches of this size, in a row."""
    grown: bool = False
    """Whether this size is one that was tried again."""


class BatchSizes:
    """Pictures that a batch of each kind may hold. Whoever uses it holds a lock."""

    def __init__(self, best: Callable[[Kind], int]) -> None:
        """`best` says beyond how many pictures of a kind a larger batch gains nothing."""
        self._best = best
        self._limits: dict[Kind, _Limit] = {}

    def most(self, kind: Kind) -> int:
        """Pictures in a full batch now."""
        limit = self._limits.get(kind)
        return min(limit.size, self._best(kind)) if limit else self._best(kind)

    @property
    def lowered(self) -> Mapping[Kind, int]:
        """Kinds whose batches are smaller than what pays → pictures in them."""
        return {kind: self.most(kind) for kind in self._limits if self.most(kind) < self._best(kind)}

    def did_not_fit(self, kind: Kind, pictures: int) -> None:
        """Memory ran out over a batch of so many: half of it is the most from now on."""
        before = self.most(kind)
        limit = self._limits.setdefault(kind, _Limit(before))
        limit.fitted = 0
        if limit.grown:
            limit.patience = min(2 * limit.patience, MOST_PATIENCE)
            limit.grown = False
        limit.size = min(before, max(pictures // 2, 1))
        if limit.size < before:
            logger.warning("Memory ran out, batches made smaller: %s", _said(kind, limit.size))

    def fitted(self, kind: Kind, pictures: int) -> None:
        """A batch of so many was inferred."""
        limit = self._limits.get(kind)
        if limit is None or pictures < limit.size or limit.size >= self._best(kind):
            return
        limit.fitted += 1
        if limit.fitted >= limit.patience:
            limit.fitted = 0
            limit.grown = True
            limit.size = min(2 * limit.size, self._best(kind))
            logger.info("Memory may do again, batches made larger: %s", _said(kind, limit.size))


def _said(kind: Kind, size: int) -> str:
    height, width, _ = kind
    return f"pictures={size} width={width} height={height}"
