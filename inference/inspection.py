"""What a converted network answers, seen from outside: nothing that its conversion said of it is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from inference.artifact import COARSE, NETWORK, TOP_DOWN, Head, Manifest
from inference.backends.openvino_backend import OpenVinoBackend
from inference.catalog import ModelSpec
from inference.contract import SAME_PX
from inference.errors import WeightsRejected
from inference.formats.ultralytics_pt import ANSWER
from inference.golden import photographs
from inference.poses import FloatArray, Skeleton
from inference.preprocess import Letterbox
from inference.vendors import quiet_openvino

PARITY_PX = 0.5
"""By how much a converted network may place what counts elsewhere than the one that it was made from."""
_CANDIDATE = 0.25
_QUANTISING = frozenset({"FakeQuantize", "FakeConvert"})


def look(folder: Path, name: str, skeleton: Skeleton) -> Manifest:
    """How the networks in a folder are to be used, by what they answer to two pictures, alone and together.

    Raises WeightsRejected where that is no pose.
    """
    top_down = (folder / TOP_DOWN).is_file()
    quiet_openvino()
    import openvino

    model: Any = openvino.Core().read_model(folder / (TOP_DOWN if top_down else NETWORK))
    compiled: Any = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def answer(pictures: FloatArray) -> list[FloatArray]:
        said = compiled([pictures])  # copies: the next answer lies in the same place
        return [np.array(said[place]) for place in range(len(compiled.outputs))]

    one = _crop(model) if top_down else example()
    pictures = [one, np.ascontiguousarray(one[..., ::-1])]
    alone = [answer(picture) for picture in pictures]
    head = _simcc(model, alone[0], name, skeleton) if top_down else _head(alone[0][0].shape, name, skeleton)
    try:
        together = answer(np.concatenate(pictures))
    except RuntimeError:
        one_at_a_time = True
    else:
        # With suppression inside, an export that was traced with one picture leaves the others empty.
        expected = [np.concatenate(parts) for parts in zip(*alone, strict=True)]
        one_at_a_time = any(
            len(found) != 2 or not np.allclose(found, each, atol=SAME_PX)
            for found, each in zip(together, expected, strict=True)
        )
    return Manifest(head=head, one_at_a_time=one_at_a_time, coarse=(folder / COARSE).is_file())


def quantised(folder: Path) -> tuple[int, int]:
    """(convolutions and matrix products that this processor runs in 8 bits, all of them) of the network that poses.

    Both are 0 of a network that quantises nothing.
    """
    quiet_openvino()
    import openvino

    path = folder / (TOP_DOWN if (folder / TOP_DOWN).is_file() else NETWORK)
    core: Any = openvino.Core()
    model = core.read_model(path)
    if not any(node.get_type_name() in _QUANTISING for node in model.get_ops()):
        return 0, 0
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    layers = [
        info["runtimePrecision"].value
        for info in (node.get_rt_info() for node in compiled.get_runtime_model().get_ops())
        if info["layerType"].value in {"Convolution", "FullyConnected", "MatMul"}
    ]
    return sum(layer in {"i8", "u8"} for layer in layers), len(layers)


def parity(spec: ModelSpec, folder: Path, scratch: Path, name: str) -> float | None:
    """Pixels by which boxes and keypoints of candidates moved when the network was converted; None: nothing to compare.

    Raises WeightsRejected above `PARITY_PX`.
    """
    if not (folder / ANSWER).is_file():
        return None
    before = np.load(folder / ANSWER, allow_pickle=False)
    backend = OpenVinoBackend(spec, precision="fp32", threads=None, cache_dir=scratch)
    image = photographs()[0].image
    after = backend.infer(Letterbox.fit(image.shape[1], image.shape[0]).apply(image)[None])
    backend.close()
    if before.shape != after.shape:
        raise WeightsRejected(f"{name} answers {before.shape} before its conversion and {after.shape} after it")
    counts = (before[0, 4] > _CANDIDATE) | (after[0, 4] > _CANDIDATE)
    places = [channel for channel in range(before.shape[1]) if channel < 4 or (channel >= 5 and (channel - 5) % 3 < 2)]
    moved = np.abs(before[0][places] - after[0][places])[:, counts]
    largest = float(moved.max()) if moved.size else 0.0
    if largest > PARITY_PX:
        raise WeightsRejected(f"{name} places candidates {largest:.2f} px elsewhere after its conversion")
    return round(largest, 5)


def example() -> FloatArray:
    """(1, 3, H, W) in 0..1: a golden photograph as a network takes it."""
    image = photographs()[0].image
    boxed = Letterbox.fit(image.shape[1], image.shape[0]).apply(image)
    scaled: FloatArray = np.ascontiguousarray(boxed.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
    return scaled


def _crop(model: Any) -> FloatArray:
    """(1, 3, H, W): what a network of crops takes, more or less normalised."""
    height, width = (int(side.get_length()) for side in list(model.input(0).get_partial_shape())[2:])
    return np.ascontiguousarray(example()[:, :, :height, :width]) * np.float32(4) - np.float32(2)


def _head(shape: tuple[int, ...], name: str, skeleton: Skeleton) -> Head:
    keypoints = len(skeleton.keypoint_names)
    if len(shape) == 3 and shape[:2] == (1, 5 + 3 * keypoints):
        return "raw"
    if len(shape) == 3 and (shape[0], shape[2]) == (1, 6 + 3 * keypoints):
        return "rows"
    raise WeightsRejected(
        f"{name} answers one picture with {shape}; {skeleton.name} has {keypoints} keypoints, which would be "
        f"(1, {5 + 3 * keypoints}, candidates) or, with suppression inside, (1, people, {6 + 3 * keypoints})"
    )


def _simcc(model: Any, answers: list[FloatArray], name: str, skeleton: Skeleton) -> Head:
    height, width = (int(side.get_length()) for side in list(model.input(0).get_partial_shape())[2:])
    keypoints = len(skeleton.keypoint_names)
    x, y = (answer.shape for answer in answers)
    bins = x[-1] / width
    if x != (1, keypoints, round(bins * width)) or y != (1, keypoints, round(bins * height)) or bins < 1:
        raise WeightsRejected(
            f"{name} answers one crop with {x} and {y}; of {skeleton.name} that would be (1, {keypoints}, {width} s) "
            f"and (1, {keypoints}, {height} s)"
        )
    return "simcc"
