"""Registered versions on torch: built from a name and from numbers alone, and the same as before to the last bit."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from altered_models import untrained

from inference import inspection, tensors
from inference.artifact import NETWORK, TENSORS, Architecture, Manifest, keep, pack
from inference.backends import make_backend, torch_backend
from inference.catalog import DEFAULT_MODEL, ModelSpec, RegisteredModel, resolve
from inference.conversion import load_torch_model, openvino_model, torch_model, without_finest_level
from inference.errors import BackendUnavailable, WeightsRejected
from inference.formats.ultralytics_pt import ARCHITECTURE
from inference.poses import COCO_17
from inference.rebuilding import rebuilt, recognised

NANO_11 = Architecture(family="yolo11-pose", scale="n")


def registered(folder: Path, manifest: Manifest, cache: Path) -> ModelSpec:
    """A version of what lies in a folder."""
    content = pack(folder, manifest)
    return RegisteredModel(
        name="net",
        version="1",
        sha256="0" * 64,
        skeleton=COCO_17,
        licence="AGPL-3.0",
        artifact_sha256=hashlib.sha256(content).hexdigest(),
        content=content,
    ).spec(cache)


def state(network: object) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}  # type: ignore[attr-defined]


def kept(folder: Path, numbers: dict[str, np.ndarray], architecture: Architecture) -> ModelSpec:
    """A version of these tensors, whose OpenVINO networks nobody opens."""
    folder.mkdir(exist_ok=True)
    for name in (NETWORK, NETWORK.replace(".xml", ".bin")):
        (folder / name).write_bytes(b"")
    tensors.write(numbers, folder / TENSORS)
    manifest = Manifest(head="raw", one_at_a_time=False, coarse=False, torch=architecture)
    return registered(folder, manifest, folder / "cache")


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The tensors of the built-in weights."""
    return state(load_torch_model(resolve(DEFAULT_MODEL), tmp_path_factory.mktemp("vendor")))


