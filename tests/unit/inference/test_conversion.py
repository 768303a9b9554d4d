"""Without its finest level the head says of all others exactly what it says with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference.backends.openvino_backend import OpenVinoBackend
from inference.backends.torch_backend import TorchBackend, sees_gpu
from inference.catalog import DEFAULT_MODEL, resolve
from inference.conversion import load_torch_model, openvino_model, without_finest_level

pytestmark = pytest.mark.model

SHAPES = [(1, 256, 192), (3, 128, 256), (2, 384, 640)]


def pictures(count: int, height: int, width: int) -> np.ndarray:
    """(count, height, width, 3) of patches in all colours and sizes, for something to be found at each level."""
    draw = np.random.default_rng(count * height * width)
    made = np.full((count, height, width, 3), 114, np.uint8)
    for picture in made:
        for _ in range(40):
            y, x = draw.integers(0, height), draw.integers(0, width)
            tall, wide = draw.integers(4, height // 2), draw.integers(4, width // 3)
            picture[y : y + tall, x : x + wide] = draw.integers(0, 256, 3)
    return made


def coarse_anchors(height: int, width: int) -> int:
    """Places that the levels of 16 and 32 pixels look at."""
    return (height // 16) * (width // 16) + (height // 32) * (width // 32)


@pytest.mark.parametrize("backend", [TorchBackend, OpenVinoBackend])
def test_the_other_levels_say_the_same_bit_for_bit(
    backend: type[TorchBackend | OpenVinoBackend], model_cache: Path
) -> None:
    if backend is TorchBackend and sees_gpu():
        pytest.skip("a GPU may choose another algorithm for another network")
    network = backend(resolve(DEFAULT_MODEL), precision="fp32", threads=2, cache_dir=model_cache)
    for shape in SHAPES:
        batch = pictures(*shape)
        whole, coarse = network.infer(batch), network.infer(batch, fine=False)
        anchors = coarse_anchors(*shape[1:])
        assert whole.shape == (shape[0], 56, (shape[1] // 8) * (shape[2] // 8) + anchors)
        assert coarse.shape == (shape[0], 56, anchors)
        assert np.ptp(coarse[:, 4]) > 0
        same = whole[:, :, -anchors:]
        np.testing.assert_array_equal(coarse[:, 4:], same[:, 4:], "score and keypoints")
        if backend is OpenVinoBackend:
            np.testing.assert_array_equal(coarse, same)
        else:
            # Eager torch sums a box's distribution in another order where there are fewer boxes: the last bit of some.
            np.testing.assert_allclose(coarse, same, rtol=4e-6, atol=1e-4)
    network.close()


def test_the_network_that_was_given_keeps_its_levels(tmp_path: Path) -> None:
    model = load_torch_model(resolve(DEFAULT_MODEL), tmp_path)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    coarse = without_finest_level(model)
    assert (model.model[-1].nl, coarse.model[-1].nl) == (3, 2)
    assert model.model[-1].stride.tolist() == [8, 16, 32]
    assert coarse.model[-1].stride.tolist() == [16, 32]
    assert set(model.state_dict()) == set(before)
    assert sum(p.numel() for p in coarse.parameters()) < sum(p.numel() for p in model.parameters())


def test_both_files_are_in_the_cache_and_none_of_them_is_the_other(model_cache: Path) -> None:
    spec = resolve(DEFAULT_MODEL)
    fine, coarse = openvino_model(spec, model_cache), openvino_model(spec, model_cache, fine=False)
    assert fine.parent == coarse.parent
    assert fine.with_suffix(".bin").stat().st_size > coarse.with_suffix(".bin").stat().st_size > 0
