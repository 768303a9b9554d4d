"""Real weights at the door: what is let in, what is refused and why, and that nothing of it stays."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from altered_models import exported, sha256, untrained, with_keypoints

from inference import contract
from inference.admission import Admitted, Declaration, admit
from inference.backends import make_backend
from inference.catalog import DEFAULT_MODEL, ModelSpec, RegisteredModel, resolve
from inference.conversion import torch_model, without_finest_level
from inference.errors import BackendUnavailable, ContractBroken, WeightsRejected
from inference.estimator import Estimator
from inference.formats import ultralytics_pt
from inference.golden import photographs
from inference.poses import COCO_17, Pose, Skeleton
from inference.skeletons import HALPE_26
from inference.vendors import quiet_ultralytics

pytestmark = pytest.mark.model

_FOOT = ({15: 1.25, 13: -0.25}, {16: 1.25, 14: -0.25})
HALPE_OF_COCO = [*range(17), 0, 0, 0, *_FOOT * 3]
"""What of COCO-17's keypoints stands in for each of HALPE-26's: a foot is one point below its ankle."""


def declared(digest: str, skeleton: Skeleton = COCO_17) -> Declaration:
    return Declaration(name="net", version="1", sha256=digest, skeleton=skeleton)


def let_in(path: Path, skeleton: Skeleton = COCO_17) -> Admitted:
    files = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
    return admit(path, declared(sha256(*files), skeleton), threads=2)


def model(admitted: Admitted, skeleton: Skeleton = COCO_17) -> RegisteredModel:
    return RegisteredModel(
        name="net",
        version="1",
        sha256="0" * 64,
        skeleton=skeleton,
        licence="AGPL-3.0",
        artifact_sha256=admitted.sha256,
        content=admitted.content,
    )


def people(estimator: Estimator) -> list[list[Pose]]:
    return [estimator.infer([estimator.prepare(photograph.image)] * 2)[1] for photograph in photographs()]


def assert_same(found: list[list[Pose]], expected: list[list[Pose]], *, px: float) -> None:
    assert [len(poses) for poses in found] == [len(poses) for poses in expected]
    for one, other in zip(chain(*found), chain(*expected), strict=True):
        np.testing.assert_allclose(one.box, other.box, atol=px)
        np.testing.assert_allclose(one.keypoints, other.keypoints, atol=px)
        np.testing.assert_allclose(one.confidence, other.confidence, atol=0.01)


@pytest.fixture(scope="module")
def reference(model_cache: Path) -> list[list[Pose]]:
    """What the built-in version sees."""
    return people(Estimator.load(resolve(DEFAULT_MODEL), backend="openvino", precision="fp32", cache_dir=model_cache))


@pytest.fixture
def nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where everything temporary of the door goes."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_the_real_weights_are_let_in_and_work_as_before(
    reference: list[list[Pose]], tmp_path: Path, nothing_stays: Path
) -> None:
    admitted = let_in(resolve(DEFAULT_MODEL).weights)
    assert list(nothing_stays.iterdir()) == []
    assert admitted.report["contract"]["people"] == 4
    assert 0 < admitted.report["contract"]["mirrored_pct_height"] < 3
    assert admitted.report["contract"]["batch_px"] == 0
    assert 0 <= admitted.report["parity_px"] < 0.05
    assert 0 < admitted.report["torch_parity_px"] < 0.05
    assert admitted.input_sizes == {"multiple_of": 32, "batch": "any"}
    with zipfile.ZipFile(io.BytesIO(admitted.content)) as archive:
        networks = ["coarse.bin", "coarse.xml", "model.bin", "model.xml"]
        assert sorted(archive.namelist()) == sorted([*networks, "manifest.json", "tensors.npz"])
    spec = model(admitted).spec(tmp_path)
    estimator = Estimator.load(spec, backend="openvino", precision="fp32", cache_dir=tmp_path)
    assert estimator.info.conversion == admitted.sha256
    assert_same(people(estimator), reference, px=0.0)
    assert [path.name for path in (tmp_path / "models").iterdir()] == [f"{admitted.sha256}.zip"]
    _keeps_the_contract_on_torch(spec, tmp_path)


def _keeps_the_contract_on_torch(spec: ModelSpec, cache: Path) -> None:
    """From the tensors alone, and bit for bit what torch makes of the pickle."""
    ours, theirs = (
        make_backend(one, backend="torch", precision="fp32", threads=2, cache_dir=cache)
        for one in (spec, resolve(DEFAULT_MODEL))
    )
    batch = np.stack([Estimator(ours, spec).prepare(photographs()[0].image).image] * 2)
    for fine in (True, False):
        answered, expected = ours.infer(batch, fine=fine), theirs.infer(batch, fine=fine)
        assert (answered[:, 4] > 0.5).any()
        np.testing.assert_array_equal(answered, expected)
    estimator = Estimator(ours, spec)
    assert (estimator.info.backend, estimator.info.conversion) == ("torch", spec.artifact and spec.artifact.sha256)
    assert contract.check(estimator)["people"] == 4


def test_two_channels_exchanged_are_refused_by_name(tmp_path: Path, nothing_stays: Path) -> None:
    order = list(range(17))
    order[13], order[14] = 14, 13
    with pytest.raises(ContractBroken, match="left_knee and right_knee are exchanged"):
        let_in(with_keypoints(tmp_path / "swapped.pt", order))
    assert list(nothing_stays.iterdir()) == []


def test_feet_are_let_in_and_handed_out(reference: list[list[Pose]], tmp_path: Path) -> None:
    path = with_keypoints(tmp_path / "feet.pt", HALPE_OF_COCO)
    with pytest.raises(WeightsRejected, match="not a pose model of one class and 17 keypoints"):
        ultralytics_pt.convert(path, 17, tmp_path, tmp_path)
    admitted = let_in(path, HALPE_26)
    assert admitted.report["torch_parity_px"] is None, "no trained network of 26 keypoints has so narrow a head"
    spec = model(admitted, HALPE_26).spec(tmp_path)
    with pytest.raises(BackendUnavailable, match="keeps nothing that torch could load"):
        make_backend(spec, backend="torch", cache_dir=tmp_path)
    backend = make_backend(spec, backend="openvino", precision="fp32", cache_dir=tmp_path)
    whole = people(Estimator(backend, spec))
    assert {len(pose.keypoints) for poses in whole for pose in poses} == {26}
    cut = [
        [replace(pose, keypoints=pose.keypoints[:17], confidence=pose.confidence[:17]) for pose in poses]
        for poses in whole
    ]
    assert_same(cut, reference, px=0.0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a loadable checkpoint"),
        (b"\x80\x02}q\x00.", "not a loadable checkpoint|no usable Ultralytics model"),
        (None, "not a loadable checkpoint"),
    ],
    ids=["empty", "another pickle", "cut in half"],
)
def test_a_file_that_is_no_model_is_refused(
    content: bytes | None, reason: str, tmp_path: Path, nothing_stays: Path
) -> None:
    """As the sandbox does it, without the seconds that its process takes to start."""
    whole = resolve(DEFAULT_MODEL).weights.read_bytes()
    path = tmp_path / "broken.pt"
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(WeightsRejected, match=reason):
        ultralytics_pt.convert(path, 17, tmp_path, tmp_path)
    assert list(nothing_stays.iterdir()) == []


class Payload:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_pickle_that_would_run_code_does_not_even_in_the_sandbox(tmp_path: Path, *, zipped: bool) -> None:
    import torch

    trace, path = tmp_path / "it_ran", tmp_path / "evil.pt"
    if zipped:
        torch.save({"model": Payload(trace)}, path)
    else:
        path.write_bytes(pickle.dumps({"model": Payload(trace)}, protocol=2))
    with pytest.raises(WeightsRejected, match=r"^evil\.pt: the file holds no usable Ultralytics model"):
        let_in(path)
    assert not trace.exists()
    torch.load(path, weights_only=False) if zipped else pickle.loads(path.read_bytes())  # noqa: S301 - the trap works
    assert trace.exists()


def test_another_checksum_is_refused_before_anything_is_opened(tmp_path: Path, nothing_stays: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(b"something")
    with pytest.raises(WeightsRejected, match=r"x\.pt has the checksum 3fc9b689.*, not 0000"):
        admit(path, declared("0" * 64))
    with pytest.raises(WeightsRejected, match="cannot be read"):
        admit(tmp_path / "gone.pt", declared("0" * 64))
    with pytest.raises(WeightsRejected, match="in no known format"):
        admit(tmp_path / "model.safetensors", declared("0" * 64))
    assert list(nothing_stays.iterdir()) == []


@pytest.mark.parametrize("architecture", ["yolov8n-pose.yaml", "yolo26n-pose.yaml"])
def test_other_architectures_answer_as_their_vendor_has_them_answer(architecture: str, tmp_path: Path) -> None:
    import torch

    path = untrained(tmp_path / "net.pt", architecture)
    quiet_ultralytics(tmp_path / "ultralytics")
    from ultralytics.nn import tasks

    vendors = tasks.load_checkpoint(str(path))[0]
    vendors.model[-1].end2end = False
    ours = torch_model(path.read_bytes(), "net", 17, tmp_path)
    picture = torch.rand(2, 3, 128, 192, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = vendors(picture)[0]
        assert expected.shape == (2, 56, 24 * 16 + 12 * 8 + 6 * 4)
        torch.testing.assert_close(ours(picture), expected, atol=0.01, rtol=1e-3)
        torch.testing.assert_close(without_finest_level(ours)(picture), ours(picture)[:, :, 24 * 16 :])


def test_a_model_that_finds_nobody_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractBroken, match=r"nobody is found on bus\.jpg where somebody stands"):
        let_in(untrained(tmp_path / "net.pt", "yolo26n-pose.yaml"))


class TestOtherFormats:
    """Ultralytics' own exports of the real weights must see what the real weights see."""

    def test_onnx_with_candidates(self, reference: list[list[Pose]], tmp_path: Path) -> None:
        admitted = let_in(exported(tmp_path, "onnx", dynamic=True, simplify=False))
        assert (admitted.format, admitted.report["head"], admitted.report["parity_px"]) == ("onnx", "raw", None)
        spec = model(admitted).spec(tmp_path)
        estimator = Estimator.load(spec, backend="openvino", precision="fp32", cache_dir=tmp_path)
        assert_same(people(estimator), reference, px=0.05)

    def test_onnx_with_suppression_inside(self, reference: list[list[Pose]], tmp_path: Path) -> None:
        admitted = let_in(exported(tmp_path, "onnx", dynamic=True, simplify=False, nms=True, conf=0.25, iou=0.7))
        assert admitted.report["head"] == "rows"
        assert admitted.input_sizes["batch"] == 1
        spec = model(admitted).spec(tmp_path)
        estimator = Estimator.load(spec, backend="openvino", precision="fp32", cache_dir=tmp_path)
        assert estimator.best_batch((384, 640, True)) == 1
        assert_same(people(estimator), reference, px=0.05)

    def test_openvino(self, reference: list[list[Pose]], tmp_path: Path) -> None:
        path = exported(tmp_path, "openvino", dynamic=True)
        admitted = let_in(path)
        assert (admitted.format, admitted.report["head"]) == ("openvino", "raw")
        spec = model(admitted).spec(tmp_path)
        estimator = Estimator.load(spec, backend="openvino", precision="fp32", cache_dir=tmp_path)
        assert_same(people(estimator), reference, px=0.05)

    def test_one_size_alone_is_refused_with_what_to_do(self, tmp_path: Path) -> None:
        path = exported(tmp_path, "openvino")
        with pytest.raises(WeightsRejected, match=r"pictures of 640 × 640 alone.*dynamic=True"):
            let_in(path)
