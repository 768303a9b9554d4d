"""One file a runtime, and the choice among them by what the machine can do. Importing this loads no runtime."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from inference.backends import openvino_backend, torch_backend
from inference.backends.base import Backend, BackendName, Precision
from inference.catalog import ModelSpec
from inference.errors import BackendUnavailable

BackendChoice = Literal["auto", "torch", "openvino"]
PrecisionChoice = Literal["auto", "fp32", "bf16", "fp16"]

_PRECISIONS: dict[BackendName, Callable[[], tuple[Precision, ...]]] = {
    "torch": torch_backend.precisions,
    "openvino": openvino_backend.precisions,
}


def make_backend(
    spec: ModelSpec,
    *,
    backend: BackendChoice = "auto",
    precision: PrecisionChoice = "auto",
    threads: int | None = None,
    cache_dir: Path,
) -> Backend:
    """Load the model. `auto` is torch where there is a CUDA GPU, OpenVINO elsewhere; and the fastest native precision.

    `threads` are CPU threads, all by default. Raises BackendUnavailable, naming what there is, and WeightsRejected.
    """
    name = choose_backend(backend, gpu=cuda_gpus() > 0 and torch_backend.sees_gpu())
    chosen = choose_precision(name, precision, _PRECISIONS[name]())
    kind = torch_backend.TorchBackend if name == "torch" else openvino_backend.OpenVinoBackend
    return kind(spec, precision=chosen, threads=threads, cache_dir=cache_dir)


def choose_backend(asked: BackendChoice, *, gpu: bool) -> BackendName:
    """Resolve `auto`. Raises BackendUnavailable for an unknown name."""
    if asked == "auto":
        return "torch" if gpu else "openvino"
    if asked not in _PRECISIONS:
        raise BackendUnavailable(f"there is no backend {asked!r}; there are: auto, {', '.join(_PRECISIONS)}")
    return asked


def choose_precision(backend: BackendName, asked: PrecisionChoice, native: tuple[Precision, ...]) -> Precision:
    """Resolve `auto` to the first of `native`. Raises BackendUnavailable for one that is not among them."""
    if asked == "auto":
        return native[0]
    if asked not in native:
        raise BackendUnavailable(f"{backend} cannot run {asked} on this machine; it can run: {', '.join(native)}")
    return asked


def cuda_gpus() -> int:
    """How many GPUs the driver shows this process. Asks the driver itself, because importing torch takes seconds."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    succeeded = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return count.value if succeeded else 0
