"""The proof: the same people as Ultralytics' own `predict`, from the same decoded pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from lamps import lamp_estimator

from inference.artifact import Precision
from inference.backends import cuda_gpus, openvino_backend, torch_backend
from inference.backends.base import BackendName
from inference.catalog import DEFAULT_MODEL, resolve
from inference.estimator import Estimator, Prepared
from inference.poses import Pose
from inference.preprocess import Letterbox
from inference.vendors import quiet_ultralytics

pytestmark = pytest.mark.model

Image = np.ndarray
EVERY = 10
"""Every so many frames of the clip are compared, for the sake of time; all 230 were compared once by hand."""


@pytest.fixture(scope="module")
def pictures(sample_clip: Path, model_cache: Path) -> list[Image]:
    """RGB: Ultralytics' two packaged photographs and frames of the clip."""
    quiet_ultralytics(model_cache / "ultralytics")
    from ultralytics.utils import ASSETS

    photographs = [
        cv2.cvtColor(cv2.imread(str(ASSETS / name)), cv2.COLOR_BGR2RGB) for name in ("bus.jpg", "zidane.jpg")
    ]
    with av.open(str(sample_clip)) as clip:
        frames = [f.to_ndarray(format="rgb24") for i, f in enumerate(clip.decode(video=0)) if i % EVERY == 0]
    return photographs + frames


@pytest.fixture(scope="module")
def reference(pictures: list[Image], model_cache: Path) -> list[list[Pose]]:
    """What Ultralytics' `predict` finds, as our poses."""
    quiet_ultralytics(model_cache / "ultralytics")
    from ultralytics import YOLO

    model: Any = YOLO(str(resolve(DEFAULT_MODEL).weights))

    def people(image: Image) -> Iterator[Pose]:
        (result,) = model.predict(image[..., ::-1], device="cpu", verbose=False, save=False)
        boxes, keypoints = result.boxes, result.keypoints
        for i in range(len(boxes)):
            yield Pose(
                keypoints=keypoints.xy[i].numpy(),
                confidence=keypoints.conf[i].numpy(),
                box=boxes.xyxy[i].numpy(),
                score=float(boxes.conf[i]),
            )

    return [list(people(image)) for image in pictures]


Load = Callable[[BackendName, Precision], Estimator]


@pytest.fixture
def load(model_cache: Path) -> Iterator[Load]:
    loaded: list[Estimator] = []

    def make(backend: BackendName, precision: Precision) -> Estimator:
        spec = resolve(DEFAULT_MODEL)
        made = Estimator.load(spec, backend=backend, precision=precision, threads=2, cache_dir=model_cache)
        loaded.append(made)
        return made

    yield make
    for estimator in loaded:
        estimator.close()


def infer(estimator: Estimator, pictures: list[Image]) -> list[list[Pose]]:
    """In batches of up to 8 pictures of one shape."""
    people: list[list[Pose]] = []
    prepared = [estimator.prepare(image) for image in pictures]
    while prepared:
        shape = prepared[0].kind
        size = next((i for i, picture in enumerate(prepared[:8]) if picture.kind != shape), min(8, len(prepared)))
        people += estimator.infer(prepared[:size])
        prepared = prepared[size:]
    return people


