"""A model that an installed distribution brings: the worked example of the docs, and what is refused."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from distributions import example_code, install

from inference import entry_points
from inference.admission import Declaration, admit_entry_point
from inference.artifact import Installed
from inference.backends import make_backend
from inference.backends.rows import rows
from inference.catalog import DEFAULT_MODEL, RegisteredModel, resolve
from inference.conversion import openvino_model
from inference.errors import BackendUnavailable, ContractBroken, NotInstalled, WeightsRejected
from inference.estimator import Estimator
from inference.golden import photographs
from inference.poses import COCO_17
from inference.skeletons import HALPE_26

Brought = Callable[..., Path]

SILENT = """
class Model:
    skeleton, licence, precision = "coco17", "MIT", "fp32"
    def estimate(self, pictures):
        import numpy
        return [numpy.zeros((0, 56), "float32") for _ in pictures]
def load(threads):
    return Model()
"""


@pytest.fixture
def brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Brought]:
    """`brought(code)` → the folder where a distribution with this module lies, importable as long as the test runs."""

    def bring(
        code: str, extra: Mapping[str, bytes] | None = None, *, module: str = "my_pose", named: str = "my-pose"
    ) -> Path:
        folder = tmp_path / f"site{len(list(tmp_path.iterdir()))}"
        files = {"my_pose/__init__.py": code.encode(), **(extra or {})}
        install(folder, files, name=named, version="1.0", entry_points={"my-pose": f"{module}:load"})
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "my_pose", raising=False)
        return folder

    yield bring
    sys.modules.pop("my_pose", None)


def declared(**said: object) -> Declaration:
    found = entry_points.find("my-pose")
    return replace(Declaration(name="mine", version="1", sha256=found.sha256, skeleton=COCO_17), **said)


@pytest.mark.model
def test_the_worked_example_sees_what_the_built_in_model_sees(
    brought: Brought, tmp_path: Path, model_cache: Path
) -> None:
    network = openvino_model(resolve(DEFAULT_MODEL), model_cache)
    weights = {f"my_pose/network{end}": network.with_suffix(end).read_bytes() for end in (".xml", ".bin")}
    folder = brought(example_code(), weights)
    admitted = admit_entry_point("my-pose", declared(), threads=1)
    assert (admitted.format, admitted.licence, admitted.report["precision"]) == ("entrypoint", "AGPL-3.0", "fp32")
    assert admitted.report["contract"]["people"] == 4
    assert admitted.report["contract"]["batch_px"] == 0
    assert admitted.report["installed"] == {"distribution": "my-pose", "version": "1.0"}
    assert len(admitted.content) < 1000
    model = RegisteredModel(
        name="mine",
        version="1",
        sha256=entry_points.find("my-pose").sha256,
        skeleton=COCO_17,
        licence="AGPL-3.0",
        artifact_sha256=admitted.sha256,
        content=admitted.content,
    )
    estimator = Estimator.load(model.spec(tmp_path), threads=1, cache_dir=tmp_path)
    info = estimator.info
    assert (info.backend, info.precision, info.runtime) == ("entrypoint", "fp32", "my-pose 1.0")
    built_in = Estimator.load(resolve(DEFAULT_MODEL), backend="openvino", precision="fp32", cache_dir=model_cache)
    for photograph in photographs():
        ours, theirs = (one.infer([one.prepare(photograph.image)])[0] for one in (estimator, built_in))
        assert len(ours) == len(theirs)
        for pose, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(pose.keypoints, other.keypoints, atol=0.01)
            np.testing.assert_allclose(pose.box, other.box, atol=0.01)
    with pytest.raises(BackendUnavailable, match="mine@1 runs in fp32 alone, not in bf16"):
        make_backend(model.spec(tmp_path), precision="bf16", cache_dir=tmp_path)
    # Somebody exchanges the weights under it.
    (folder / "my_pose" / "network.bin").write_bytes(b"others")
    with pytest.raises(NotInstalled, match=r"my-pose 1\.0 is installed on \S+ with the checksum .* was registered"):
        Estimator.load(model.spec(tmp_path), threads=1, cache_dir=tmp_path)


def test_the_checksum_is_of_what_is_the_same_on_every_machine(brought: Brought) -> None:
    folder = brought(SILENT)
    before = entry_points.find("my-pose")
    assert (before.distribution, before.version) == ("my-pose", "1.0")
    (folder / "my_pose-1.0.dist-info" / "INSTALLER").write_text("another\n")
    assert entry_points.find("my-pose") == before
    (folder / "my_pose" / "__init__.py").write_text(SILENT + "\n")
    assert entry_points.find("my-pose").sha256 != before.sha256


def test_nothing_of_it_is_imported_before_its_checksum_is_right(brought: Brought) -> None:
    brought("raise SystemExit('it ran')")
    with pytest.raises(WeightsRejected, match=r"my-pose 1\.0 has the checksum [0-9a-f]{64}, not 0{64}"):
        admit_entry_point("my-pose", declared(sha256="0" * 64))
    registered = Installed(name="my-pose", distribution="my-pose", version="1.0", sha256="0" * 64)
    with pytest.raises(WeightsRejected, match="was registered"):
        entry_points.load(registered, 1)
    assert "my_pose" not in sys.modules


def test_one_that_finds_nobody_breaks_the_contract(brought: Brought) -> None:
    brought(SILENT)
    with pytest.raises(ContractBroken, match=r"nobody is found on bus\.jpg"):
        admit_entry_point("my-pose", declared())


@pytest.mark.parametrize(
    ("code", "said", "reason"),
    [
        ("import no_such_runtime", {}, "does not load: ModuleNotFoundError: No module named 'no_such_runtime'"),
        ("load = lambda threads: 1 / 0", {}, "does not load: ZeroDivisionError"),
        ("load = lambda threads: threads", {}, "returns has no skeleton, licence, precision, estimate"),
        (SILENT, {"skeleton": HALPE_26}, "its skeleton is 'coco17', not halpe-26"),
        (SILENT.replace('"fp32"', '"fp8"'), {}, "computes in 'fp8', which is none of fp32, bf16, fp16, int8"),
    ],
)
def test_one_that_is_not_as_it_should_be_is_refused(
    code: str, said: dict[str, object], reason: str, brought: Brought
) -> None:
    brought(code)
    with pytest.raises(WeightsRejected, match=reason):
        admit_entry_point("my-pose", declared(**said))


def test_one_that_is_not_there_or_lies_elsewhere_is_refused(brought: Brought) -> None:
    with pytest.raises(NotInstalled, match=rf"no entry point 'my-pose'.* on {platform.node()}; there are: none"):
        entry_points.find("my-pose")
    brought(SILENT, module="elsewhere")
    with pytest.raises(WeightsRejected, match=r"installed from a wheel, not as editable"):
        entry_points.find("my-pose")
    brought(SILENT, named="another")
    with pytest.raises(NotInstalled, match="more than one distribution brings the entry point"):
        entry_points.find("my-pose")


def test_people_become_rows_and_nothing_else_does() -> None:
    person = np.arange(56, dtype=np.float32)
    filled = rows([np.stack([person, person]), np.zeros((0, 56), np.float32)], 2, 17)
    assert filled.shape == (2, 2, 57)
    np.testing.assert_array_equal(filled[0, 1], [*range(5), 0, *range(5, 56)])
    assert not filled[1].any()
    assert rows([np.zeros((0, 56), np.float32)], 1, 17).shape == (1, 0, 57)
    for wrong in ([person[None]], [person[None], person], [person[None], np.full((1, 56), np.nan, np.float32)]):
        with pytest.raises(BackendUnavailable, match="the model"):
            rows(wrong, 2, 17)
