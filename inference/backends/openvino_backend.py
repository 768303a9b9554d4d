"""OpenVINO on the CPU: the default where there is no GPU."""

from __future__ import annotations

import os
from pathlib import Path
from queue import LifoQueue
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from inference.artifact import Precision
from inference.backends.base import BackendName, cpu_batch
from inference.catalog import ModelSpec
from inference.conversion import openvino_networks
from inference.errors import RuntimeBroken
from inference.poses import FloatArray
from inference.vendors import quiet_openvino

_MAX_STREAMS = 8
"""More would need more crops in flight than a clip or two have; threads beyond it work inside the streams."""
_PRECISION_HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}
"""Of int8 the network itself says which layers are quantised; the others compute as when its parity was measured."""


def precisions() -> tuple[Precision, ...]:
    """In what this processor runs any network natively, the fastest first."""
    return ("bf16", "fp32") if "bf16" in runnable() else ("fp32",)


def runnable() -> tuple[Precision, ...]:
    """In what this processor runs networks that were made for it natively."""
    capabilities = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple(precision for precision in get_args(Precision) if precision.upper() in capabilities)


def streams(threads: int) -> int:
    """Batches that networks with so many threads work on at once."""
    return min(threads, _MAX_STREAMS)


class Compiled:
    """A network and its requests, a stream a thread: each works on a batch of its own, so that no thread waits for
    another inside a layer; measured, that doubles the speed of small crops.
    """

    def __init__(self, model: Any, *, precision: Precision, threads: int) -> None:
        options = {
            "INFERENCE_PRECISION_HINT": _PRECISION_HINTS[precision],
            # Said, never left to OMP_NUM_THREADS: Ray sets that to 1 for an actor that was given no more.
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams(threads),
            # What is prepared for a shape takes 10 MiB: measured, this many entries keep all speed, and the default's
            # 5000 let an hour's clip grow by a third.
            "CPU_RUNTIME_CACHE_CAPACITY": "200",
        }
        network: Any = _core().compile_model(model, "CPU", options)
        self._outputs = len(network.outputs)
        self._idle: LifoQueue[Any] = LifoQueue()
        for _ in range(streams(threads)):
            self._idle.put(network.create_infer_request())

    def infer(self, batch: NDArray[np.uint8]) -> list[FloatArray]:
        """What each of its outputs says to a batch, the caller's to keep. Raises RuntimeBroken."""
        request = self._idle.get()
        try:
            output = request.get_output_tensor(0)
            if output.size:
                output.data.flat[0] = np.nan
            request.infer([batch])
            # Copies: the request overwrites its own tensors.
            said: list[FloatArray] = [request.get_output_tensor(place).data.copy() for place in range(self._outputs)]
        finally:
            self._idle.put(request)
        if not said[0].size or np.isnan(said[0].flat[0]):
            # Measured: with one stream that ran out of memory it returns, without an error, what it found before.
            raise RuntimeBroken("OpenVINO returned without having inferred.")
        return said


class OpenVinoBackend:
    """One compiled network for every batch and picture size: measured, fixed sizes are no faster.

    Results are bit-identical whatever the batch's size, the position in it, and the number of threads.
    """

    name: BackendName = "openvino"

    def __init__(self, spec: ModelSpec, *, precision: Precision, threads: int | None, cache_dir: Path) -> None:
        threads = threads or os.cpu_count() or 1
        self.servers = streams(threads)
        # Of a top-down model that is said of the other network.
        self._one_at_a_time = (
            spec.artifact is not None and spec.artifact.manifest.one_at_a_time and spec.head != "simcc"
        )

        def compiled(path: Path) -> Compiled:
            return Compiled(_with_preprocessing(read_network(path)), precision=precision, threads=threads)

        with openvino_networks(spec, cache_dir) as networks:
            fine = compiled(networks.fine)
            self._networks = {True: fine, False: compiled(networks.coarse) if networks.coarse else fine}
        self.precision: Precision = precision
        self.runtime = f"openvino {_version()} cpu"

    def infer(self, batch: NDArray[np.uint8], *, fine: bool = True) -> FloatArray:
        """See `Backend.infer`."""
        network = self._networks[fine]
        if self._one_at_a_time and len(batch) > 1:
            return np.concatenate([network.infer(batch[i : i + 1])[0] for i in range(len(batch))])
        return network.infer(batch)[0]

    def best_batch(self, shape: tuple[int, int]) -> int:
        """See `Backend.best_batch`."""
        return 1 if self._one_at_a_time else cpu_batch(shape)

    def close(self) -> None:
        """See `Backend.close`."""
        self._networks = {}


def read_network(path: Path) -> Any:
    """The network in a file, not yet compiled."""
    return _core().read_model(path)


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