@pytest.mark.model
@pytest.mark.parametrize(
    ("description", "architecture"),
    [
        ("yolov8n-pose.yaml", Architecture(family="yolov8-pose", scale="n")),
        ("yolov8n-pose-p6.yaml", Architecture(family="yolov8-pose-p6", scale="n")),
        ("yolo11n-pose.yaml", NANO_11),
        ("yolo26n-pose.yaml", Architecture(family="yolo26-pose", scale="n")),
    ],
)
def test_every_family_is_recognised_and_built_again(
    description: str, architecture: Architecture, tmp_path: Path
) -> None:
    import torch

    path = untrained(tmp_path / "net.pt", description)
    network = torch_model(path.read_bytes(), "net", 17, tmp_path)
    assert recognised(network, tmp_path) == architecture
    again = rebuilt(kept(tmp_path / "net", state(network), architecture), tmp_path)
    picture = torch.rand(2, 3, 128, 192, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        for made in (lambda one: one, without_finest_level):
            answered, expected = made(again)(picture), made(network)(picture)
            assert expected.shape[:2] == (2, 56)
            assert torch.equal(answered, expected)


@pytest.mark.model
def test_what_is_not_known_by_name_is_not_recognised(tmp_path: Path) -> None:
    network = load_torch_model(resolve(DEFAULT_MODEL), tmp_path)
    described = network.yaml
    assert recognised(network, tmp_path) == NANO_11
    for other in (
        None,
        {},
        {**described, "activation": "torch.nn.ReLU()"},
        {**described, "scale": "xxl"},
        {**described, "scale": "s"},
        {**described, "head": described["head"][:-1]},
    ):
        network.yaml = other
        assert recognised(network, tmp_path) is None


@pytest.mark.model
def test_tensors_of_another_network_are_refused(numbers: dict[str, np.ndarray], tmp_path: Path) -> None:
    first = next(iter(numbers))
    for broken, architecture in (
        (numbers, Architecture(family="yolov8-pose", scale="n")),
        ({name: tensor for name, tensor in numbers.items() if name != first}, NANO_11),
        ({**numbers, "model.99.weight": numbers[first]}, NANO_11),
        ({**numbers, first: numbers[first][:, :1]}, NANO_11),
    ):
        with pytest.raises(WeightsRejected, match="tensor"):
            rebuilt(kept(tmp_path / "net", broken, architecture), tmp_path)


class TestParity:
    """What torch makes of the tensors must be what OpenVINO makes of its networks."""

    pytestmark = pytest.mark.model

    def version(self, numbers: dict[str, np.ndarray], cache: Path, folder: Path) -> ModelSpec:
        """The built-in version's networks beside these tensors."""
        networks = openvino_model(resolve(DEFAULT_MODEL), cache).parent
        for path in networks.glob("*.[xb]*"):
            (folder / path.name).write_bytes(path.read_bytes())
        tensors.write(numbers, folder / TENSORS)
        manifest = Manifest(head="raw", one_at_a_time=False, coarse=True, precision="fp32", torch=NANO_11)
        return registered(folder, manifest, folder / "cache")

    def test_the_weights_themselves(
        self, numbers: dict[str, np.ndarray], model_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spec = self.version(numbers, model_cache, tmp_path)
        moved = inspection.torch_parity(spec, tmp_path, "net.pt")
        assert moved is not None
        assert 0 < moved < 0.05
        monkeypatch.setattr(torch_backend, "precisions", lambda: ("bf16", "fp32"))
        backend = make_backend(spec, backend="torch", threads=1, cache_dir=tmp_path)
        assert backend.precision == "fp32", "the only one that this version may run in"

    def test_other_weights_beside_the_networks(
        self, numbers: dict[str, np.ndarray], model_cache: Path, tmp_path: Path
    ) -> None:
        """Of the finest level alone, which shows nobody on the photographs: a tenth of a cell of 8 pixels, twice."""
        part = "model.23.cv4.0.2.bias"
        changed = self.version({**numbers, part: numbers[part] + np.float32(0.1)}, model_cache, tmp_path)
        with pytest.raises(WeightsRejected, match=r"net\.pt places candidates 1\.60 px elsewhere with torch"):
            inspection.torch_parity(changed, tmp_path, "net.pt")


def answer(**change: float) -> np.ndarray:
    """(1, 5 + 3, 2): two candidates of one keypoint, one of which a change moves."""
    channels = ("x", "y", "width", "height", "score", "keypoint_x", "keypoint_y", "keypoint_sure")
    made = np.float32([[[100, 200]] * 4 + [[0.9, 0.001]] + [[100, 200]] * 2 + [[0.9, 0.1]]])
    for channel, by in change.items():
        made[0, channels.index(channel), 1] += by
    return made


def test_places_may_differ_by_half_a_pixel_and_confidences_by_a_hundredth() -> None:
    assert inspection.agreement(answer(), answer(), "net.pt") == 0
    assert inspection.agreement(answer(score=0.005, keypoint_x=0.25), answer(), "net.pt") == 0.25
    for change in (
        {"height": 0.6},
        {"keypoint_y": -0.6},
        {"score": 0.02},
        {"keypoint_sure": -0.02},
        {"x": float("nan")},
        {"score": float("nan")},
    ):
        with pytest.raises(WeightsRejected, match="elsewhere with torch than with OpenVINO"):
            inspection.agreement(answer(**change), answer(), "net.pt")
    with pytest.raises(WeightsRejected, match=r"answers \(1, 8, 1\) with torch and \(1, 8, 2\) with OpenVINO"):
        inspection.agreement(answer()[:, :, :1], answer(), "net.pt")


CODE = "__import__('os').mkdir('it_ran')"
NESTED = [[[[CODE]]]]


@pytest.mark.parametrize(
    "described",
    [
        {**asdict(NANO_11), "activation": CODE},
        {**asdict(NANO_11), "backbone": [[-1, 1, "os.system", [CODE]]], "head": []},
        {**asdict(NANO_11), "scales": {"n": [1e9, 1e9, 1e9]}},
        {"family": CODE, "scale": "n"},
        {"family": "yolo11-pose", "scale": NESTED},
        {"family": NESTED, "scale": "n"},
        {"family": "../../../../tmp/evil", "scale": "n"},
        {"family": "yolo11-seg", "scale": "n"},
        {"family": "yolo11-pose", "scale": 10**12},
        {"family": "yolo11-pose"},
        {"family": True, "scale": None},
        ["yolo11-pose", "n"],
        "yolo11-pose",
        None,
    ],
)
def test_a_description_says_two_known_words_or_is_refused(
    described: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the sandbox may write it, and as it would stand in the manifest of an artifact that somebody made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / TENSORS).write_bytes(b"")
    (tmp_path / ARCHITECTURE).write_text(json.dumps(described))
    with pytest.raises(WeightsRejected, match=r"net\.pt: its architecture is none that is known"):
        inspection._architecture(tmp_path, "net.pt")
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        manifest = {"head": "raw", "one_at_a_time": False, "coarse": False, "torch": described or [CODE]}
        for name, content in (("manifest.json", json.dumps(manifest)), *((n, "") for n in ("model.xml", "model.bin"))):
            archive.writestr(name, content)
        archive.writestr(TENSORS, "")
    with pytest.raises(WeightsRejected, match="is no converted model"):
        keep(made.getvalue(), hashlib.sha256(made.getvalue()).hexdigest(), tmp_path)
    assert not (tmp_path / "it_ran").exists()


@pytest.mark.parametrize("said", [b"", b"\xff\xfe", b"[" * 150, b"[" * 1_000_000, b'{"family": "yolo11-pose", "scale'])
def test_a_description_that_is_none_is_refused(said: bytes, tmp_path: Path) -> None:
    (tmp_path / TENSORS).write_bytes(b"")
    (tmp_path / ARCHITECTURE).write_bytes(said)
    with pytest.raises(WeightsRejected, match="none that is known"):
        inspection._architecture(tmp_path, "net.pt")


def test_tensors_and_their_architecture_go_together(tmp_path: Path) -> None:
    assert inspection._architecture(tmp_path, "net.pt") is None
    (tmp_path / TENSORS).write_bytes(b"")
    with pytest.raises(WeightsRejected, match="tensors without their architecture"):
        inspection._architecture(tmp_path, "net.pt")
    (tmp_path / ARCHITECTURE).write_text(json.dumps(asdict(NANO_11)))
    assert inspection._architecture(tmp_path, "net.pt") == NANO_11


def test_more_than_any_network_takes_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ARCHITECTURE).write_text(json.dumps(asdict(NANO_11)))
    with (tmp_path / TENSORS).open("wb") as file:
        file.truncate(10**12)  # a hole: it takes no room on the disk
    with pytest.raises(WeightsRejected, match="its tensors take 1000000000000 bytes"):
        inspection._architecture(tmp_path, "net.pt")


def test_a_version_without_tensors_is_refused_with_what_to_do(tmp_path: Path) -> None:
    for name in (NETWORK, NETWORK.replace(".xml", ".bin")):
        (tmp_path / name).write_bytes(b"")
    spec = registered(tmp_path, Manifest(head="raw", one_at_a_time=False, coarse=False), tmp_path)
    with pytest.raises(BackendUnavailable, match=r"net@1 .*Register such a \.pt anew.*FRONTFOOT_BACKEND=openvino"):
        make_backend(spec, backend="torch", precision="fp32", cache_dir=tmp_path)
