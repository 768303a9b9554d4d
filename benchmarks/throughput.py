"""Frames a second from clip to poses: `yolo predict`, Ultralytics' own OpenVINO export, and ours beside its limit.

    python benchmarks/throughput.py --json [--rounds 5] [--clip PATH] [--more]

Everybody runs the same weights in a process of its own, so that the thread pools of runtimes do not disturb each other,
loads them, makes a first pass, which is told apart, and then takes turns with the others (A B C A B C …). Figures are
medians of the rounds, ratios medians of the rounds' ratios. The limit is what bare decoding and bare inference of the
very batches that ours made would allow together on these cores: 1 / (1 / decode + 1 / infer). `--more` also runs
Ultralytics with what its user could set by hand: all cores for torch, an export of the clip's own shape.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial, wraps
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import inference.estimator
import inference.extract
import inference.spans
from benchmarks.machine import SAMPLE, as_json, provenance
from frontfoot import wiring
from frontfoot.settings import Settings
from inference.backends import make_backend
from inference.catalog import DEFAULT_MODEL, catalogued, resolve
from inference.extract import ExtractRequest, load_extractor
from inference.pictures import Picture
from inference.preprocess import Letterbox
from inference.probe import probe
from inference.tracking import Tracker
from inference.video import VideoLimits, open_video
from pipeline.stages import QUICK_FPS, subject_hints

Run = Callable[[Any], dict[str, Any]]
"""One round: what it is told → at least `frames`."""
Figures = dict[str, Any]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object, with every round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clip", type=Path, default=SAMPLE)
    parser.add_argument("--more", action="store_true", help="also Ultralytics with what its user could set by hand")
    arguments = parser.parse_args()
    figures = {**provenance(), "clip": arguments.clip.name, **measure(arguments.clip, arguments.rounds, arguments.more)}
    if arguments.json:
        print(as_json(figures))
        return
    for name, row in figures["contestants"].items():
        print(
            f"{name:28} {row['fps']:7.1f} frames/s {row['cpu_ms']:7.2f} ms CPU a frame, loaded in {row['load_s']:.1f} s"
        )
    for name, row in figures["targets"].items():
        print(f"{name:28} {row['value']:7.2f} (at least {row['at_least']}: {'yes' if row['met'] else 'no'})")
    for name, milliseconds in figures["profile_cpu_ms"].items():
        print(f"  {name:26} {milliseconds:7.2f} ms CPU a frame")


def measure(clip: Path, rounds: int, more: bool) -> Figures:
    """All contestants, in turn."""
    names = [*CONTESTANTS] if more else [name for name in CONTESTANTS if name not in BY_HAND]
    with tempfile.TemporaryDirectory(prefix="frontfoot-benchmark-") as name, ExitStack() as stack:
        folder = Path(name)
        export(folder, more, clip)
        running = {name: stack.enter_context(_contestant(name, clip, folder)) for name in names}
        took: dict[str, list[Figures]] = {name: [] for name in names}
        to_replay: object = None
        for _ in range(rounds + 1):
            for contestant, (_, ask) in running.items():
                told = ask(to_replay if contestant == "bare_inference" else None)
                if contestant == "ours":
                    to_replay = told["frames"], told["batches"]
                took[contestant].append(told)
        profile = running["ours"][1]("profile")["profile_cpu_ms"]
        starts = {name: (load_s, took[name].pop(0)) for name, (load_s, _) in running.items()}
    return {**_summary(took, starts), "profile_cpu_ms": _completed(profile, took)}


def _summary(took: Mapping[str, list[Figures]], starts: Mapping[str, tuple[float, Figures]]) -> Figures:
    """Medians and targets; `starts` says for each how long it loaded, and its first pass."""
    fps = {name: [row["frames"] / row["wall_s"] for row in rows] for name, rows in took.items()}
    limit = [
        1 / (1 / decode + 1 / infer) for decode, infer in zip(fps["bare_decode"], fps["bare_inference"], strict=True)
    ]

    def target(rivals: list[float], at_least: float) -> Figures:
        value = statistics.median(mine / rival for mine, rival in zip(fps["ours"], rivals, strict=True))
        return {"value": round(value, 3), "at_least": at_least, "met": value >= at_least}

    last = took["ours"][-1]
    return {
        "contestants": {
            name: {
                "fps": round(statistics.median(fps[name]), 1),
                "cpu_ms": round(statistics.median(row["cpu_s"] / row["frames"] for row in rows) * 1000, 2),
                "load_s": round(starts[name][0], 2),
                "first_pass_fps": round(starts[name][1]["frames"] / starts[name][1]["wall_s"], 1),
                "rounds_fps": [round(value, 1) for value in fps[name]],
            }
            for name, rows in took.items()
        },
        "limit_fps": round(statistics.median(limit), 1),
        "athlete_known_times_ours": round(
            statistics.median(b / a for a, b in zip(fps["ours"], fps["ours_athlete_known"], strict=True)), 3
        ),
        "targets": {
            "times_yolo_predict": target(fps["yolo_predict"], 8.0),
            "times_ultralytics_openvino": target(fps["ultralytics_openvino"], 4.0),
            "share_of_limit": target(limit, 0.85),
        },
        "model": last["model"],
        "receipt": last["receipt"],
        "batches": {
            f"{count}x{height}x{width}{'' if fine else ' without the finest level'}": batches
            for (count, height, width, fine), batches in sorted(last["batches"].items())
        },
    }


# --- Processes of their own ------------------------------------------------------------------------------------------


@contextmanager
def _contestant(name: str, clip: Path, folder: Path) -> Iterator[tuple[float, Run]]:
    """A loaded contestant: the seconds that took, and a function that has it run a round."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(name, clip, folder, theirs), name=name)
    process.start()
    theirs.close()  # so that its death ends our waiting

    def ask(task: Any) -> Figures:
        ours.send((True, task))
        told: Figures = ours.recv()
        return told

    try:
        yield ours.recv(), ask
    finally:
        ours.send((False, None)) if process.is_alive() else None
        process.join()


