"""A picture cut out of its planes is the picture that a full conversion shows, whatever the decoder made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import clips
import cv2
import numpy as np
import pytest

from inference.pictures import Picture
from inference.preprocess import Letterbox
from inference.video import open_video

LIMITED, FULL = 1, 2
BT709, BT601, BT2020, UNSAID = 1, 5, 9, 2


@dataclass(frozen=True, kw_only=True)
class Colours:
    """How a lossless clip stores its pictures."""

    pix_fmt: str = "yuv420p"
    colorspace: int = BT709
    color_range: int = LIMITED
    size: tuple[int, int] = (322, 242)


KINDS = {
    "limited BT.709": Colours(),
    "limited BT.601": Colours(colorspace=BT601),
    "limited BT.2020": Colours(colorspace=BT2020),
    "nothing said": Colours(colorspace=UNSAID, color_range=0),
    "full BT.709": Colours(color_range=FULL),
    "full BT.601": Colours(colorspace=BT601, color_range=FULL),
    "odd size": Colours(size=(323, 241)),
    "odd size, 4:2:2": Colours(pix_fmt="yuv422p", size=(323, 241)),
    "10 bit": Colours(pix_fmt="yuv420p10le"),
    "10 bit, full BT.2020": Colours(pix_fmt="yuv420p10le", colorspace=BT2020, color_range=FULL),
    "4:2:2": Colours(pix_fmt="yuv422p"),
    "4:2:2, 10 bit": Colours(pix_fmt="yuv422p10le"),
    "4:4:4": Colours(pix_fmt="yuv444p"),
    "4:4:4, full": Colours(pix_fmt="yuv444p", color_range=FULL),
    "rgb": Colours(pix_fmt="bgr0", colorspace=UNSAID, color_range=0),
    "grey": Colours(pix_fmt="gray", colorspace=UNSAID, color_range=0),
}


def scene(width: int, height: int) -> np.ndarray:
    """(height, width, 3) of soft, strong colours, no two corners alike."""
    patches = np.random.default_rng(5).integers(50, 206, (4, 5, 3), np.uint8)
    return cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def lossless(path: Path, kind: Colours) -> Path:
    with av.open(str(path), "w", format="matroska") as out:
        stream = out.add_stream("ffv1", rate=30)
        stream.width, stream.height = kind.size
        stream.pix_fmt = kind.pix_fmt
        stream.codec_context.color_range, stream.codec_context.colorspace = kind.color_range, kind.colorspace
        # One thread: with several, libswscale spoils a few pixels where their parts meet.
        frame = av.VideoFrame.from_ndarray(scene(*kind.size), format="rgb24").reformat(
            format=kind.pix_fmt, dst_color_range=kind.color_range or None, dst_colorspace=kind.colorspace, threads=1
        )
        frame.pts, frame.time_base = 0, Fraction(1, 30)
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def first_picture(path: Path) -> Picture:
    with open_video(path) as video:
        return next(video.pictures())


def boxes(size: tuple[int, int]) -> Iterator[Letterbox]:
    """The whole picture; crops inside, at each corner and edge, enlarged and reduced; one larger than the picture."""
    width, height = size
    yield Letterbox.fit(width, height)
    for x in (0.0, 0.43, 1.0):
        for y in (0.0, 0.57, 1.0):
            for scale in (0.7, 1.0, 1.9):
                yield Letterbox.crop(size, (width * x, height * y), (96, 128), scale)
    yield Letterbox.crop(size, (0.0, 0.0), (640, 512), 1.3)


def assert_cuts_are_what_conversion_shows(picture: Picture) -> None:
    whole = picture.rgb()
    assert whole.shape == (picture.size[1], picture.size[0], 3)
    for box in boxes(picture.size):
        ours, reference = picture.cut(box), box.apply(whole)
        assert ours.dtype == np.uint8
        assert ours.flags.c_contiguous
        assert ours.shape == reference.shape == (*box.shape, 3)
        away = np.abs(ours.astype(int) - reference)
        assert away.mean() < 2.5, box
        assert away.max() <= 12, box


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_cut_is_what_full_conversion_shows(kind: Colours, tmp_path: Path) -> None:
    picture = first_picture(lossless(tmp_path / "clip.mkv", kind))
    assert picture.decoded.format.name == kind.pix_fmt
    assert picture.size == kind.size
    expected = scene(*kind.size).astype(int)
    if kind.pix_fmt == "gray":
        expected = cv2.cvtColor(scene(*kind.size), cv2.COLOR_RGB2GRAY).astype(int)[..., None]
    if kind.colorspace != UNSAID or kind.pix_fmt in {"gray", "bgr0"}:
        # Not merely the same twice, but the colours that went in.
        shown = picture.cut(Letterbox.crop(kind.size, (150.0, 120.0), (96, 96), 1.0))
        assert np.abs(shown - expected[72:168, 102:198]).mean() < 3.5
    assert_cuts_are_what_conversion_shows(picture)


def test_a_motion_jpeg_is_full_range(tmp_path: Path) -> None:
    recipe = clips.Recipe(codec="mjpeg", pix_fmt="yuvj420p", container="avi", width=320, height=240, frames=2)
    picture = first_picture(clips.make(tmp_path / "clip.avi", recipe))
    whole = Letterbox.fit(320, 240, long_side=320)
    assert clips.frame_number(picture.cut(whole)) == 0
    assert np.abs(picture.cut(whole).astype(int) - whole.apply(picture.rgb())).mean() < 2.5


@pytest.mark.parametrize("size", [(256, 192), (258, 190)], ids=["even", "odd chroma"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_cut_is_upright(rotation: int, size: tuple[int, int], tmp_path: Path) -> None:
    recipe = clips.Recipe(width=size[0], height=size[1], frames=7, rotation=rotation)
    with open_video(clips.make(tmp_path / "clip.mp4", recipe)) as video:
        for picture in video.pictures():
            assert picture.rotation == rotation
            assert picture.size == (size if rotation % 180 == 0 else size[::-1])
            plain = Letterbox.crop(picture.size, (0.0, 0.0), picture.size, 1.0)
            assert clips.upright(picture.cut(plain))
            assert clips.frame_number(picture.cut(plain)) == picture.index
            for box in boxes(picture.size):
                # The drawing has hard edges, on which scaling before or after conversion to colour may differ.
                away = np.abs(picture.cut(box).astype(int) - box.apply(picture.rgb()))
                assert np.median(away) <= 3, box
                assert away.mean() < 5, box


def test_the_numbers_of_the_sample_clip(sample_clip: Path) -> None:
    picture = first_picture(sample_clip)
    assert picture.size == (1768, 994)
    assert 1.5 * 1768 * 994 <= picture.nbytes < 1.6 * 1768 * 994
    for box in (Letterbox.fit(1768, 994), Letterbox.crop((1768, 994), (700.0, 500.0), (160, 224), 0.4)):
        away = np.abs(picture.cut(box).astype(int) - box.apply(picture.rgb()))
        assert away.mean() < 2
        assert np.percentile(away, 99) <= 4


def test_a_cut_never_changes_the_picture(sample_clip: Path) -> None:
    picture = first_picture(sample_clip)
    box = Letterbox.crop(picture.size, (700.0, 500.0), (160, 224), 1.0)
    before = picture.cut(box).copy()
    picture.cut(box)[:] = 0
    np.testing.assert_array_equal(picture.cut(box), before)


def test_a_box_for_another_size_is_refused(sample_clip: Path) -> None:
    with pytest.raises(ValueError, match=r"a box for \(1920, 1080\) does not fit a picture of \(1768, 994\)"):
        first_picture(sample_clip).cut(Letterbox.fit(1920, 1080))
