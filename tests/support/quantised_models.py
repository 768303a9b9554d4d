"""A network in 8 bits, by the plainest post-training quantisation: ranges are what the golden photographs show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

from inference.inspection import example

_LEVELS = 256


def quantise(source: Path, path: Path, *, layers: int | None = None) -> Path:
    """Put FakeQuantize before the convolutions of an IR, the first `layers` of them or all, and save it.

    Activations by the range of each tensor, weights by the range of each output channel, symmetric.
    """
    model: Any = openvino.Core().read_model(source)
    found = [node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"][:layers]
    probe: Any = openvino.Core().compile_model(
        openvino.Model([node.input_value(0) for node in found], model.get_parameters()), "CPU"
    )
    said = probe([example()])
    ranges = [(float(said[place].min()), float(said[place].max())) for place in range(len(found))]
    for node, (low, high) in zip(found, ranges, strict=True):
        _quantise(node, 0, np.float32(low), np.float32(high), _LEVELS)
        weights = np.array(node.input_value(1).get_node().data)
        most = np.abs(weights).max(axis=(1, 2, 3), keepdims=True).astype(np.float32)
        _quantise(node, 1, -most, most, _LEVELS - 1)
    openvino.save_model(model, path, compress_to_fp16=False)
    return path


def _quantise(node: Any, place: int, low: Any, high: Any, levels: int) -> None:
    bounds = [ops.constant(bound) for bound in (low, high, low, high)]
    made = ops.fake_quantize(node.input_value(place), *bounds, levels)
    node.input(place).replace_source_output(made.output(0))