def _serve(name: str, clip: Path, folder: Path, wire: Connection) -> None:
    os.dup2(2, 1)  # vendors print; standard output belongs to the figures
    began = time.perf_counter()
    run = CONTESTANTS[name](clip, folder)
    wire.send(time.perf_counter() - began)
    while True:
        going_on, task = wire.recv()
        if not going_on:
            return
        wall, cpu = time.perf_counter(), time.process_time()
        told = run(task)
        wire.send({"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, **told})


# --- Ultralytics -----------------------------------------------------------------------------------------------------


def export(folder: Path, more: bool, clip: Path) -> None:
    """Copy the weights into `folder` and have Ultralytics export them, in a process that ends afterwards."""
    process = multiprocessing.get_context("spawn").Process(target=_export, args=(folder, more, clip))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit("Ultralytics could not export its model")


def _export(folder: Path, more: bool, clip: Path) -> None:
    os.dup2(2, 1)
    weights = folder / "yolo11n-pose.pt"
    shutil.copyfile(catalogued(DEFAULT_MODEL).weights, weights)
    if more:
        found = probe(clip, VideoLimits())
        _yolo(weights).export(format="openvino", imgsz=Letterbox.fit(found.width, found.height).shape)
        (folder / "yolo11n-pose_openvino_model").rename(folder / "clip_shape_openvino_model")
    _yolo(weights).export(format="openvino")


def _yolo(path: Path) -> Any:
    """As installed, but for what would reach the network or write elsewhere."""
    os.environ.update(YOLO_OFFLINE="1", YOLO_AUTOINSTALL="false", YOLO_CONFIG_DIR=str(path.parent))
    from ultralytics import YOLO  # noqa: PLC0415 - in its own processes only

    return YOLO(path, task="pose")


def vendor(clip: Path, folder: Path, *, file: str = "yolo11n-pose.pt", all_cores: bool = False) -> Run:
    """What `yolo predict` does."""
    model = _yolo(folder / file)

    def run(_: object) -> Figures:
        if all_cores and model.predictor is not None:
            import torch  # noqa: PLC0415 - in its own process only

            torch.set_num_threads(len(os.sched_getaffinity(0)))  # after its device was chosen, which sets it to less
        return {"frames": sum(1 for _ in model.predict(clip, stream=True, verbose=False))}

    return run


# --- Ours, and its two halves ----------------------------------------------------------------------------------------


def ours(clip: Path, folder: Path, *, athlete_known: bool = False) -> Run:
    """What `frontfoot poses --every-frame` does between loading its model and writing its file.

    With `athlete_known` what a job's DEEP pass does: it knows from QUICK whom to look at.
    """
    settings = Settings()
    extractor = load_extractor(wiring.extractor_options(settings))
    request = ExtractRequest(limits=wiring.limits(settings).video)
    if athlete_known:
        quick = extractor.extract(clip, replace(request, sample_fps=QUICK_FPS, whole_frames=True))
        request = replace(request, subject=subject_hints(quick), subject_source="automatic")

    def run(task: object) -> Figures:
        if task == "profile":
            return profiled(lambda: run(None))
        before = Counter(extractor.batcher.stats().shapes)
        extraction = extractor.extract(clip, request)
        receipt = extraction.receipt
        if receipt.inferred != receipt.decoded:
            raise SystemExit(f"not every frame was inferred: {receipt}")
        return {
            "frames": receipt.decoded,
            "batches": Counter(extractor.batcher.stats().shapes) - before,
            "receipt": {"decoded": receipt.decoded, "inferred": receipt.inferred, "redone": receipt.redone},
            "model": asdict(extraction.poses.model),
        }

    return run


def bare_decode(clip: Path, folder: Path) -> Run:
    """The same pictures, looked at by nobody."""
    limits = wiring.limits(Settings()).video

    def run(_: object) -> Figures:
        with open_video(clip, limits) as video:
            return {"frames": sum(1 for _ in video.pictures())}

    return run


def bare_inference(clip: Path, folder: Path) -> Run:
    """The same batches, of noise, on as many threads, one shape after the other."""
    options = wiring.extractor_options(Settings())
    backend = make_backend(
        resolve(options.model, options.sha256),
        backend=options.backend,
        precision=options.precision,
        threads=options.threads,
        cache_dir=options.cache_dir,
    )
    noise = np.random.default_rng(0).integers(0, 256, 64 * 2**20, np.uint8)

    def infer(batch: tuple[int, int, int, bool]) -> None:
        count, height, width, fine = batch
        backend.infer(noise[: count * height * width * 3].reshape(count, height, width, 3), fine=fine)

    def run(task: Any) -> Figures:
        frames, batches = task
        with ThreadPoolExecutor(backend.servers) as pool:
            for _ in pool.map(infer, sorted(Counter(batches).elements())):
                pass
        return {"frames": frames}

    return run


# --- Where a frame's time goes ---------------------------------------------------------------------------------------


TIMED = (
    ("probing and checksum", inference.extract, "survey"),
    ("cut, scale and colour", Picture, "cut"),
    ("planning the crops", inference.spans, "paths"),
    ("tensors to poses", inference.estimator, "poses_from_raw"),
    ("tracking", Tracker, "update"),
    ("choosing the athlete", Tracker, "choose"),
)
"""None calls another; decoding and inference run on threads of their own."""


def profiled(run: Callable[[], Figures]) -> Figures:
    """A round more, with the CPU time of single functions taken on the threads that call them."""
    took: defaultdict[str, float] = defaultdict(float)
    lock = threading.Lock()

    def timed(label: str, owner: Any, name: str) -> None:
        function = getattr(owner, name)

        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                with lock:
                    took[label] += time.thread_time() - began

        setattr(owner, name, wrapper)

    for place in TIMED:
        timed(*place)
    told = run()
    return {**told, "profile_cpu_ms": {label: 1000 * seconds / told["frames"] for label, seconds in took.items()}}


def _completed(profile: Mapping[str, float], took: Mapping[str, list[Figures]]) -> dict[str, float]:
    """The profile with decoding and inference, which have threads of their own and were measured bare, and the rest."""

    def cpu_ms(name: str) -> float:
        return 1000 * statistics.median(float(row["cpu_s"] / row["frames"]) for row in took[name])

    parts = {"inference, bare": cpu_ms("bare_inference"), "decoding, bare": cpu_ms("bare_decode"), **profile}
    total = cpu_ms("ours")
    parts["everything else"] = total - sum(parts.values())
    return {label: round(milliseconds, 3) for label, milliseconds in {**parts, "all of it": total}.items()}


CONTESTANTS: dict[str, Callable[[Path, Path], Run]] = {
    "yolo_predict": vendor,
    "ultralytics_openvino": partial(vendor, file="yolo11n-pose_openvino_model"),
    "yolo_predict_all_cores": partial(vendor, all_cores=True),
    "ultralytics_openvino_shape": partial(vendor, file="clip_shape_openvino_model"),
    "ours": ours,
    "ours_athlete_known": partial(ours, athlete_known=True),
    "bare_decode": bare_decode,
    "bare_inference": bare_inference,
}
BY_HAND = {"yolo_predict_all_cores", "ultralytics_openvino_shape"}

if __name__ == "__main__":
    main()
