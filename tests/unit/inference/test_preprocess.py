"""The letterbox is Ultralytics' own, pixel for pixel, and its way back is exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    "wrong",
    [
        {"pad": (1, 0)},
        {"resized": (0, 64)},
        {"origin": (-1, 0)},
        {"origin": (11, 0)},
        {"source": (21, 10)},
        {"pad": (0, -1)},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_letterbox_that_does_not_fit_cannot_be_built(wrong: dict[str, tuple[int, int]]) -> None:
    fitting = {"picture": (20, 10), "source": (10, 10), "resized": (64, 64), "pad": (0, 0), "size": (64, 64)}
    Letterbox(**fitting)
    with pytest.raises(ValueError, match="does not fit"):
        Letterbox(**{**fitting, **wrong})


class TestCrop:
    """A rectangle of a picture at a scale that somebody chose."""

    def test_in_the_middle_it_lies_around_its_centre_and_fills_the_input(self) -> None:
        box = Letterbox.crop((1920, 1080), (1000.0, 500.0), (160, 224), 0.5)
        assert (box.origin, box.source) == ((840, 276), (320, 448))
        assert (box.resized, box.pad, box.shape) == ((160, 224), (0, 0), (224, 160))

    @pytest.mark.parametrize(
        ("centre", "origin"),
        [((0, 0), (0, 0)), ((1920, 0), (1600, 0)), ((0, 1080), (0, 632)), ((1920, 1080), (1600, 632))],
        ids=["top left", "top right", "bottom left", "bottom right"],
    )
    def test_at_a_corner_it_is_shifted_into_the_picture(
        self, centre: tuple[float, float], origin: tuple[int, int]
    ) -> None:
        box = Letterbox.crop((1920, 1080), centre, (160, 224), 0.5)
        assert (box.origin, box.source, box.pad) == (origin, (320, 448), (0, 0))

    def test_a_picture_smaller_than_it_is_padded_where_it_ends(self) -> None:
        image = np.full((60, 300, 3), 200, np.uint8)
        box = Letterbox.crop((300, 60), (150.0, 30.0), (128, 160), 1.0)
        cut = box.apply(image)
        assert (box.source, box.pad) == ((128, 60), (0, 50))
        assert (cut[50:110] == 200).all()
        assert (cut[:50] == 114).all()
        assert (cut[110:] == 114).all()

    def test_apply_takes_those_very_pixels(self) -> None:
        image = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
        box = Letterbox.crop((400, 300), (180.0, 120.0), (96, 128), 1.0)
        np.testing.assert_array_equal(box.apply(image), image[56:184, 132:228])

    def test_a_marked_pixel_of_a_crop_comes_back_where_it_was(self) -> None:
        image = np.zeros((994, 1768, 3), np.uint8)
        cv2.circle(image, (1200, 300), 9, (255, 255, 255), -1)
        for scale in (0.4, 1.0, 1.7):
            box = Letterbox.crop((1768, 994), (1180.0, 330.0), (160, 192), scale)
            ys, xs = np.nonzero(box.apply(image).sum(axis=2) > 300)
            centre = np.array([xs.mean() + 0.5, ys.mean() + 0.5], np.float32)
            np.testing.assert_allclose(box.to_source(centre) - 0.5, [1200, 300], atol=1.0)

    @settings(database=None, deadline=None, derandomize=True, max_examples=300)
    @given(
        picture=st.tuples(st.integers(64, 4000), st.integers(64, 4000)),
        share=st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)),
        size=st.tuples(st.integers(3, 20).map(lambda n: 32 * n), st.integers(3, 20).map(lambda n: 32 * n)),
        scale=st.floats(0.1, 2.0),
    )
    def test_wherever_it_is_asked_for_it_lies_in_the_picture_at_its_scale_and_leads_back(
        self, picture: tuple[int, int], share: tuple[float, float], size: tuple[int, int], scale: float
    ) -> None:
        centre = (share[0] * picture[0], share[1] * picture[1])
        box = Letterbox.crop(picture, centre, size, scale)
        assert box.size == size
        for axis in range(2):
            low, length, whole = box.origin[axis], box.source[axis], picture[axis]
            assert low >= 0
            assert low + length <= whole
            # Half an input pixel and half a source pixel: what rounding to whole pixels may cost.
            assert abs(box.resized[axis] - length * scale) <= 0.5 + scale
            assert abs(box.scale[axis] / scale - 1) <= (0.5 + scale) / (length * scale)
            if length < whole:
                assert size[axis] - box.resized[axis] <= 1, "there is more of the picture, so there is no padding"
                if length / 2 <= centre[axis] <= whole - length / 2:
                    assert abs(low + length / 2 - centre[axis]) <= 1
        corners = np.array([box.origin, np.add(box.origin, box.source)], np.float32)
        there = (corners - np.array(box.origin)) * np.array(box.scale) + np.array(box.pad)
        np.testing.assert_allclose(box.to_source(there.astype(np.float32)), corners, atol=0.01)
