"""Top-down ONNX with SimCC outputs, as RTMPose is exported: a crop of one person → a row of bins for x and for y.

Somebody must find the people first: the built-in model's boxes do, so its networks come into the artifact too. Source:
Jiang et al. 2023, RTMPose, arXiv 2303.07399.
"""

from __future__ import annotations

from pathlib import Path

from inference.artifact import COARSE, NETWORK, TOP_DOWN
from inference.catalog import DEFAULT_MODEL, catalogued, read_weights
from inference.conversion import torch_model, without_finest_level, write_ir
from inference.errors import WeightsRejected
from inference.formats.openvino_ir import read

OUTPUTS = ("simcc_x", "simcc_y")


def convert(source: Path, keypoints: int, folder: Path, scratch: Path) -> None:
    """See `inference.formats`."""
    write_poser(source, folder)
    detector = catalogued(DEFAULT_MODEL)
    network = torch_model(read_weights(detector), detector.name, len(detector.skeleton.keypoint_names), scratch)
    write_ir(without_finest_level(network), folder / COARSE)
    write_ir(network, folder / NETWORK)


def write_poser(source: Path, folder: Path) -> None:
    """Save the network that poses crops, its outputs in the order of `OUTPUTS`. Raises WeightsRejected for another."""
    model = read(source, "no ONNX graph")
    import openvino

    names = [output.get_any_name() for output in model.outputs]
    if len(model.inputs) != 1 or sorted(names) != sorted(OUTPUTS):
        raise WeightsRejected(f"it has the outputs {', '.join(names)}, not {' and '.join(OUTPUTS)} of one input")
    shape, kind = model.input(0).get_partial_shape(), model.input(0).get_element_type().to_string()
    if shape.rank.is_dynamic or len(shape) != 4 or str(shape[1]) != "3" or kind not in {"f32", "float32"}:
        raise WeightsRejected(f"it takes {kind} {shape}, not float32 (crops, 3, height, width)")
    if shape[2].is_dynamic or shape[3].is_dynamic:
        raise WeightsRejected(f"it takes crops of any size, {shape}: bins need one size")
    if names != list(OUTPUTS):
        model = openvino.Model([model.output(name) for name in OUTPUTS], model.get_parameters())
    openvino.save_model(model, folder / TOP_DOWN, compress_to_fp16=False)
