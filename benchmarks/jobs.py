"""What a whole job costs beside its extraction: Ray's share, many clips at once, and the wait for the quick report.

    python benchmarks/jobs.py --json [--parts quick_report ray_path short_clips] [--minutes 5] [--rounds 2]

Everything runs as `frontfoot up` has it: settings of the environment, local Ray, one pose actor, SQLite and a folder.
The long clips are the short one over and over, nothing encoded again.

quick_report   a job on a clip of ten minutes, from its claim to its quick result, as the database has both, on a worker
               that has just started and again on the same one. Ray's own task events say where the seconds went; what
               happens inside the actor is taken apart afterwards, in this process.
ray_path       every frame of a clip of `--minutes`, in this process and through the actor, in turn (A B A B …): same
               options, threads and priority. A worker has a clip of several segments inferred segment by segment and
               joined by a task, a shorter one in one pass. CPU is that of this process and all it started.
short_clips    eight copies of the short clip at once through the one actor, and in turn one clip as long as all eight.
               Where that begins anew people jump, and frames are inferred again whole (`redone`), which no clip
               filmed in one go would need; `passes_ratio` counts those frames as done twice.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from workers import OWNER, Bench

from benchmarks.machine import SAMPLE, as_json, provenance
from benchmarks.memory import loop
from frontfoot import wiring
from frontfoot.settings import Settings
from inference.extract import Extraction, ExtractRequest, PoseExtractor, load_extractor
from inference.probe import clip_sha256, survey
from inference.sampling import Sampler
from inference.sources import LocalClip
from inference.video import open_video
from migrations import upgrade
from models.queue import JobDetail
from models.requests import AnalysisRequest
from pipeline.cluster import Cluster
from pipeline.stages import extract_request

Figures = dict[str, Any]

REQUEST = AnalysisRequest(analysis_mode="bowling", camera_view="side")
REPORT_MINUTES = 10.0
REPORT_LIMIT_S = 10.0
OVERHEAD_LIMIT = 1.05
SHORT_CLIPS = 8
PATIENCE_S = 300.0
"""For a quick report that does not come."""
EVENTS_S = 2.5
"""Ray sends its task events once a second."""
TICK_S = 0.5
"""How often a worker asks an actor how far a clip is."""
CHAIN = ("extract", "measure_poses", "judge", "word", "compose", "persist_recording_logs")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object, with every round")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=[*PARTS], help="all of them, unless told")
    parser.add_argument("--minutes", type=float, default=5.0, help="of the clip of ray_path")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--clip", type=Path, default=SAMPLE)
    arguments = parser.parse_args()
    figures: Figures = {**provenance(), "clip": arguments.clip.name}
    with tempfile.TemporaryDirectory(prefix="frontfoot-benchmark-") as folder, _bed(arguments, Path(folder)) as bed:
        # A report first: on a machine whose task processes have imported nothing yet.
        for name in (name for name in PARTS if name in arguments.parts):
            figures[name] = PARTS[name](bed)
        figures["actor"] = bed.actor
    if arguments.json:
        print(as_json(figures))
        return
    for name in arguments.parts:
        target = figures[name]["target"]
        bound = next(key for key in ("at_most", "at_least") if key in target)
        print(f"{name:14} {target['value']:7.3f} ({bound} {target[bound]}: {'yes' if target['met'] else 'no'})")
        print(json.dumps(figures[name], indent=2))


class Bed:
    """What every part is measured on: a started cluster, and an extractor in this process."""

    def __init__(self, arguments: argparse.Namespace, folder: Path, cluster: Cluster) -> None:
        self.clip: Path = arguments.clip
        self.minutes: float = arguments.minutes
        self.rounds: int = arguments.rounds
        self.folder = folder
        self.settings = Settings(data_dir=folder / "data")
        self.cluster = cluster

    @cached_property
    def extractor(self) -> PoseExtractor:
        """Loaded when it is first wanted, with the actor's own options and priority.

        On Linux the priority is that of this thread and those it starts from now on. Without it, whatever else runs on
        the machine would hold up the actor more than us.
        """
        os.nice(max(self.actor["nice"]) - os.nice(0))
        return load_extractor(wiring.extractor_options(self.settings))

    @property
    def request(self) -> ExtractRequest:
        """Every frame."""
        return ExtractRequest(limits=wiring.limits(self.settings).video)

    @property
    def actor(self) -> Figures:
        """What runs there, and how politely: Ray gives its workers a lower priority than its driver has."""
        status = self.cluster.statuses()[0]
        return {
            "model": status.model.name,
            "backend": status.model.backend,
            "precision": status.model.precision,
            "threads": self.settings.cpu_threads,
            "nice": sorted({process.nice() for process in _family() if _is_actor(process)}),
        }

    def looped(self, seconds: float) -> Path:
        """The clip over and over until it lasts so long."""
        path = self.folder / f"{seconds:.0f}s.mp4"
        return path if path.exists() else loop(self.clip, path, seconds)

    def here(self, clip: Path) -> Extraction:
        """Every frame of a clip in this process."""
        return self.extractor.extract(clip, self.request)

    def there(self, clip: Path) -> Extraction:
        """Every frame of a clip through the actor in one pass, as `pipeline.stage_run` does it; the poses come here."""
        import ray  # noqa: PLC0415 - it reads its environment when it is imported

        key = uuid.uuid4().hex
        with self.cluster.serving.borrowed() as seat:
            extraction, extracted = seat.actor.extract.remote(key, LocalClip(path=clip), self.request, None)
            while not ray.wait([extracted], timeout=TICK_S)[0]:
                ray.get(seat.actor.progress.remote(key))
            ray.get(extracted)
        poses: Extraction = ray.get(extraction)
        return poses

    def in_segments(self, clip: Path) -> Extraction:
        """The same segment by segment, as `pipeline.segment_run` does it with one actor; joined by a task."""
        import ray  # noqa: PLC0415 - it reads its environment when it is imported

        from pipeline import dag  # noqa: PLC0415 - it loads ray

        request = self.request
        surveyed = survey(clip, request.limits, request.segments)
        key, parts = uuid.uuid4().hex, []
        with self.cluster.serving.borrowed() as seat:
            for part in seat.actor.detect.remote(key, LocalClip(path=clip), request, surveyed, surveyed.segments):
                ray.get(part)
                parts.append(part)
        joined = dag.submit_join(surveyed, request, parts, 0)
        poses: Extraction = ray.get(joined.extraction)
        return poses


@contextmanager
def _bed(arguments: argparse.Namespace, folder: Path) -> Iterator[Bed]:
    cluster = Cluster(wiring.cluster_options(Settings()))
    cluster.start()
    bed = Bed(arguments, folder, cluster)
    try:
        yield bed
    finally:
        if "extractor" in bed.__dict__:
            bed.extractor.close()
        cluster.stop()


# --- Ray's share, and many clips at once -----------------------------------------------------------------------------


def ray_path(bed: Bed) -> Figures:
    """In process and through Ray, in turn."""
    clip = bed.looped(60 * bed.minutes)
    segments = len(survey(clip, bed.request.limits, bed.request.segments).segments)
    contestants = {"in_process": bed.here, "one_pass": bed.there}
    if segments > 1:
        contestants["in_segments"] = bed.in_segments
    for run in contestants.values():
        run(bed.clip)
    took = _in_turn(bed.rounds, {name: partial(_alone, run, clip) for name, run in contestants.items()})
    way = [*took][-1]
    return {
        "minutes": bed.minutes,
        "segments": segments,
        **{name: _shown(rows) for name, rows in took.items()},
        "one_pass_times_in_process": _ratio(took["one_pass"], took["in_process"], "wall_s"),
        "cpu_times_in_process": {
            name: _ratio(rows, took["in_process"], "cpu_s") for name, rows in took.items() if name != "in_process"
        },
        "a_worker_does": way,
        "target": _target(_ratio(took[way], took["in_process"], "wall_s"), at_most=OVERHEAD_LIMIT),
    }


def short_clips(bed: Bed) -> Figures:
    """Eight short clips at once, and one long one of as many frames, in turn."""
    copies = [bed.folder / f"short{number}.mp4" for number in range(SHORT_CLIPS)]
    for copy in copies:
        shutil.copyfile(bed.clip, copy)
    once = bed.there(bed.clip)
    # Not a frame more: `loop` adds whole copies until the clip is at least so long.
    long_clip = bed.looped((SHORT_CLIPS - 0.5) * once.clip.duration_s)

    def together() -> list[Extraction]:
        with ThreadPoolExecutor(SHORT_CLIPS) as threads:
            return list(threads.map(bed.there, copies))

    took = _in_turn(bed.rounds, {"at_once": together, "one_long": lambda: [bed.there(long_clip)]})
    many, one = took.values()
    by_pass = [[{"s": row["wall_s"] / (row["frames"] + row["redone"])} for row in rows] for rows in (one, many)]
    return {
        "clips": SHORT_CLIPS,
        **{name: _shown(rows) for name, rows in took.items()},
        "cpu_ratio": _ratio(many, one, "cpu_s"),
        "passes_ratio": _ratio(by_pass[0], by_pass[1], "s"),
        "target": _target(1 / _ratio(many, one, "wall_s"), at_least=1.0),
    }


def _in_turn(rounds: int, contestants: Mapping[str, Callable[[], list[Extraction]]]) -> dict[str, list[Figures]]:
    """What each took in each round; A B A B …"""
    took: dict[str, list[Figures]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            took[name].append(_measured(run))
    frames = {row["frames"] for rows in took.values() for row in rows}
    if len(frames) != 1:
        raise SystemExit(f"not the same frames: {took}")
    return took


def _alone(run: Callable[[Path], Extraction], clip: Path) -> list[Extraction]:
    return [run(clip)]


def _measured(run: Callable[[], list[Extraction]]) -> Figures:
    cpu, began = _cpu_s(), time.perf_counter()
    extractions = run()
    wall_s = time.perf_counter() - began
    receipts = [extraction.receipt for extraction in extractions]
    if any(receipt.inferred != receipt.decoded for receipt in receipts):
        raise SystemExit(f"not every frame was inferred: {receipts}")
    return {
        "wall_s": wall_s,
        "cpu_s": _cpu_s() - cpu,
        "frames": sum(receipt.decoded for receipt in receipts),
        "redone": sum(receipt.redone for receipt in receipts),
    }


def _shown(rows: Sequence[Figures]) -> Figures:
    fps = [row["frames"] / row["wall_s"] for row in rows]
    return {
        "frames": rows[0]["frames"],
        "redone": rows[0]["redone"],
        "fps": round(statistics.median(fps), 1),
        "cpu_ms": round(statistics.median(1000 * row["cpu_s"] / row["frames"] for row in rows), 2),
        "rounds_fps": [round(value, 1) for value in fps],
    }


def _ratio(mine: Sequence[Figures], other: Sequence[Figures], what: str) -> float:
    """Median of the rounds' ratios."""
    ratios: list[float] = [a[what] / b[what] for a, b in zip(mine, other, strict=True)]
    return round(statistics.median(ratios), 4)


