"""The letterbox is Ultralytics' own, pixel for pixel, and its way back is exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inference.preprocess import Letterbox
from inference.vendors import quiet_ultralytics

SIZES = [
    (1768, 994), (1920, 1080), (1080, 1920), (3840, 2160), (640, 480), (640, 640), (641, 479), (333, 777), (64, 64),
    (1279, 721), (720, 1280), (2000, 30), (7, 900), (811, 640), (640, 384), (1000, 601),
]  # fmt: skip


@pytest.fixture(scope="module")
def vendor_letterbox(tmp_path_factory: pytest.TempPathFactory) -> Any:
    quiet_ultralytics(Path(tmp_path_factory.mktemp("ultralytics")))
    from ultralytics.data.augment import LetterBox

    return LetterBox((640, 640), auto=True, stride=32)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_apply_equals_ultralytics_pixel_for_pixel(width: int, height: int, vendor_letterbox: Any) -> None:
    image = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), np.uint8)
    ours = Letterbox.fit(width, height).apply(image)
    np.testing.assert_array_equal(ours, vendor_letterbox(image=image))
    assert ours.flags.c_contiguous
    assert ours.shape[0] % 32 == ours.shape[1] % 32 == 0


def test_sample_clip_geometry() -> None:
    letterbox = Letterbox.fit(1768, 994)
    assert letterbox.resized == (640, 360)
    assert letterbox.pad == (0, 12)
    assert letterbox.shape == (384, 640)
    assert letterbox.scale == pytest.approx((640 / 1768, 360 / 994))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_to_source_undoes_the_letterbox(width: int, height: int) -> None:
    letterbox = Letterbox.fit(width, height)
    (scale_x, scale_y), (left, top) = letterbox.scale, letterbox.pad
    source = np.array([[[0.0, 0.0], [width, height]], [[width / 2, height / 3], [width / 5, height]]], np.float32)
    there = source * np.array([scale_x, scale_y], np.float32) + np.array([left, top], np.float32)
    back = letterbox.to_source(there)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, source, atol=1e-3 * max(width, height) / 640)


def test_to_source_clips_points_in_the_padding_to_the_edge() -> None:
    points = np.array([[-5.0, 3.0], [645.0, 383.0]], np.float32)
    np.testing.assert_array_equal(Letterbox.fit(1768, 994).to_source(points), [[0, 0], [1768, 994]])


def test_a_marked_pixel_comes_back_where_it_was() -> None:
    image = np.zeros((994, 1768, 3), np.uint8)
    cv2.circle(image, (1200, 300), 12, (255, 255, 255), -1)
    letterbox = Letterbox.fit(1768, 994)
    boxed = letterbox.apply(image).astype(float)[12:372].sum(axis=2)
    ys, xs = np.nonzero(boxed > 300)
    # Pixel centres: the middle of a resized pixel lies half a pixel further in the source.
    centre = np.array([xs.mean() + 0.5, ys.mean() + 12 + 0.5], np.float32)
    np.testing.assert_allclose(letterbox.to_source(centre) - 0.5, [1200, 300], atol=1.0)


def test_apply_never_hands_back_the_picture_itself() -> None:
    image = np.zeros((640, 640, 3), np.uint8)
    boxed = Letterbox.fit(640, 640).apply(image)
    image[:] = 9
    assert not boxed.any()


@pytest.mark.parametrize(
    "image",
    [np.zeros((10, 21, 3), np.uint8), np.zeros((10, 20), np.uint8), np.zeros((10, 20, 3), np.float32)],
    ids=["size", "grey", "float"],
)
def test_apply_refuses_another_picture_than_it_was_made_for(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"not \(10, 20, 3\) uint8"):
        Letterbox.fit(20, 10).apply(image)


def test_a_letterbox_that_does_not_fit_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Letterbox(source=(10, 10), resized=(640, 640), pad=(1, 0), size=(640, 640))
