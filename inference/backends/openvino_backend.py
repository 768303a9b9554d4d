"""OpenVINO on the CPU: the default where there is no GPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.backends.base import BackendName, Precision
from inference.catalog import ModelSpec
from inference.conversion import openvino_model
from inference.poses import FloatArray
from inference.vendors import quiet_openvino

_PRECISION_HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16"}


def precisions() -> tuple[Precision, ...]:
    """What this processor runs natively, the fastest first."""
    capabilities = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("bf16", "fp32") if "BF16" in capabilities else ("fp32",)


class OpenVinoBackend:
    """One compiled network for every batch and picture size: measured, fixed sizes are no faster.

    Its results are bit-identical whatever the batch's size, the position in it, and the number of threads: one stream
    splits the work among threads, and never a sum.
    """

    name: BackendName = "openvino"

    def __init__(self, spec: ModelSpec, *, precision: Precision, threads: int | None, cache_dir: Path) -> None:
        path = openvino_model(spec, cache_dir)
        core = _core()
        options = {
            "INFERENCE_PRECISION_HINT": _PRECISION_HINTS[precision],
            # Said, never left to OMP_NUM_THREADS: Ray sets that to 1 for an actor that was given no more.
            "INFERENCE_NUM_THREADS": threads or os.cpu_count() or 1,
            "NUM_STREAMS": 1,
        }
        self._request: Any = core.compile_model(_with_preprocessing(core.read_model(path)), "CPU", options)
        self._request = self._request.create_infer_request()
        self.precision: Precision = precision
        self.best_batch = 4  # measured: flat from 2 up, and 4 lets clips share batches
        self.runtime = f"openvino {_version()} cpu"

    def infer(self, batch: NDArray[np.uint8]) -> FloatArray:
        """See `Backend.infer`."""
        self._request.infer([batch])
        raw: FloatArray = self._request.get_output_tensor(0).data.copy()  # the request overwrites its own tensor
        return raw

    def close(self) -> None:
        """See `Backend.close`."""
        self._request = None


def _core() -> Any:
    quiet_openvino()
    import openvino

    return openvino.Core()


def _version() -> str:
    from importlib.metadata import version

    return version("openvino")


def _with_preprocessing(model: Any) -> Any:
    """Let the compiled network itself turn NHWC uint8 into NCHW 0..1, so that batches stay a quarter of the size."""
    from openvino import Layout, PartialShape, Type
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    tensor = steps.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    tensor.set_shape(PartialShape([-1, -1, -1, 3]))
    steps.input().preprocess().convert_element_type(Type.f32).scale(255.0)
    steps.input().model().set_layout(Layout("NCHW"))
    return steps.build()
