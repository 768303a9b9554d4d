"""ONNX as Ultralytics exports it (`format=onnx dynamic=True`), with suppression inside (`nms=True`) or without."""

from __future__ import annotations

from pathlib import Path

from inference.artifact import NETWORK
from inference.formats.openvino_ir import read, write_checked


def convert(source: Path, keypoints: int, folder: Path, scratch: Path) -> None:
    """See `inference.formats`."""
    write_checked(read(source, "no ONNX graph"), folder / NETWORK)
