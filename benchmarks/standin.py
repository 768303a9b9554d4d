"""What batching costs and gives, without a model: clips of tiny arrays, a device that sleeps as a GPU would work.

`python benchmarks/standin.py --json`. Everything between decoder and device is the real thing: spans, crops, lanes,
the batcher, the estimator's decoding of raw outputs. No figure here is one of a GPU.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import ray
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import SAMPLE, as_json, provenance
from inference.artifact import Precision
from inference.backends.base import BackendName
from inference.batcher import FairBatcher
from inference.catalog import DEFAULT_MODEL, resolve
from inference.estimator import Estimator
from inference.pictures import Picture
from inference.poses import FloatArray
from inference.preprocess import Letterbox
from inference.spans import SpanReader, SpanRules
from inference.video import open_video

SIZE = 1920, 1080
PERSON = 960.0, 540.0, 180.0, 420.0
"""Centre x, centre y, width, height in source pixels: one athlete, who stands still."""
MAX_BATCH = 32
KEYPOINTS = 17


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyPicture:
    """What `SpanReader` needs of a picture. Its cuts are a few bytes that say where they were made."""

    index: int
    timestamp_s: float
    rotation: int = 0
    nbytes: int = SIZE[0] * SIZE[1] * 3 // 2

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return SIZE

    def planar(self) -> TinyPicture:
        """Itself: there is nothing to convert."""
        return self

    def cut(self, box: Letterbox) -> NDArray[np.uint8]:
        """(1, 16, 3) that hold where the person is in this input, as float32."""
        x, y, width, height = PERSON
        scale, pad = box.scale, box.pad
        seen = [
            (x - box.origin[0]) * scale[0] + pad[0],
            (y - box.origin[1]) * scale[1] + pad[1],
            width * scale[0],
            height * scale[1],
        ]
        return np.resize(np.array(seen, np.float32).view(np.uint8), (1, 16, 3))


class SleepingBackend:
    """A device that takes so long for a batch and for each picture in it."""

    name: BackendName = "torch"
    precision: Precision = "fp16"
    runtime = "stand-in"

    def __init__(self, *, batch_s: float, picture_s: float, servers: int = 1) -> None:
        self.servers = servers
        self._batch_s, self._picture_s = batch_s, picture_s

    def best_batch(self, shape: tuple[int, int]) -> int:
        """As a GPU's."""
        return MAX_BATCH

    def infer(self, batch: NDArray[np.uint8], *, fine: bool = True) -> FloatArray:
        """One anchor a picture: the person that the picture speaks of."""
        time.sleep(self._batch_s + self._picture_s * len(batch))
        boxes = batch.reshape(len(batch), -1)[:, :16].copy().view(np.float32)
        raw = np.zeros((len(batch), 5 + 3 * KEYPOINTS, 1), np.float32)
        raw[:, :4, 0], raw[:, 4, 0] = boxes, 0.9
        places = np.linspace(-0.45, 0.45, KEYPOINTS, dtype=np.float32)
        raw[:, 5::3, 0] = boxes[:, :1] + places * boxes[:, 2:3]
        raw[:, 6::3, 0] = boxes[:, 1:2] + places * boxes[:, 3:4]
        raw[:, 7::3, 0] = 0.9
        return raw

    def close(self) -> None:
        """Nothing is held."""


def pictures(count: int, fps: float = 30.0) -> Generator[Picture, None, None]:
    """A clip without a file."""
    for index in range(count):
        yield cast("Picture", TinyPicture(index=index, timestamp_s=index / fps))


def read(estimator: Estimator, batcher: FairBatcher, frames: int, *, whole: bool) -> int:
    """Frames of one clip in which the person was found."""
    with batcher.lane() as lane:
        reader = SpanReader(estimator, lane, SpanRules(whole_frames=whole))
        with closing(reader.people(pictures(frames))) as people:
            return sum(len(seen) == 1 for _, _, seen in people)


