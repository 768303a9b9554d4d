"""What every runtime looks like from outside: a batch of pictures → raw tensors."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.artifact import Precision
from inference.poses import FloatArray

BackendName = Literal["torch", "openvino", "entrypoint"]

BATCH_PIXELS = 4 * 384 * 640
"""Of a full batch on a CPU. Measured: whole pictures gain nothing beyond four, crops hardly beyond this many pixels."""
MAX_BATCH = 8
"""On a CPU, however small the crops: the frames of a span are then enough for two threads."""


def cpu_batch(shape: tuple[int, int]) -> int:
    """Pictures of (H, W) in a full batch on a CPU: a power of two, as batches are."""
    most = max(1, min(MAX_BATCH, BATCH_PIXELS // (shape[0] * shape[1])))
    return 1 << (most.bit_length() - 1)


class Backend(Protocol):
    """A loaded network. At most `servers` threads may infer at once."""

    @property
    def name(self) -> BackendName:
        """Which runtime."""
        ...

    @property
    def precision(self) -> Precision:
        """In which the network's layers compute; boxes and keypoints are decoded more finely."""
        ...

    @property
    def runtime(self) -> str:
        """Name and version of the runtime, and the device."""
        ...

    @property
    def servers(self) -> int:
        """Batches that it works on at once."""
        ...

    def best_batch(self, shape: tuple[int, int]) -> int:
        """Pictures of (H, W) beyond which a larger batch gains nothing."""
        ...

    def infer(self, batch: NDArray[np.uint8], *, fine: bool = True) -> FloatArray:
        """(N, H, W, 3) uint8 RGB, H and W multiples of 32 → raw (N, 5 + 3K, A) float32, the caller's to keep; or rows
        (N, R, 6 + 3K), where the model's head says so (`inference.artifact.Head`).

        Without `fine` the head's finest level is left out: for people of some 130 pixels of body height or more.
        Raises RuntimeBroken where nothing that it says from now on could be believed.
        """
        ...

    def close(self) -> None:
        """Release the network's memory."""
        ...
