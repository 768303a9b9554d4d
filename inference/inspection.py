"""What a converted network answers, seen from outside: nothing that its conversion said of it is believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.artifact import COARSE, NETWORK, TENSORS, TOP_DOWN, Architecture, Head, Manifest
from inference.backends.openvino_backend import OpenVinoBackend
from inference.catalog import ModelSpec
from inference.contract import SAME_PX
from inference.conversion import without_finest_level
from inference.errors import WeightsRejected
from inference.formats.ultralytics_pt import ANSWER, ARCHITECTURE
from inference.golden import photographs
from inference.poses import FloatArray, Skeleton
from inference.preprocess import Letterbox
from inference.rebuilding import rebuilt
from inference.vendors import quiet_openvino

PARITY_PX = 0.5
"""By how much a converted network may place what counts elsewhere than the one that it was made from."""
PARITY_CONFIDENCE = 0.01
"""By how much torch may be surer or less sure than OpenVINO of the same version."""
_CANDIDATE = 0.25
_DESCRIPTION_MAX = 200
"""Bytes of an architecture's two words, with room; what comes after them is not read."""
_TENSORS_MAX = 1 << 30
"""Bytes of an architecture's tensors: the largest known takes 0.4 GiB."""
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
    return Manifest(
        head=head, one_at_a_time=one_at_a_time, coarse=(folder / COARSE).is_file(), torch=_architecture(folder, name)
    )


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
    after = backend.infer(_boxed(photographs()[0].image)[None])
    backend.close()
    if before.shape != after.shape:
        raise WeightsRejected(f"{name} answers {before.shape} before its conversion and {after.shape} after it")
    counts = (before[0, 4] > _CANDIDATE) | (after[0, 4] > _CANDIDATE)
    moved, _ = _differences(before[0][:, counts], after[0][:, counts])
    if not moved <= PARITY_PX:  # so that NaN is refused too
        raise WeightsRejected(f"{name} places candidates {moved:.2f} px elsewhere after its conversion")
    return round(moved, 5)


def torch_parity(spec: ModelSpec, scratch: Path, name: str) -> float | None:
    """Pixels by which torch, from the tensors, places candidates elsewhere than OpenVINO; None: there are no tensors.

    Both whole and without the head's finest level, on the golden photographs, in fp32 on the processor. Raises
    WeightsRejected above `PARITY_PX`, where they are not equally sure, and for tensors that are not the network's.
    """
    if spec.artifact is None or spec.artifact.manifest.torch is None:
        return None
    moved = [agreement(answered, expected, name) for answered, expected in _both_answers(spec, scratch)]
    return round(max(moved), 5)


def agreement(answered: FloatArray, expected: FloatArray, name: str) -> float:
    """Pixels between what torch and OpenVINO answer, (1, 5 + 3K, A) each. Raises WeightsRejected.

    Of all candidates, also those that do not count: nobody on the photographs is so small that the finest level counts.
    """
    if answered.shape != expected.shape:
        raise WeightsRejected(f"{name} answers {answered.shape} with torch and {expected.shape} with OpenVINO")
    moved, surer = _differences(answered[0], expected[0])
    if not (moved <= PARITY_PX and surer <= PARITY_CONFIDENCE):  # so that NaN is refused too
        raise WeightsRejected(
            f"{name} places candidates {moved:.2f} px elsewhere with torch than with OpenVINO, and its confidences are "
            f"up to {surer:.3f} apart"
        )
    return moved


def _both_answers(spec: ModelSpec, scratch: Path) -> Iterator[tuple[FloatArray, FloatArray]]:
    """What torch and OpenVINO say to each golden photograph: (1, 5 + 3K, A) of either."""
    import torch

    whole = rebuilt(spec, scratch)
    networks = {True: whole, False: without_finest_level(whole)}
    backend = OpenVinoBackend(spec, precision="fp32", threads=None, cache_dir=scratch)
    try:
        for photograph in photographs():
            boxed = _boxed(photograph.image)
            for fine, network in networks.items():
                with torch.inference_mode():
                    answered = network(torch.from_numpy(_scaled(boxed))).numpy()
                yield answered, backend.infer(boxed[None], fine=fine)
    finally:
        backend.close()


def _differences(one: FloatArray, other: FloatArray) -> tuple[float, float]:
    """Of two answers (5 + 3K, A) of the same candidates: pixels between places, and between confidences, at most."""
    sure = [channel for channel in range(len(one)) if channel == 4 or (channel > 4 and (channel - 5) % 3 == 2)]
    apart = np.abs(one - other)
    return float(np.delete(apart, sure, axis=0).max(initial=0.0)), float(apart[sure].max(initial=0.0))


def example() -> FloatArray:
    """(1, 3, H, W) in 0..1: a golden photograph as a network takes it."""
    return _scaled(_boxed(photographs()[0].image))


def _boxed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w, 3) → (H, W, 3) of a size that networks take."""
    return Letterbox.fit(image.shape[1], image.shape[0]).apply(image)


def _scaled(boxed: NDArray[np.uint8]) -> FloatArray:
    """(H, W, 3) → (1, 3, H, W) in 0..1."""
    scaled: FloatArray = np.ascontiguousarray(boxed.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
    return scaled


def _architecture(folder: Path, name: str) -> Architecture | None:
    """Which architecture takes the tensors in a folder; None where there are none. Raises WeightsRejected."""
    described = folder / ARCHITECTURE
    if described.is_file() != (folder / TENSORS).is_file():
        raise WeightsRejected(f"{name}: its conversion left tensors without their architecture, or that without them")
    if not described.is_file():
        return None
    if (size := (folder / TENSORS).stat().st_size) > _TENSORS_MAX:
        raise WeightsRejected(f"{name}: its tensors take {size} bytes, and no network that is known takes so many")
    try:
        with described.open("rb") as file:
            return Architecture(**json.loads(file.read(_DESCRIPTION_MAX)))
    except (ValueError, TypeError) as error:
        raise WeightsRejected(f"{name}: its architecture is none that is known: {str(error)[:200]}") from error


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