def _target(value: float, **bound: float) -> Figures:
    (name, limit), *_ = bound.items()
    met = value <= limit if name == "at_most" else value >= limit
    return {"value": round(value, 4), name: limit, "met": met}


def _family() -> list[psutil.Process]:
    """This process and all it started: Ray's own processes and the actor."""
    own = psutil.Process()
    return [own, *own.children(recursive=True)]


def _is_actor(process: psutil.Process) -> bool:
    return process.is_running() and "PoseActor" in " ".join(process.cmdline())


def _cpu_s() -> float:
    total = 0.0
    for process in _family():
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


# --- The wait for the quick report -----------------------------------------------------------------------------------


def quick_report(bed: Bed) -> Figures:
    """From the claim to the quick result, on a worker that has just started and on one that has worked."""
    clip = bed.looped(60 * REPORT_MINUTES)
    settings = bed.settings
    settings.data_dir.mkdir()
    upgrade(settings.database_url)
    options = wiring.storage_options(settings)
    storage = options.open()
    bench = Bench(options=options, storage=storage, cluster=bed.cluster)
    try:
        with bench.working(wiring.limits(settings), poll_s=settings.poll_s, stall_s=settings.stall_s):
            jobs = [_quick(bench, clip) for _ in range(2)]
    finally:
        storage.close()
    seconds = [_seconds(job) for job in jobs]
    fresh, again = (_where_it_went(job) for job in jobs)
    clip_info = survey(clip, wiring.limits(settings).video).clip
    return {
        "size": f"{clip_info.width}x{clip_info.height}",
        "minutes": round(clip_info.duration_s / 60, 2),
        "megabytes": round(clip.stat().st_size / 1e6, 1),
        "fresh_worker_s": round(seconds[0], 2),
        "same_worker_again_s": round(seconds[1], 2),
        "where_fresh_s": fresh,
        "where_again_s": again,
        "inside_the_actor": _inside(bed, clip),
        "target": _target(max(seconds), at_most=REPORT_LIMIT_S),
    }


