"""What every runtime looks like from outside: a batch of pictures → raw tensors."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.poses import FloatArray

BackendName = Literal["torch", "openvino"]
Precision = Literal["fp32", "bf16", "fp16"]


class Backend(Protocol):
    """A loaded network. Used by one thread at a time."""

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
    def best_batch(self) -> int:
        """Pictures beyond which a larger batch gains nothing."""
        ...

    def infer(self, batch: NDArray[np.uint8]) -> FloatArray:
        """(N, H, W, 3) uint8 RGB, H and W multiples of 32 → raw (N, 5 + 3K, A) float32, the caller's to keep."""
        ...

    def close(self) -> None:
        """Release the network's memory."""
        ...