def one_actor(*, clips: int, frames: int, servers: int, whole: bool) -> dict[str, Any]:
    """Many clips through one batcher whose device takes 6 ms a batch and 1 ms a picture."""
    backend = SleepingBackend(batch_s=0.006, picture_s=0.001, servers=servers)
    estimator = Estimator(backend, resolve(DEFAULT_MODEL))
    batcher = FairBatcher(estimator.infer, max_batch=estimator.best_batch, servers=servers)
    began = time.perf_counter()
    with closing(batcher), ThreadPoolExecutor(clips) as pool:
        found = sum(pool.map(lambda _: read(estimator, batcher, frames, whole=whole), range(clips)))
        seconds = time.perf_counter() - began
    stats = batcher.stats()
    if found != clips * frames:
        raise RuntimeError(f"{clips * frames - found} frames without their person")
    sizes: Counter[int] = Counter()
    for (number, *_), batches in stats.shapes.items():
        sizes[number] += batches
    return {
        "clips": clips,
        "frames": clips * frames,
        "servers": servers,
        "inferred": "whole frames" if whole else "crops between anchors",
        "frames_per_s": clips * frames / seconds,
        "pictures_per_s": stats.frames / seconds,
        "device_alone_frames_per_s": servers * MAX_BATCH / (0.006 + 0.001 * MAX_BATCH),
        "fill": stats.fill,
        "batches_by_size": dict(sorted(sizes.items())),
        "mixed_share": stats.mixed / stats.batches,
        "waited_ms_a_picture": 1000 * stats.waited_s / stats.frames,
    }


class StandInActor:
    """A batcher and a slow device in a Ray process of its own, as `PoseActor` holds them."""

    def __init__(self) -> None:
        backend = SleepingBackend(batch_s=0.040, picture_s=0.008)
        self._estimator = Estimator(backend, resolve(DEFAULT_MODEL))
        self._batcher = FairBatcher(self._estimator.infer, max_batch=self._estimator.best_batch)

    def extract(self, frames: int) -> int:
        """One clip, whole frames."""
        return read(self._estimator, self._batcher, frames, whole=True)


def many_actors(counts: tuple[int, ...] = (1, 2, 4, 8), *, clips: int = 8, frames: int = 64) -> list[dict[str, Any]]:
    """The same work for each actor, on GPUs that are not there: what the growth costs on this machine's cores."""
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "1"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    found = []
    os.environ["RAY_AUTH_MODE"] = "disabled"  # nothing outside this machine reaches it
    ray.init("local", num_cpus=max(counts), num_gpus=max(counts), include_dashboard=False, configure_logging=False)
    try:
        declare: Any = ray.remote
        remote = declare(num_cpus=0.5, num_gpus=1, max_concurrency=clips)(StandInActor)
        actors = [remote.remote() for _ in range(max(counts))]
        ray.get([actor.extract.remote(2) for actor in actors])
        for count in counts:
            began = time.perf_counter()
            seen = ray.get([actor.extract.remote(frames) for actor in actors[:count] for _ in range(clips)])
            seconds = time.perf_counter() - began
            if sum(seen) != count * clips * frames:
                raise RuntimeError("frames without their person")
            found.append({"actors": count, "frames_per_s": count * clips * frames / seconds})
    finally:
        ray.shutdown()
    return [each | {"of_linear": each["frames_per_s"] / each["actors"] / found[0]["frames_per_s"]} for each in found]


def decoding_ms() -> dict[str, float] | None:
    """What a real frame costs besides: decoding alone, and decoding with the cut for a whole frame."""
    if not SAMPLE.exists():
        return None

    def once(*, cut: bool) -> float:
        began = time.perf_counter()
        with open_video(SAMPLE) as video:
            count = 0
            for picture in video.pictures():
                count += 1
                if cut:
                    picture.cut(Letterbox.fit(*picture.size))
        return 1000 * (time.perf_counter() - began) / count

    return {
        "decoding_ms_a_frame": statistics.median(once(cut=False) for _ in range(3)),
        "decoding_and_cutting_ms_a_frame": statistics.median(once(cut=True) for _ in range(3)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print JSON (the only form there is)")
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--frames", type=int, default=480, help="a clip")
    parser.add_argument("--no-ray", action="store_true", help="leave out the growth over actors")
    arguments = parser.parse_args()
    sizes = {"clips": arguments.clips, "frames": arguments.frames}
    figures = {
        "benchmark": "standin",
        **provenance(),
        "one_actor": [one_actor(**sizes, servers=n, whole=whole) for whole in (True, False) for n in (1, 2)],
        "actors": None if arguments.no_ray else many_actors(),
        "decoding": decoding_ms(),
    }
    print(as_json(figures))


if __name__ == "__main__":
    main()