def _quick(bench: Bench, clip: Path) -> JobDetail:
    """A job up to its quick result; what is left of it is canceled."""
    job_id = bench.submit(clip, REQUEST)
    deadline = time.monotonic() + PATIENCE_S
    while (job := bench.job(job_id)).quick_completed_at is None:
        if job.status in {"failed", "canceled"} or time.monotonic() > deadline:
            raise SystemExit(f"no quick report: {job.status} {job.error_code} {job.error_message}")
        time.sleep(0.2)
    time.sleep(EVENTS_S)
    bench.storage.queue.cancel(OWNER, job_id)
    bench.finish([job_id])
    return job


def _seconds(job: JobDetail) -> float:
    return (_moment(job.quick_completed_at) - _moment(job.quick_started_at)).total_seconds()


def _moment(moment: datetime | None) -> datetime:
    if moment is None:
        raise SystemExit("the database does not have the quick stage's times")
    return moment


def _where_it_went(job: JobDetail) -> Figures:
    """The seconds between claim and result, one after the other, by Ray's account of the tasks between them."""
    import ray  # noqa: PLC0415 - it reads its environment when it is imported

    claimed, done = _moment(job.quick_started_at).timestamp(), _moment(job.quick_completed_at).timestamp()
    return split(ray.timeline(), claimed, done)


