"""A model by entry point (`inference.entry_points`): its people as the rows that `postprocess` takes."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from inference import entry_points
from inference.artifact import Installed, Precision
from inference.backends.base import BackendName, cpu_batch
from inference.backends.rows import rows
from inference.catalog import ModelSpec
from inference.errors import BackendUnavailable, WeightsRejected
from inference.poses import FloatArray


class EntryPointBackend:
    """One batch at a time: what it does with threads and devices is the model's own affair."""

    name: BackendName = "entrypoint"
    servers = 1

    def __init__(self, spec: ModelSpec, installed: Installed, *, threads: int | None) -> None:
        self._model: entry_points.PoseModel | None = entry_points.load(installed, threads or os.cpu_count() or 1)
        if spec.precision is None or self._model.precision != spec.precision:
            raise WeightsRejected(
                f"{installed.name} computes in {self._model.precision} here, and {spec.precision} was registered"
            )
        self._keypoints = len(spec.skeleton.keypoint_names)
        self.precision: Precision = spec.precision
        self.runtime = f"{installed.distribution} {installed.version}"

    def infer(self, batch: NDArray[np.uint8], *, fine: bool = True) -> FloatArray:
        """See `Backend.infer`; `fine` means nothing to it. Raises BackendUnavailable for what is no people."""
        if self._model is None:
            raise BackendUnavailable("the model was closed")
        return rows(self._model.estimate(batch), len(batch), self._keypoints)

    def best_batch(self, shape: tuple[int, int]) -> int:
        """See `Backend.best_batch`."""
        return cpu_batch(shape)

    def close(self) -> None:
        """See `Backend.close`."""
        self._model = None
