"""PyTorch: fp16 on a CUDA GPU; on the CPU channels-last, bf16 where the processor has it."""

from __future__ import annotations

import copy
import os
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from queue import LifoQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference.artifact import Precision
from inference.backends.base import BackendName, cpu_batch
from inference.catalog import ModelSpec
from inference.conversion import load_torch_model, without_finest_level
from inference.errors import RuntimeBroken
from inference.poses import FloatArray
from inference.rebuilding import rebuilt

if TYPE_CHECKING:
    import torch


_GPU_BATCH = 32


def sees_gpu() -> bool:
    """Whether the installed torch can use a GPU of this machine."""
    import torch

    return torch.cuda.is_available()


def precisions() -> tuple[Precision, ...]:
    """What the GPU, or without one this processor, runs natively, the fastest first."""
    import torch

    if sees_gpu():
        return ("fp16", "bf16", "fp32") if torch.cuda.is_bf16_supported() else ("fp16", "fp32")
    native = torch.cpu.get_capabilities()
    return ("bf16", "fp32") if native.get("avx512_bf16") or native.get("amx_bf16") else ("fp32",)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Replica:
    networks: dict[bool, Any]
    """By whether they have the finest level."""
    stream: Any
    """The CUDA stream on which it copies and computes; None on the CPU."""


class TorchBackend:
    """The eager network: no compiler needed at run time, any batch and picture size."""

    name: BackendName = "torch"

    def __init__(self, spec: ModelSpec, *, precision: Precision, threads: int | None, cache_dir: Path) -> None:
        import torch

        model = load_torch_model(spec, cache_dir) if spec.artifact is None else rebuilt(spec, cache_dir)
        self._device = torch.device("cuda" if sees_gpu() else "cpu")
        torch.set_num_threads(threads or os.cpu_count() or 1)  # said, never left to OMP_NUM_THREADS
        self._dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        self.precision: Precision = precision
        # Reasoned, not measured: while one batch computes on its CUDA stream, the next is copied on another.
        self.servers = 2 if self._device.type == "cuda" else 1
        self._idle: LifoQueue[_Replica] = LifoQueue()
        for _ in range(self.servers):
            self._idle.put(self._replica(model))
        self.runtime = f"torch {version('torch')} {self._device.type}"

    def infer(self, batch: NDArray[np.uint8], *, fine: bool = True) -> FloatArray:
        """See `Backend.infer`."""
        import torch

        replica = self._idle.get()
        try:
            with torch.inference_mode(), torch.cuda.stream(replica.stream) if replica.stream else nullcontext():
                raw: FloatArray = replica.networks[fine](self._normalised(batch)).cpu().numpy()
        except RuntimeError as error:
            self._check_device(error)
            raise
        finally:
            self._idle.put(replica)
        return raw

    def best_batch(self, shape: tuple[int, int]) -> int:
        """See `Backend.best_batch`. On a GPU reasoned only: it starves on small batches and has the memory."""
        return _GPU_BATCH if self._device.type == "cuda" else cpu_batch(shape)

    def close(self) -> None:
        """See `Backend.close`."""
        self._idle = LifoQueue()

    def _check_device(self, error: RuntimeError) -> None:
        """Raise RuntimeBroken where the device answers nothing any more.

        A fault inside a kernel leaves the process without its GPU for good; running out of memory does not.
        """
        import torch

        if self._device.type == "cuda":
            try:
                torch.cuda.synchronize()
            except RuntimeError as still:
                raise RuntimeBroken(f"The GPU is lost to this process: {still}") from error

    def _replica(self, model: torch.nn.Module) -> _Replica:
        """A copy for one thread at a time: the head keeps the anchors of the last size it saw."""
        import torch

        networks: dict[bool, Any] = {False: without_finest_level(model), True: copy.deepcopy(model)}
        for network in networks.values():
            network.to(device=self._device, dtype=self._dtype, memory_format=torch.channels_last)
            _decode_in_float32(network.model[-1])
        stream: Any = torch.cuda.Stream() if self._device.type == "cuda" else None  # type: ignore[no-untyped-call]
        return _Replica(networks=networks, stream=stream)

    def _normalised(self, batch: NDArray[np.uint8]) -> torch.Tensor:
        """(N, H, W, 3) uint8 → (N, 3, H, W) in 0..1 on the device; the permuted view is channels-last as it is."""
        import torch

        images = torch.from_numpy(batch)
        if self._device.type == "cuda":
            images = images.pin_memory().to(self._device, non_blocking=True)
        return images.permute(0, 3, 1, 2).float().div_(255).to(self._dtype)


def _decode_in_float32(head: Any) -> None:
    """Make the head turn its raw maps into pixels in fp32, whatever its layers compute in.

    A bf16 number near 600 is a multiple of 4: decoding in bf16 alone moved keypoints by 0.35 % of body height
    (median), against 0.11 % this way, at no cost in speed.
    """
    head.dfl.float()
    decode = head._inference  # noqa: SLF001  # the vendor's one seam between its layers and its decoding

    def in_float32(maps: dict[str, Any]) -> Any:
        return decode({k: [m.float() for m in v] if isinstance(v, list) else v.float() for k, v in maps.items()})

    head._inference = in_float32  # noqa: SLF001  # see above
    head.stride = head.stride.float()
