"""OpenVINO's own format: a `.xml` with its `.bin` beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inference.artifact import NETWORK
from inference.errors import WeightsRejected
from inference.vendors import quiet_openvino


def convert(source: Path, keypoints: int, folder: Path, scratch: Path) -> None:
    """See `inference.formats`."""
    write_checked(read(source, "no network"), folder / NETWORK)


def read(source: Path, otherwise: str) -> Any:
    """The network in a file. Raises WeightsRejected where it is `otherwise`."""
    quiet_openvino()
    import openvino

    try:
        return openvino.Core().read_model(source)
    except RuntimeError as error:
        raise WeightsRejected(f"it is {otherwise} that OpenVINO reads: {str(error)[:300]}") from error


def write_checked(model: Any, path: Path) -> None:
    """Save a network that takes pictures of any size. Raises WeightsRejected for any other."""
    import openvino

    if len(model.inputs) != 1 or len(model.outputs) != 1:
        simcc = any(name.startswith("simcc") for output in model.outputs for name in output.get_names())
        raise WeightsRejected(
            f"it has {len(model.inputs)} inputs and {len(model.outputs)} outputs, not one of each"
            + ("; a top-down network is registered with --format simcc" if simcc else "")
        )
    shape, kind = model.input(0).get_partial_shape(), model.input(0).get_element_type().to_string()
    if shape.rank.is_dynamic or len(shape) != 4 or str(shape[1]) != "3" or kind not in {"f32", "float32"}:
        raise WeightsRejected(f"it takes {kind} {shape}, not float32 (pictures, 3, height, width)")
    if shape[2].is_static or shape[3].is_static:
        raise WeightsRejected(
            f"it takes pictures of {shape[2]} × {shape[3]} alone, and people are looked at in crops of many sizes: "
            "export it with dynamic=True"
        )
    openvino.save_model(model, path, compress_to_fp16=False)
