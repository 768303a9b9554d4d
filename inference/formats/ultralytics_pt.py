"""Ultralytics' own checkpoints (`.pt`): pose models of v8, 11 and 26, of any size, end-to-end heads too.

A pickle. It is loaded with `weights_only`, from an allow-list of known classes: one that wants anything else is refused
before anything in it runs. Of architectures that are known the weights are kept for torch too, as plain tensors.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from inference import tensors
from inference.artifact import COARSE, NETWORK, TENSORS
from inference.conversion import torch_model, without_finest_level, write_ir
from inference.rebuilding import recognised

EXAMPLE, ANSWER = "example.npy", "answer.npy"
"""A batch (N, 3, H, W) float32 in 0..1, and what the network said to it before it was converted."""
ARCHITECTURE = "architecture.json"
"""Beside the tensors: which architecture takes them, if it is one that is known."""


def convert(source: Path, keypoints: int, folder: Path, scratch: Path) -> None:
    """See `inference.formats`. Answers `EXAMPLE` too, where it lies in `scratch`."""
    import numpy as np
    import torch

    model = torch_model(source.read_bytes(), "the file", keypoints, scratch)
    if (scratch / EXAMPLE).exists():
        with torch.inference_mode():
            answer = model(torch.from_numpy(np.load(scratch / EXAMPLE, allow_pickle=False)))
        np.save(folder / ANSWER, answer.numpy(), allow_pickle=False)
    architecture = recognised(model, scratch)
    if architecture is not None:
        tensors.write({name: tensor.numpy() for name, tensor in model.state_dict().items()}, folder / TENSORS)
        (folder / ARCHITECTURE).write_text(json.dumps(asdict(architecture)))
    write_ir(without_finest_level(model), folder / COARSE)
    write_ir(model, folder / NETWORK)
