"""Resident memory while one long clip is extracted, and whether it grows with the clip.

    python benchmarks/memory.py --json [--minutes 10] [--clip PATH]

The long clip is the short one over and over: packets copied, timestamps shifted, nothing encoded again. One process
extracts it as `frontfoot poses --every-frame` does, while a thread reads its resident size. The slope is that of a line
through the samples of the clip's second half (least squares). The poses themselves may take 300 bytes a frame; what is
left, carried on to two hours, must stay within a tenth of the size after one minute of the clip.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import SAMPLE, as_json, provenance
from frontfoot import wiring
from frontfoot.settings import Settings
from inference.extract import ExtractRequest, load_extractor
from inference.poses import PoseSequence

EVERY_S = 1.0
WARM_S = 60.0
"""Of the clip: buffers, pools and caches ought to have their size by then."""
TWO_HOURS_S = 7200.0
POSE_BYTES = 300
GROWTH = 1.10
MIB = 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the long clip, at least 2")
    parser.add_argument("--clip", type=Path, default=SAMPLE)
    arguments = parser.parse_args()
    if arguments.minutes * 60 < 2 * WARM_S:
        parser.error("a slope needs two")
    with tempfile.TemporaryDirectory(prefix="frontfoot-benchmark-") as folder:
        long_clip = loop(arguments.clip, Path(folder) / "long.mp4", arguments.minutes * 60)
        figures = {**provenance(), "clip": arguments.clip.name, **measure(long_clip)}
    if arguments.json:
        print(as_json(figures))
        return
    print("\n".join(f"{name:26} {value}" for name, value in figures.items() if name not in provenance()))


def loop(clip: Path, out: Path, seconds: float) -> Path:
    """Write `clip`'s video over and over into `out` (MP4) until it lasts so long."""
    with av.open(str(out), "w", format="mp4") as target:
        stream, start_s = None, 0.0
        while start_s < seconds:
            with av.open(str(clip)) as source:
                video = source.streams.video[0]
                stream = stream or target.add_stream_from_template(video)
                shift, end = round(start_s / video.time_base), 0
                for packet in source.demux(video):
                    if packet.dts is None or packet.pts is None:
                        continue  # the demuxer's last word
                    end = max(end, packet.pts - (video.start_time or 0) + (packet.duration or 0))
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    target.mux(packet)
                start_s += float(end * video.time_base)
    return out


def measure(clip: Path) -> dict[str, Any]:
    """Extract the long clip and say what it took."""
    settings = Settings()
    limits = replace(wiring.limits(settings).video, max_duration_s=1e6, max_frames=10**8)
    extractor = load_extractor(wiring.extractor_options(settings))
    began = time.perf_counter()
    with _watched() as watch:
        extraction = extractor.extract(clip, ExtractRequest(limits=limits), on_progress=watch.progress)
    took_s = time.perf_counter() - began
    end = psutil.Process().memory_info().rss
    extractor.close()
    receipt, info = extraction.receipt, extraction.clip
    seconds, resident = np.array(watch.samples).T
    seconds = seconds * info.duration_s
    after_a_minute = float(np.interp(WARM_S, seconds, resident))
    steady = seconds >= info.duration_s / 2
    slope, level = (float(term) for term in np.polyfit(seconds[steady] * info.fps, resident[steady], 1))
    two_hours = TWO_HOURS_S * info.fps
    kept = level + (slope - POSE_BYTES) * two_hours
    poses = _bytes(extraction.poses)
    return {
        "size": f"{info.width}x{info.height}",
        "minutes": round(info.duration_s / 60, 2),
        "frames": receipt.inferred,
        "decoded": receipt.decoded,
        "fps": round(receipt.inferred / took_s, 1),
        "rss_mib_after_1_minute": round(after_a_minute / MIB, 1),
        "rss_mib_at_the_end": round(end / MIB, 1),
        "rss_mib_highest": round(float(resident.max()) / MIB, 1),
        "slope_bytes_a_frame": round(slope, 1),
        "poses_bytes_a_frame": round(poses / receipt.inferred, 1),
        "two_hours": {
            "rss_mib": round((level + slope * two_hours) / MIB, 1),
            "without_poses_times_1_minute": round(kept / after_a_minute, 4),
            "at_most": GROWTH,
            "met": kept <= GROWTH * after_a_minute,
            "poses_met": poses <= POSE_BYTES * receipt.inferred,
        },
        "samples_s_mib": [
            [round(float(at), 1), round(float(size) / MIB, 1)]
            for at, size in zip(seconds[::10], resident[::10], strict=True)
        ],
    }


@dataclass
class Watch:
    """Resident sizes beside the share of the clip that was done."""

    samples: list[tuple[float, float]] = field(default_factory=list)
    share: float = 0.0

    def progress(self, share: float) -> None:
        """Hear how far the extraction is."""
        self.share = share


@contextmanager
def _watched() -> Iterator[Watch]:
    watch, over, process = Watch(), threading.Event(), psutil.Process()

    def look() -> None:
        while not over.wait(EVERY_S):
            watch.samples.append((watch.share, float(process.memory_info().rss)))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


def _bytes(poses: PoseSequence) -> int:
    return sum(
        array.nbytes
        for array in (poses.keypoints, poses.confidence, poses.boxes, poses.timestamps_s, poses.frame_indices)
    )


if __name__ == "__main__":
    main()