def differences(ours: list[list[Pose]], reference: list[list[Pose]]) -> np.ndarray:
    """Distance of each keypoint of each person to the nearest person of the reference, in % of body height."""
    shares = []
    for found, expected in zip(ours, reference, strict=True):
        for pose in found:
            if expected:
                distances = [np.linalg.norm(pose.keypoints - other.keypoints, axis=1) for other in expected]
                shares.append(min(distances, key=np.median) / (pose.box[3] - pose.box[1]) * 100)
    return np.concatenate(shares)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_fp32_finds_what_ultralytics_finds_within_half_a_pixel(
    backend: BackendName, load: Load, pictures: list[Image], reference: list[list[Pose]]
) -> None:
    if backend == "torch" and cuda_gpus():
        pytest.skip("the reference is the processor's")
    ours = infer(load(backend, "fp32"), pictures)
    assert [len(people) for people in ours] == [len(people) for people in reference]
    assert len(ours[0]) == 4, "four people stand before the bus"
    assert sum(map(len, ours)) > 30
    for found, expected in zip(ours, reference, strict=True):
        for pose, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(pose.box, other.box, atol=0.5)
            np.testing.assert_allclose(pose.keypoints, other.keypoints, atol=0.5)
            np.testing.assert_allclose(pose.confidence, other.confidence, atol=0.01)
            assert pose.score == pytest.approx(other.score, abs=0.01)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_bf16_moves_keypoints_by_little(
    backend: BackendName, load: Load, pictures: list[Image], reference: list[list[Pose]]
) -> None:
    native = torch_backend.precisions() if backend == "torch" else openvino_backend.precisions()
    if "bf16" not in native:
        pytest.skip("this processor has no bf16")
    ours = infer(load(backend, "bf16"), pictures)
    # A person at the threshold may come or go.
    assert abs(sum(map(len, ours)) - sum(map(len, reference))) <= 0.05 * sum(map(len, reference))
    moved = differences(ours, reference)
    assert np.median(moved) < 0.3
    assert np.percentile(moved, 95) < 2.0


def test_info_says_what_runs(load: Load) -> None:
    info = load("openvino", "fp32").info
    assert (info.name, info.version, info.backend, info.precision) == ("yolo11n-pose", "1", "openvino", "fp32")
    assert info.sha256 == resolve(DEFAULT_MODEL).sha256
    assert info.runtime.startswith("openvino 20")


def test_pictures_of_one_shape_may_come_from_sources_of_different_sizes(load: Load, pictures: list[Image]) -> None:
    estimator = load("openvino", "fp32")
    frame = pictures[11]
    half = cv2.resize(frame, (frame.shape[1] // 2, frame.shape[0] // 2), interpolation=cv2.INTER_AREA)
    whole, smaller = estimator.infer([estimator.prepare(frame), estimator.prepare(half)])
    assert len(whole) == len(smaller) > 0
    np.testing.assert_allclose(smaller[0].box * 2, whole[0].box, atol=0.02 * 994)


def test_pictures_of_different_shapes_are_refused_and_none_is_nothing(load: Load) -> None:
    estimator = load("openvino", "fp32")
    estimator.warm_up([(320, 180)], batch=2)
    landscape, portrait = (estimator.prepare(np.zeros(shape, np.uint8)) for shape in ((180, 320, 3), (320, 180, 3)))
    with pytest.raises(ValueError, match="same shape"):
        estimator.infer([landscape, portrait])
    assert estimator.infer([]) == []


def test_pictures_of_two_kinds_share_no_batch() -> None:
    estimator = lamp_estimator()
    fine = estimator.prepare(np.zeros((180, 320, 3), np.uint8))
    coarse = replace(fine, fine=False)
    assert fine.kind == (*fine.letterbox.shape, True)
    assert coarse.kind == (*fine.letterbox.shape, False)
    with pytest.raises(ValueError, match="two kinds"):
        estimator.infer([fine, coarse])


def test_a_crop_shows_somebody_where_the_whole_picture_does(load: Load, pictures: list[Image]) -> None:
    estimator = load("openvino", "fp32")
    (people,) = infer(estimator, [pictures[0]])
    height, width = pictures[0].shape[:2]
    for pose in people:
        middle = (float(pose.box[[0, 2]].mean()), float(pose.box[[1, 3]].mean()))
        box = Letterbox.crop((width, height), middle, (384, 640), max(Letterbox.fit(width, height).scale))
        for fine in (True, False):
            prepared = Prepared(image=box.apply(pictures[0]), letterbox=box, fine=fine)
            (found,) = estimator.infer([prepared])
            moved = differences([[pose]], [found])
            assert np.median(moved) < 2, "in % of body height"