def split(events: Sequence[Figures], claimed: float, done: float) -> Figures:
    """Ray's events (microseconds since the epoch) → seconds by what was done, and waited for before it.

    `claimed` and `done` are seconds since the epoch. The values add up to the time between them.
    """
    spans = [
        (task["ts"] / 1e6, (task["ts"] + task["dur"]) / 1e6, task["args"]["name"].rpartition(".")[2])
        for task in events
        if task["cat"].startswith("task::") and claimed <= task["ts"] / 1e6 <= done
    ]
    spans = sorted(span for span in spans if span[2] in CHAIN)
    parts: Figures = {}
    at = claimed
    for begin, end, name in spans:
        parts[f"before {name}"] = begin - at
        at = min(end, done)
        parts[name] = at - begin
    parts["until it can be read"] = done - at
    return {name: round(value, 3) for name, value in parts.items()}


def _inside(bed: Bed, clip: Path) -> Figures:
    """The actor's part again in this process, piece by piece."""
    limits = wiring.limits(bed.settings)
    wanted = extract_request("quick", REQUEST, limits, None)
    bed.here(bed.clip)
    surveyed, survey_took = _timed(lambda: survey(clip, limits.video, wanted.segments))
    _, checksum_took = _timed(lambda: clip_sha256(clip))
    _, decode_took = _timed(lambda: _decode(clip, wanted))
    extraction, extract_took = _timed(lambda: bed.extractor.extract(clip, wanted, surveyed=surveyed))
    return {
        "survey": survey_took,
        "survey, of which the checksum": checksum_took,
        "decoding and inference": extract_took,
        "decoding alone": decode_took,
        "frames_decoded": extraction.receipt.decoded,
        "frames_inferred": extraction.receipt.inferred,
    }


def _decode(clip: Path, wanted: ExtractRequest) -> int:
    with open_video(clip, wanted.limits) as video:
        return sum(1 for _ in video.pictures(Sampler(sample_fps=wanted.sample_fps, max_time_s=wanted.window_s)))


def _timed(run: Callable[[], Any]) -> tuple[Any, Figures]:
    began, cpu = time.perf_counter(), time.process_time()
    value = run()
    return value, {"s": round(time.perf_counter() - began, 2), "cpu_s": round(time.process_time() - cpu, 2)}


PARTS: dict[str, Callable[[Bed], Figures]] = {
    "quick_report": quick_report,
    "ray_path": ray_path,
    "short_clips": short_clips,
}

if __name__ == "__main__":
    main()
