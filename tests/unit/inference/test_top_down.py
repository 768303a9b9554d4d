"""The crop of one person and its bins: exact there and back, and as published. Real weights inside: what they see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from altered_models import sha256
from top_down_models import simcc_onnx

from inference.admission import Declaration, admit
from inference.backends import make_backend
from inference.backends.openvino_backend import read_network
from inference.catalog import RegisteredModel
from inference.errors import BackendUnavailable, WeightsRejected
from inference.estimator import Estimator
from inference.formats import onnx_graph
from inference.formats.simcc_onnx import write_poser
from inference.golden import photographs
from inference.inspection import look
from inference.poses import COCO_17
from inference.skeletons import HALPE_26
from inference.top_down import PersonCrop, decode

SIZE = (192, 256)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, model_cache: Path) -> Path:
    return simcc_onnx(tmp_path_factory.mktemp("simcc") / "net.onnx", model_cache)


def boxes(count: int = 50) -> np.ndarray:
    drawn = np.random.default_rng(5)
    corners = drawn.uniform(-50, 1500, (count, 2))
    return np.concatenate([corners, corners + drawn.uniform(5, 900, (count, 2))], axis=1).astype(np.float32)


def test_a_box_is_widened_by_a_quarter_and_to_the_shape_of_the_input() -> None:
    tall = PersonCrop.around(np.array([100, 200, 150, 400], np.float32), SIZE)
    assert (tall.centre, tall.scale) == ((125, 300), 256 / (1.25 * 200))
    wide = PersonCrop.around(np.array([100, 200, 500, 400], np.float32), SIZE)
    assert (wide.centre, wide.scale) == ((300, 300), 192 / (1.25 * 400))
    np.testing.assert_allclose(tall.to_input(np.array([[125, 300], [125, 200]], np.float32)), [[96, 128], [96, 25.6]])


def test_there_and_back_is_exact() -> None:
    points = np.random.default_rng(6).uniform(0, 1920, (17, 2)).astype(np.float32)
    for box in boxes():
        crop = PersonCrop.around(box, SIZE)
        np.testing.assert_allclose(crop.to_picture(crop.to_input(points)), points, atol=0.01)


def test_what_is_cut_lies_where_the_geometry_says() -> None:
    """Bumps of light in a picture: their bins are the crop's own columns and rows, their places are known."""
    crop = PersonCrop.around(np.array([300, 100, 420, 340], np.float32), SIZE)
    y, x = np.mgrid[:480, :640]
    for at in ((330.0, 150.0), (400.5, 310.25), (360.0, 220.0)):
        light = 255 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 6.0**2))
        cut = crop.cut(np.repeat(light[..., None], 3, axis=2).astype(np.uint8))[..., 0].astype(np.float32) / 255
        bins = [np.repeat(profile, 2)[None, None] for profile in (cut.max(axis=0), cut.max(axis=1))]
        found = decode(bins[0], bins[1], SIZE)[0, 0]
        assert crop.to_picture(found[:2]) == pytest.approx(at, abs=1.5 / crop.scale)
        assert found[2] > 0.9


def test_what_lies_outside_the_picture_is_black() -> None:
    cut = PersonCrop.around(np.array([-100, -100, 20, 60], np.float32), SIZE).cut(np.full((100, 100, 3), 200, np.uint8))
    assert cut.shape == (256, 192, 3)
    assert (cut[:100].max(), cut[200, 150].min()) == (0, 200)


def test_a_place_is_the_largest_bin_and_as_sure_as_the_less_sure_axis() -> None:
    simcc_x, simcc_y = np.zeros((1, 3, 384), np.float32), np.zeros((1, 3, 512), np.float32)
    simcc_x[0, 0, 101], simcc_y[0, 0, 255] = 0.9, 0.4
    simcc_x[0, 1, 383], simcc_y[0, 1, 511] = 1.3, 1.1
    simcc_x[0, 2], simcc_y[0, 2] = -0.2, 0.5
    np.testing.assert_allclose(
        decode(simcc_x, simcc_y, SIZE)[0], [[50.5, 127.5, 0.4], [191.5, 255.5, 1.0], [0, 0, 0]], atol=1e-6
    )


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_crop_of_nothing_cannot_be_built(scale: float) -> None:
    with pytest.raises(ValueError, match="invalid PersonCrop"):
        PersonCrop(centre=(0, 0), scale=scale, size=SIZE)
    PersonCrop.around(np.array([5, 5, 5, 5], np.float32), SIZE)


