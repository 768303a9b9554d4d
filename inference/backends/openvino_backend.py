"""OpenVINO on the CPU: the default where there is no GPU."""

from __future__ import annotations

import os
from pathlib import Path
from queue import LifoQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.backends.base import BackendName, Precision, cpu_batch
from inference.catalog import ModelSpec
from inference.conversion import openvino_networks
from inference.errors import RuntimeBroken
from inference.poses import FloatArray
from inference.vendors import quiet_openvino

_MAX_STREAMS = 8
"""More would need more crops in flight than a clip or two have; threads beyond it work inside the streams."""
_PRECISION_HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16"}


def precisions() -> tuple[Precision, ...]:
    """What this processor runs natively, the fastest first."""
    capabilities = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("bf16", "fp32") if "BF16" in capabilities else ("fp32",)


class OpenVinoBackend:
    """One compiled network for every batch and picture size: measured, fixed sizes are no faster.

    A stream a thread: each works on a batch of its own, so that no thread waits for another inside a layer; measured,
    that doubles the speed of small crops. Results are bit-identical whatever the batch's size, the position in it, and
    the number of threads.
    """

    name: BackendName = "openvino"

    def __init__(self, spec: ModelSpec, *, precision: Precision, threads: int | None, cache_dir: Path) -> None:
        core = _core()
        threads = threads or os.cpu_count() or 1
        self.servers = min(threads, _MAX_STREAMS)
        options = {
            "INFERENCE_PRECISION_HINT": _PRECISION_HINTS[precision],
            # Said, never left to OMP_NUM_THREADS: Ray sets that to 1 for an actor that was given no more.
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": self.servers,
            # What is prepared for a shape takes 10 MiB: measured, this many entries keep all speed, and the default's
            # 5000 let an hour's clip grow by a third.
            "CPU_RUNTIME_CACHE_CAPACITY": "200",
        }
        self._one_at_a_time = spec.artifact is not None and spec.artifact.manifest.one_at_a_time

        def requests(path: Path) -> LifoQueue[Any]:
            network: Any = core.compile_model(_with_preprocessing(core.read_model(path)), "CPU", options)
            idle: LifoQueue[Any] = LifoQueue()
            for _ in range(self.servers):
                idle.put(network.create_infer_request())
            return idle

        with openvino_networks(spec, cache_dir) as networks:
            fine = requests(networks.fine)
            self._idle = {True: fine, False: requests(networks.coarse) if networks.coarse else fine}
        self.precision: Precision = precision
        self.runtime = f"openvino {_version()} cpu"

    def infer(self, batch: NDArray[np.uint8], *, fine: bool = True) -> FloatArray:
        """See `Backend.infer`."""
        if self._one_at_a_time and len(batch) > 1:
            return np.concatenate([self._infer(batch[i : i + 1], fine) for i in range(len(batch))])
        return self._infer(batch, fine)

    def _infer(self, batch: NDArray[np.uint8], fine: bool) -> FloatArray:
        request = self._idle[fine].get()
        try:
            output = request.get_output_tensor(0)
            if output.size:
                output.data.flat[0] = np.nan
            request.infer([batch])
            raw: FloatArray = request.get_output_tensor(0).data.copy()  # the request overwrites its own tensor
        finally:
            self._idle[fine].put(request)
        if not raw.size or np.isnan(raw.flat[0]):
            # Measured: with one stream that ran out of memory it returns, without an error, what it found before.
            raise RuntimeBroken("OpenVINO returned without having inferred.")
        return raw

    def best_batch(self, shape: tuple[int, int]) -> int:
        """See `Backend.best_batch`."""
        return 1 if self._one_at_a_time else cpu_batch(shape)

    def close(self) -> None:
        """See `Backend.close`."""
        self._idle = {}


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
