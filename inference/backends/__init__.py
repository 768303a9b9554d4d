"""One file a runtime, and the choice among them by what the machine can do. Importing this loads no runtime."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Literal

from inference.artifact import Precision
from inference.backends import entry_point_backend, openvino_backend, top_down_backend, torch_backend
from inference.backends.base import Backend, BackendName
from inference.catalog import ModelSpec
from inference.errors import BackendUnavailable

BackendChoice = Literal["auto", "torch", "openvino"]
PrecisionChoice = Literal["auto", "fp32", "bf16", "fp16"]

_RUNTIMES: tuple[BackendName, ...] = ("torch", "openvino")


def make_backend(
    spec: ModelSpec,
    *,
    backend: BackendChoice = "auto",
    precision: PrecisionChoice = "auto",
    threads: int | None = None,
    cache_dir: Path,
) -> Backend:
    """Load the model. `auto` is torch where there is a CUDA GPU, OpenVINO elsewhere; and the fastest native precision.

    A version that was registered with a precision runs in that one alone, and one by entry point on what it brings,
    whatever `backend` is. `threads` are CPU threads, all by default. Raises BackendUnavailable, naming what there is,
    and WeightsRejected.
    """
    if spec.precision is not None and precision not in {"auto", spec.precision}:
        raise BackendUnavailable(f"{spec.name}@{spec.version} runs in {spec.precision} alone, not in {precision}")
    if spec.artifact is not None and spec.artifact.manifest.installed is not None:
        return entry_point_backend.EntryPointBackend(spec, spec.artifact.manifest.installed, threads=threads)
    name = choose_backend(backend, gpu=cuda_gpus() > 0 and torch_backend.sees_gpu())
    if name == "torch":
        chosen = choose_precision(name, spec.precision or precision, torch_backend.precisions())
        return torch_backend.TorchBackend(spec, precision=chosen, threads=threads, cache_dir=cache_dir)
    native = openvino_backend.runnable() if spec.precision else openvino_backend.precisions()
    chosen = choose_precision(name, spec.precision or precision, native)
    kind = top_down_backend.TopDownBackend if spec.head == "simcc" else openvino_backend.OpenVinoBackend
    return kind(spec, precision=chosen, threads=threads, cache_dir=cache_dir)


def choose_backend(asked: BackendChoice, *, gpu: bool) -> BackendName:
    """Resolve `auto`. Raises BackendUnavailable for an unknown name."""
    if asked == "auto":
        return "torch" if gpu else "openvino"
    if asked not in _RUNTIMES:
        raise BackendUnavailable(f"there is no backend {asked!r}; there are: auto, {', '.join(_RUNTIMES)}")
    return asked


def choose_precision(
    backend: BackendName, asked: PrecisionChoice | Precision, native: tuple[Precision, ...]
) -> Precision:
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