@pytest.mark.model
class TestNetworks:
    """The real weights behind the signature of RTMPose, and what is refused."""

    def declared(self, path: Path) -> Declaration:
        return Declaration(name="net", version="1", sha256=sha256(path), skeleton=COCO_17, format="simcc")

    def test_people_are_the_finders_and_keypoints_the_posers(self, path: Path, tmp_path: Path) -> None:
        admitted = admit(path, self.declared(path), threads=1)
        assert admitted.report["contract"]["people"] == 4
        assert admitted.report["contract"]["keypoint_error_pct_height"] < 3
        assert (admitted.report["head"], admitted.report["precision"]) == ("simcc", "fp32")
        assert admitted.report["people_by"] == "yolo11n-pose@1"
        spec = RegisteredModel(
            name="net",
            version="1",
            sha256="0" * 64,
            skeleton=COCO_17,
            licence="AGPL-3.0",
            artifact_sha256=admitted.sha256,
            content=admitted.content,
        ).spec(tmp_path)
        estimator = Estimator.load(spec, backend="openvino", threads=1, cache_dir=tmp_path)
        assert (estimator.info.backend, estimator.info.precision) == ("openvino", "fp32")
        image = photographs()[0].image
        people, nobody = estimator.infer([estimator.prepare(one) for one in (image, np.full_like(image, 114))])
        assert (len(people), nobody) == (4, [])
        # A bin is half a pixel of the crop; all its answers lie on that grid.
        for pose in people:
            crop = PersonCrop.around(pose.box / image.shape[0] * 640, (288, 384))
            grid = 2 * crop.to_input(pose.keypoints / image.shape[0] * 640)
            assert np.abs(grid[pose.confidence > 0.5] - np.round(grid[pose.confidence > 0.5])).max() < 0.1
        with pytest.raises(BackendUnavailable, match=r"net@1 runs in fp32 alone, not in bf16"):
            make_backend(spec, backend="openvino", precision="bf16", cache_dir=tmp_path)
        with pytest.raises(BackendUnavailable, match="keeps nothing that torch could load"):
            make_backend(spec, backend="torch", cache_dir=tmp_path)

    def test_one_crop_at_a_time_and_outputs_in_the_other_order(self, tmp_path: Path, model_cache: Path) -> None:
        write_poser(simcc_onnx(tmp_path / "one.onnx", model_cache, one_crop=True), tmp_path)
        manifest = look(tmp_path, "one.onnx", COCO_17)
        assert (manifest.head, manifest.one_at_a_time) == ("simcc", True)
        assert [tuple(output.shape) for output in read_network(tmp_path / "top_down.xml").outputs] == [
            (1, 17, 576),
            (1, 17, 768),
        ]

    def test_what_is_not_of_that_signature_is_refused(self, path: Path, tmp_path: Path) -> None:
        import onnx

        with pytest.raises(WeightsRejected, match=r"registered with --format simcc"):
            onnx_graph.convert(path, 17, tmp_path, tmp_path)
        write_poser(path, tmp_path)
        with pytest.raises(WeightsRejected, match=r"of halpe-26 that would be \(1, 26, 288 s\) and \(1, 26, 384 s\)"):
            look(tmp_path, path.name, HALPE_26)
        network = onnx.load(path)
        del network.graph.output[1]
        onnx.save(network, tmp_path / "half.onnx")
        with pytest.raises(WeightsRejected, match="not simcc_x and simcc_y of one input"):
            write_poser(tmp_path / "half.onnx", tmp_path)
