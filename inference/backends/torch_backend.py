"""PyTorch: fp16 on a CUDA GPU; on the CPU channels-last, bf16 where the processor has it."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference.backends.base import BackendName, Precision
from inference.catalog import ModelSpec
from inference.conversion import load_torch_model
from inference.poses import FloatArray

if TYPE_CHECKING:
    import torch


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


class TorchBackend:
    """The eager network: no compiler needed at run time, any batch and picture size."""

    name: BackendName = "torch"

    def __init__(self, spec: ModelSpec, *, precision: Precision, threads: int | None, cache_dir: Path) -> None:
        import torch

        self._device = torch.device("cuda" if sees_gpu() else "cpu")
        torch.set_num_threads(threads or os.cpu_count() or 1)  # said, never left to OMP_NUM_THREADS
        self._dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        model: Any = load_torch_model(spec, cache_dir)
        model = model.to(device=self._device, dtype=self._dtype, memory_format=torch.channels_last)
        _decode_in_float32(model.model[-1])
        self._model: Any = model
        self.precision: Precision = precision
        # On CPUs measured: flat from 2 up. On a GPU reasoned only: it starves on small batches and has the memory.
        self.best_batch = 32 if self._device.type == "cuda" else 4
        self.runtime = f"torch {version('torch')} {self._device.type}"

    def infer(self, batch: NDArray[np.uint8]) -> FloatArray:
        """See `Backend.infer`."""
        import torch

        with torch.inference_mode():
            raw: FloatArray = self._model(self._normalised(batch)).cpu().numpy()
        return raw

    def close(self) -> None:
        """See `Backend.close`."""
        self._model = None

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
