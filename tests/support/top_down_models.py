"""Networks with RTMPose's signature, made of the real weights: what they should say is known from those."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.catalog import DEFAULT_MODEL, resolve
from inference.conversion import load_torch_model
from inference.top_down import MEAN, PADDING, STD

if TYPE_CHECKING:
    import torch

WIDTH, HEIGHT, BINS = 288, 384, 2
"""Of the larger of RTMPose's inputs, and its bins a pixel."""
_SIGMA = 6.0
"""In bins: wide enough that the two largest bins tell where between them a keypoint lies."""


def simcc_network(cache_dir: Path) -> torch.nn.Module:
    """(N, 3, 384, 288) normalised crops → (N, 17, 576) and (N, 17, 768): bumps where the real weights see keypoints.

    Of several people in a crop the one that it was cut around. A bump is as high as its keypoint is sure.
    """
    import torch

    class Bumps(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.poser: Any = load_torch_model(resolve(DEFAULT_MODEL), cache_dir)
            self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
            self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))
            self.register_buffer("middle", torch.tensor([WIDTH / 2, HEIGHT / 2]).view(1, 2, 1))

        def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            raw = self.poser((crops * self.std + self.mean) / 255)
            off = ((raw[:, :2] - self.middle) / self.middle).square().sum(1)
            fills = (raw[:, 2:4] / (2 * self.middle / PADDING)).amax(1)
            best = (raw[:, 4] ** 3 * torch.exp(-4 * off - 4 * fills.log().square())).argmax(1)
            person = raw.gather(2, best.view(-1, 1, 1).expand(-1, raw.shape[1], 1))[:, 5:, 0].reshape(-1, 17, 3)
            x, y, sure = person.unbind(2)
            return _bumps(x, sure, WIDTH), _bumps(y, sure, HEIGHT)

    return Bumps().eval()


def simcc_onnx(path: Path, cache_dir: Path, *, one_crop: bool = False) -> Path:
    """`simcc_network` as OpenMMLab's exporter writes it: crops of one size, any number of them.

    With `one_crop` a single one at a time, and its outputs in the other order.
    """
    import onnx
    import torch

    names = ["simcc_x", "simcc_y"]
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the exporter that vendors use is one that torch will drop
        torch.onnx.export(
            simcc_network(cache_dir),
            (torch.zeros(1 if one_crop else 2, 3, HEIGHT, WIDTH),),
            path,
            input_names=["input"],
            output_names=names,
            dynamic_axes=None if one_crop else {name: {0: "batch"} for name in ("input", *names)},
            opset_version=17,
            dynamo=False,
        )
    if one_crop:
        model = onnx.load(path)
        model.graph.output.reverse()
        onnx.save(model, path)
    return path


def _bumps(at: torch.Tensor, sure: torch.Tensor, side: int) -> torch.Tensor:
    """(N, K) pixels and heights → (N, K, side * BINS)."""
    import torch

    bins = torch.arange(side * BINS, dtype=torch.float32)
    return sure[..., None] * torch.exp(-(bins - BINS * at[..., None]).square() / (2 * _SIGMA**2))
