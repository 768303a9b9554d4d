"""ONNX as Ultralytics exports it (`format=onnx dynamic=True`), with suppression inside (`nms=True`) or without."""

from __future__ import annotations

from pathlib import Path

from inference.artifact import NETWORK
from inference.errors import WeightsRejected
from inference.formats.openvino_ir import write_checked
from inference.vendors import quiet_openvino


def convert(source: Path, keypoints: int, folder: Path, scratch: Path) -> None:
    """See `inference.formats`."""
    quiet_openvino()
    import openvino

    try:
        model = openvino.convert_model(source)
    except (RuntimeError, ValueError) as error:
        raise WeightsRejected(f"{source.name} is no ONNX graph that OpenVINO reads: {str(error)[:300]}") from error
    write_checked(model, source.name, folder / NETWORK)
