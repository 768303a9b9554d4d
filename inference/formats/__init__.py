"""One file a format in which a model may come: each turns it into OpenVINO networks, whatever size and batch.

An adapter's `convert` runs in the sandbox of `inference.sandbox` alone. It writes `model.xml` with its `.bin`, where it
can `coarse.xml`, of a network that poses crops `top_down.xml`, and what torch loads where there is any, into a folder,
and raises WeightsRejected with the reason. What it wrote is believed by nobody: `inference.admission` looks at it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from inference.errors import WeightsRejected
from inference.formats import onnx_graph, openvino_ir, simcc_onnx, ultralytics_pt

Format = Literal["ultralytics", "onnx", "openvino", "simcc"]
Convert = Callable[[Path, int, Path, Path], None]
"""Source, keypoints, folder for the networks, folder for whatever a vendor must write."""

ADAPTERS: dict[Format, Convert] = {
    "ultralytics": ultralytics_pt.convert,
    "onnx": onnx_graph.convert,
    "openvino": openvino_ir.convert,
    "simcc": simcc_onnx.convert,
}
_SUFFIXES: dict[str, Format] = {".pt": "ultralytics", ".onnx": "onnx", ".xml": "openvino"}


def format_of(path: Path) -> Format:
    """The format that a file's name promises. Raises WeightsRejected."""
    try:
        return _SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise WeightsRejected(
            f"{path.name} is in no known format: .pt (Ultralytics), .onnx and .xml (OpenVINO, its .bin beside it) are"
        ) from None
