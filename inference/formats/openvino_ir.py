"""OpenVINO's own format: a `.xml` with its `.bin` beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inference.artifact import NETWORK
from inference.errors import WeightsRejected
from inference.vendors import quiet_openvino


def convert(source: Path, keypoints: int, folder: Path, scratch: Path) -> None:
    """See `inference.formats`."""
    quiet_openvino()
    import openvino

    try:
        model = openvino.Core().read_model(source)
    except RuntimeError as error:
        raise WeightsRejected(f"{source.name} is no network that OpenVINO reads: {str(error)[:300]}") from error
    write_checked(model, source.name, folder / NETWORK)


def write_checked(model: Any, name: str, path: Path) -> None:
    """Save a network that takes pictures of any size. Raises WeightsRejected for any other."""
    import openvino

    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise WeightsRejected(
            f"{name} has {len(model.inputs)} inputs and {len(model.outputs)} outputs, not one of each"
        )
    shape, kind = model.input(0).get_partial_shape(), model.input(0).get_element_type().to_string()
    if shape.rank.is_dynamic or len(shape) != 4 or str(shape[1]) != "3" or kind not in {"f32", "float32"}:
        raise WeightsRejected(f"{name} takes {kind} {shape}, not float32 (pictures, 3, height, width)")
    if shape[2].is_static or shape[3].is_static:
        raise WeightsRejected(
            f"{name} takes pictures of {shape[2]} × {shape[3]} alone, and people are looked at in crops of many sizes: "
            "export it with dynamic=True"
        )
    openvino.save_model(model, path, compress_to_fp16=False)
