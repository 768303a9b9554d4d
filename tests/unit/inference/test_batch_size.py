"""Batches that do not fit into memory: smaller ones at once, larger ones again later, and no frame lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from inference.batch_size import GROW_AFTER, MOST_PATIENCE, BatchSizes, ran_out_of_memory
from inference.batcher import FairBatcher
from inference.errors import InferenceError, OutOfMemory, RuntimeBroken
from inference.estimator import Kind, Prepared
from inference.poses import Pose
from inference.preprocess import Letterbox

PATIENCE_S = 30
LETTERBOX = Letterbox.fit(4, 4, long_side=32)
KIND: Kind = (32, 32, True)
OTHER: Kind = (64, 32, True)

OPENVINO_SAID = """Exception from src/inference/src/cpp/infer_request.cpp:224:
Exception from src/plugins/intel_cpu/src/node.cpp:794:
[CPU] Convert node with name 'Divide_2461' Check 'ptr' failed at src/plugins/intel_cpu/src/cpu_memory.cpp:257:
Failed to allocate 188743680 bytes of memory
"""


class TestSizes:
    def test_a_batch_is_as_large_as_pays_until_one_does_not_fit(self) -> None:
        sizes = BatchSizes({KIND: 32, OTHER: 8}.__getitem__)
        sizes.fitted(KIND, 32)
        assert (sizes.most(KIND), sizes.most(OTHER), sizes.lowered) == (32, 8, {})
        sizes.did_not_fit(KIND, 32)
        assert (sizes.most(KIND), sizes.most(OTHER), sizes.lowered) == (16, 8, {KIND: 16})

    def test_it_falls_to_half_of_what_did_not_fit_and_never_below_one(self) -> None:
        sizes = BatchSizes(lambda kind: 32)
        sizes.did_not_fit(KIND, 8)
        assert sizes.most(KIND) == 4
        sizes.did_not_fit(KIND, 32)
        assert sizes.most(KIND) == 4, "one that was gathered before says nothing new"
        for _ in range(5):
            sizes.did_not_fit(KIND, sizes.most(KIND))
        assert sizes.most(KIND) == 1

    def test_it_grows_back_step_by_step(self) -> None:
        sizes = BatchSizes(lambda kind: 32)
        sizes.did_not_fit(KIND, 32)
        sizes.did_not_fit(KIND, 16)
        seen = []
        for _ in range(3 * GROW_AFTER):
            seen.append(sizes.most(KIND))
            sizes.fitted(KIND, sizes.most(KIND))
        assert seen == [8] * GROW_AFTER + [16] * GROW_AFTER + [32] * GROW_AFTER
        assert sizes.lowered == {}

    def test_only_batches_of_the_size_in_question_prove_anything(self) -> None:
        sizes = BatchSizes(lambda kind: 32)
        sizes.did_not_fit(KIND, 32)
        for _ in range(5 * GROW_AFTER):
            sizes.fitted(KIND, 8)
            sizes.fitted(OTHER, 32)
        assert sizes.most(KIND) == 16

    def test_what_goes_wrong_again_and_again_is_tried_ever_more_seldom(self) -> None:
        sizes = BatchSizes(lambda kind: 32)
        sizes.did_not_fit(KIND, 32)
        waits = []
        for _ in range(9):
            waits.append(0)
            while sizes.most(KIND) == 16:
                sizes.fitted(KIND, 16)
                waits[-1] += 1
            sizes.did_not_fit(KIND, 32)
        assert waits == [GROW_AFTER * 2**k for k in range(7)] + [MOST_PATIENCE] * 2

    def test_each_change_is_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "inference.batch_size")
        sizes = BatchSizes(lambda kind: 32)
        for _ in range(3):
            sizes.did_not_fit(KIND, 32)
        for _ in range(GROW_AFTER):
            sizes.fitted(KIND, 16)
        assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
            ("WARNING", "Memory ran out, batches made smaller: pictures=16 width=32 height=32"),
            ("INFO", "Memory may do again, batches made larger: pictures=32 width=32 height=32"),
        ]


class TestRecognised:
    @pytest.mark.parametrize(
        "error",
        [
            MemoryError(),
            RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB."),
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"),
            RuntimeError("Exception from src/inference/src/cpp/core.cpp:112: std::bad_alloc"),
            RuntimeError("[CPU] Add node with name '__module.model.2.m.0/aten::add/Add' can't alloc"),
            RuntimeError(OPENVINO_SAID),
            OutOfMemory(),
        ],
    )
    def test_want_of_memory(self, error: Exception) -> None:
        assert ran_out_of_memory(error)

    @pytest.mark.parametrize(
        "error", [RuntimeError("shape mismatch"), ValueError("out of memory"), InferenceError(), RuntimeBroken()]
    )
    def test_anything_else(self, error: Exception) -> None:
        assert not ran_out_of_memory(error)

    @pytest.mark.model
    def test_numpys_own_error(self) -> None:
        with pytest.raises(MemoryError) as caught:
            np.empty(2**60, np.uint8)
        assert ran_out_of_memory(caught.value)

    @pytest.mark.model
    def test_torchs_own_error(self) -> None:
        import torch

        with pytest.raises(RuntimeError) as caught:
            torch.empty(2**60, dtype=torch.uint8)
        assert ran_out_of_memory(caught.value)
        assert ran_out_of_memory(torch.cuda.OutOfMemoryError("CUDA out of memory."))


def frame(clip: int, number: int) -> Prepared:
    image = np.zeros((32, 32, 3), np.uint8)
    image[0, 0] = clip, number // 256, number % 256
    return Prepared(image=image, letterbox=LETTERBOX)


class Small:
    """A device that holds `fits` pictures at once, and reads who each one is."""

    def __init__(self, fits: int) -> None:
        self.fits = fits
        self.sizes: list[int] = []
        self.refused = 0
        self.too_large: tuple[int, int] | None = None
        """A picture that never fits."""
        self._lock = threading.Lock()

    def __call__(self, batch: Sequence[Prepared]) -> list[list[Pose]]:
        marks = [self.mark(picture) for picture in batch]
        if len(batch) > self.fits or self.too_large in marks:
            with self._lock:
                self.refused += 1
            raise RuntimeError(OPENVINO_SAID)
        with self._lock:
            self.sizes.append(len(batch))
        return [[self._pose(*mark)] for mark in marks]

    @staticmethod
    def mark(picture: Prepared) -> tuple[int, int]:
        clip, high, low = (int(value) for value in picture.image[0, 0])
        return clip, high * 256 + low

    @staticmethod
    def _pose(clip: int, number: int) -> Pose:
        box = np.array([clip, number, 0, 0], np.float32)
        return Pose(keypoints=np.zeros((1, 2), np.float32), confidence=np.zeros(1, np.float32), box=box, score=1.0)


def run(batcher: FairBatcher, clip: int, count: int) -> list[tuple[int, int]]:
    with batcher.lane() as lane:
        people = lane.submit([frame(clip, number) for number in range(count)]).result()
    return [(int(seen[0].box[0]), int(seen[0].box[1])) for seen in people]


class TestBatcher:
    @pytest.mark.parametrize("servers", [1, 3])
    @pytest.mark.parametrize("fits", [1, 5, 16])
    def test_no_frame_is_lost_or_doubled_and_every_clip_is_done(self, servers: int, fits: int) -> None:
        device = Small(fits)
        lengths = {clip: 50 + 31 * clip for clip in range(8)}
        batcher = FairBatcher(device, max_batch=lambda kind: 32, servers=servers)
        with closing(batcher), ThreadPoolExecutor(8) as pool:
            futures = {clip: pool.submit(run, batcher, clip, length) for clip, length in lengths.items()}
            told = {clip: future.result(PATIENCE_S) for clip, future in futures.items()}
        assert told == {clip: [(clip, number) for number in range(length)] for clip, length in lengths.items()}
        stats = batcher.stats()
        assert (stats.frames, stats.failed) == (sum(lengths.values()), 0)
        assert (stats.batches, stats.frames) == (len(device.sizes), sum(device.sizes))
        assert stats.halved == device.refused > 0
        assert stats.lowered == {KIND: 1 << (fits.bit_length() - 1)}
        assert stats.room >= stats.frames

    def test_batches_grow_back_when_memory_does(self) -> None:
        device = Small(fits=4)
        batcher = FairBatcher(device, max_batch=lambda kind: 16)
        with closing(batcher):
            run(batcher, 1, 64)
            assert batcher.stats().lowered == {KIND: 4}
            device.fits = 16
            run(batcher, 2, (4 + 8 + 1) * GROW_AFTER)
            stats = batcher.stats()
        assert stats.lowered == {}
        assert stats.halved == device.refused > 0
        assert max(device.sizes) == 16

    def test_a_frame_that_does_not_fit_alone_fails_its_clip_and_no_other(self) -> None:
        device = Small(fits=8)
        device.too_large = (3, 20)
        batcher = FairBatcher(device, max_batch=lambda kind: 8)
        with closing(batcher), ThreadPoolExecutor(5) as pool:
            futures = {clip: pool.submit(run, batcher, clip, 40) for clip in range(5)}
            with pytest.raises(OutOfMemory) as caught:
                futures.pop(3).result(PATIENCE_S)
            assert {clip: future.result(PATIENCE_S) for clip, future in futures.items()} == {
                clip: [(clip, number) for number in range(40)] for clip in futures
            }
        assert (caught.value.code, caught.value.transient) == ("out_of_memory", True)
        assert "Failed to allocate" in str(caught.value.__cause__)
        assert batcher.stats().failed == 1

    def test_a_runtime_that_breaks_over_a_half_is_not_asked_for_the_other(self) -> None:
        sizes: list[int] = []

        def deaf_since_memory_ran_out(batch: Sequence[Prepared]) -> list[list[Pose]]:
            sizes.append(len(batch))
            raise RuntimeError(OPENVINO_SAID) if len(sizes) == 1 else RuntimeBroken

        batcher = FairBatcher(deaf_since_memory_ran_out, max_batch=lambda kind: 8)
        with closing(batcher), pytest.raises(RuntimeBroken):
            run(batcher, 1, 8)
        assert sizes == [8, 4]
