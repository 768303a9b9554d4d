"""How far the numbers are off and how often they say so: synthetic cricketers with known truth and the model's noise.

    python benchmarks/science.py errors --mode bowling [--view side] [--fps 120] [--athletes 200] [--seed 1] [--json]
    python benchmarks/science.py errors --skeleton halpe-26 [--foot-together 0] …
    python benchmarks/science.py flip|halves|bones [--clip PATH] --json
    python benchmarks/science.py findings --mode bowling [--view side] [--fps 60] [--balls 3] [--athletes 50] [--json]
    python benchmarks/science.py views [--mode batting] [--fps 30] [--yaw 10] [--athletes 50] [--json]

`errors`: every metric and event of random athletes, filmed by random cameras, beside the truth. Coverage is the share
within two expected errors. `ratio` is RMSE / expected error, both without what no simulation contains (published
floors): over 1.1 boasts, under 0.7 hides. With `--skeleton halpe-26` the athletes stand on rolling feet, and each clip
is judged twice: with its feet, and with COCO-17's keypoints of the very same noise.

`flip`, `halves`, `bones`: what a real clip says of itself without labels (`benchmarks/real_video.py`).
`findings`: how often a report finds a fault in clean athletes, and misses one of a known size (`verdicts.py`).
`views`: how often the view of batters and keepers is told rightly, wrongly and not at all where nobody gives it.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from cricketer.catalogue import MODES, possible_movement
from cricketer.clips import Judged, Read, Timed, film, judge
from cricketer.feet import random_feet
from cricketer.noise import CLEAN, Noise

from benchmarks.machine import SAMPLE, as_json, provenance
from benchmarks.real_video import CHECKS
from benchmarks.verdicts import MARGINS, SIZES, Filming, clean_rows, fault_rows, print_findings
from inference.poses import COCO_17
from models.documents import ViewDocument
from pipeline.biomechanics.measure import measure

Figures = dict[str, Any]
RATES = (24.0, 30.0, 60.0, 120.0, 240.0)
COVERAGE, RATIO = (0.90, 0.99), (0.7, 1.1)
YAW_SIDE, YAW_TOLD = 40.0, 10.0
"""Degrees off the view: where the athlete's travel shows it, and where only a caller's word does."""
FINDINGS_FPS, BALLS = 60.0, (1, 3, 6)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("errors", "findings", "views", *CHECKS))
    parser.add_argument("--mode", choices=tuple(MODES), action="append")
    parser.add_argument("--view", choices=("side", "behind", "front"), action="append")
    parser.add_argument("--fps", type=float, action="append")
    parser.add_argument("--athletes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="other athletes, cameras and noise")
    parser.add_argument("--yaw", type=float, help="instead of 40 or 10 degrees")
    parser.add_argument("--clean", action="store_true", help="errors without noise, square and level")
    parser.add_argument("--skeleton", choices=("coco-17", "halpe-26"), default="coco-17", help="errors")
    parser.add_argument(
        "--foot-together", type=float, default=1.0, help="share of a foot's slow error that is its ankle's (1)"
    )
    parser.add_argument("--balls", type=int, action="append", help="findings: repetitions a clip (1, 3 and 6)")
    parser.add_argument("--margin", type=float, action="append", help="findings: errors inside the limits (3, 2 and 1)")
    parser.add_argument("--size", type=float, action="append", help="findings: errors beyond (0, fixed; 2.5 and 2)")
    parser.add_argument("--rule", action="append", help="findings: faults of these rules alone")
    parser.add_argument("--faulty", type=int, help="findings: athletes a fault, where not as many as clean ones")
    parser.add_argument("--clip", type=Path, default=SAMPLE, help="of flip, halves and bones")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object; flip, halves and bones print nothing else"
    )
    arguments = parser.parse_args()
    if arguments.what in CHECKS:
        print(as_json({**provenance(), **CHECKS[arguments.what](arguments.clip)}))
        return
    make, show = {"errors": (_errors_rows, print_errors), "findings": (_findings_rows, print_findings),
                  "views": (_views_rows, print)}[arguments.what]  # fmt: skip
    rows: list[Figures] = []
    for row in make(arguments):
        rows.append(row)
        if not arguments.json:
            show(row)
    if arguments.json:
        print(as_json({**provenance(), "rows": rows}))


def _errors_rows(asked: argparse.Namespace) -> Iterator[Figures]:
    for mode in asked.mode or MODES:
        for view in asked.view or MODES[mode]:
            for fps in asked.fps or RATES:
                if asked.skeleton == "halpe-26":
                    yield from errors_with_feet(mode, view, fps, asked)
                else:
                    yield errors(mode, view, fps, asked.athletes, asked.yaw, seed=asked.seed, clean=asked.clean)


def _findings_rows(asked: argparse.Namespace) -> Iterator[Figures]:
    faulty = asked.athletes if asked.faulty is None else asked.faulty
    for mode in asked.mode or MODES:
        for view in asked.view or MODES[mode]:
            yaw = yaw_of(mode, view) if asked.yaw is None else asked.yaw
            for fps in asked.fps or (FINDINGS_FPS,):
                for balls in asked.balls or BALLS:
                    filming = Filming(mode=mode, view=view, fps=fps, balls=balls, yaw=yaw, seed=asked.seed)
                    yield from clean_rows(filming, asked.margin or MARGINS, asked.athletes)
                    yield from fault_rows(filming, asked.size or SIZES, faulty, asked.rule)


def _views_rows(asked: argparse.Namespace) -> Iterator[Figures]:
    for mode in asked.mode or ("batting", "wicketkeeping"):
        for view in asked.view or ("side", "front", "behind"):
            for fps in asked.fps or (30.0,):
                for yaw in (YAW_TOLD, 30.0) if asked.yaw is None else (asked.yaw,):
                    yield told_views(mode, view, fps, asked.athletes, yaw, seed=asked.seed)


def told_views(mode: str, view: str, fps: float, athletes: int, yaw: float, *, seed: int = 0) -> Figures:
    """One row: of so many athletes and cameras up to `yaw` degrees off, how often the view is told; confidence: median
    of those that are.
    """
    told = []
    for rng in generators(mode, view, fps, athletes, seed):
        clip = film([possible_movement(mode, rng)], view, fps, rng, noise=real_noise(view, rng), yaw=yaw)
        nobody = ViewDocument(value=None, source="unknown", confidence=0.0)
        told.append(measure(clip.poses, replace(clip.context, view=nobody)).view)
    known = [one for one in told if one.value is not None]
    right = sum(one.value == view for one in known)
    return {
        "mode": mode, "view": view, "fps": fps, "yaw": yaw, "athletes": athletes, "right": right,
        "wrong": len(known) - right, "open": athletes - len(known),
        "confidence": round(float(np.median([one.confidence for one in known])), 2) if known else None,
    }  # fmt: skip


def generators(mode: str, view: str, fps: float, athletes: int, seed: int) -> Iterator[np.random.Generator]:
    """One for each athlete, the same in every run with this seed."""
    for athlete in range(athletes):
        yield np.random.default_rng([seed, sum(map(ord, mode)), len(view), round(fps), athlete])


def real_noise(view: str, rng: np.random.Generator) -> Noise:
    """The model's own, with 5 or 20 % of the frames mirrored along the pitch."""
    return Noise(mirrored=0.0 if view == "side" else float(rng.choice([0.05, 0.2])))


def yaw_of(mode: str, view: str) -> float:
    """How far off its view a camera may stand."""
    return YAW_SIDE if view == "side" and mode in ("bowling", "fielding") else YAW_TOLD


def errors(
    mode: str, view: str, fps: float, athletes: int, yaw: float | None = None, *, seed: int = 0, clean: bool = False
) -> Figures:
    """Every metric and event over random athletes, one repetition each."""
    judged = []
    for rng in generators(mode, view, fps, athletes, seed):
        movement = possible_movement(mode, rng)
        angle = yaw_of(mode, view) if yaw is None else yaw
        judged.append(
            judge(film([movement], view, fps, rng, noise=CLEAN if clean else real_noise(view, rng), yaw=angle))
        )
    return _errors_row(mode, view, fps, judged)


def errors_with_feet(mode: str, view: str, fps: float, asked: argparse.Namespace) -> Iterator[Figures]:
    """Two rows of the same athletes, cameras and noise: judged with feet, and without them."""
    judged: dict[str, list[Judged]] = {"halpe-26": [], "coco-17 of it": []}
    for rng in generators(mode, view, fps, asked.athletes, asked.seed):
        movement = possible_movement(mode, rng, feet=random_feet(rng.spawn(1)[0], mode))
        angle = yaw_of(mode, view) if asked.yaw is None else asked.yaw
        noise = CLEAN if asked.clean else replace(real_noise(view, rng), foot_together=asked.foot_together)
        clip = film([movement], view, fps, rng, noise=noise, yaw=angle)
        judged["halpe-26"].append(judge(clip))
        judged["coco-17 of it"].append(judge(replace(clip, poses=clip.poses.only(COCO_17))))
    for skeleton, own in judged.items():
        yield {**_errors_row(mode, view, fps, own), "skeleton": skeleton, "foot_together": asked.foot_together}


def _errors_row(mode: str, view: str, fps: float, judged: list[Judged]) -> Figures:
    athletes = len(judged)
    return {
        "mode": mode, "view": view, "fps": fps, "athletes": athletes,
        "found": sum(j.found for j in judged), "false": sum(j.false for j in judged),
        "metrics": _metrics(judged, athletes), "events": _events(judged, athletes),
    }  # fmt: skip


def _metrics(judged: list[Judged], athletes: int) -> Figures:
    by_metric: dict[str, list[Read]] = defaultdict(list)
    for one in judged:
        for read in one.reads:
            by_metric[read.metric].append(read)
    out: Figures = {}
    for name, reads in by_metric.items():
        off = np.array([r.value - r.truth for r in reads])
        expected = np.array([r.expected for r in reads])
        modelled = np.array([r.modelled for r in reads])
        out[name] = {
            "measured": round(len(reads) / athletes, 3),
            "degraded": round(float(np.mean([r.status == "degraded" for r in reads])), 3),
            "coverage": round(float(np.mean(np.abs(off) <= 2 * expected)), 3),
            "ratio": round(float(np.sqrt(np.mean(off**2) / np.mean(modelled**2))), 3),
            "bias": round(float(np.mean(off)), 3),
            "rmse": round(float(np.sqrt(np.mean(off**2))), 3),
            "median_off": round(float(np.median(np.abs(off))), 3),
            "expected": round(float(np.sqrt(np.mean(expected**2))), 3),
            "modelled": round(float(np.sqrt(np.mean(modelled**2))), 3),
        }
    return out


def _events(judged: list[Judged], athletes: int) -> Figures:
    by_event: dict[str, list[Timed]] = defaultdict(list)
    for one in judged:
        for event in one.events:
            by_event[event.event].append(event)
    out: Figures = {}
    for name, events in by_event.items():
        off = 1000 * np.array([e.error for e in events])
        width = 1000 * np.array([e.half_width for e in events])
        out[name] = {
            "found": round(len(events) / athletes, 3),
            "bias_ms": round(float(np.median(off)), 1),
            "p50_ms": round(float(np.percentile(np.abs(off), 50)), 1),
            "p90_ms": round(float(np.percentile(np.abs(off), 90)), 1),
            "half_width_ms": round(float(np.median(width)), 1),
            "within": round(float(np.mean(np.abs(off) <= width)), 3),
        }
    return out


def print_errors(row: Figures) -> None:
    """One row as a table; what misses its bounds is marked."""
    print(f"{row['mode']} {row['view']} {row['fps']:g}/s: {row['athletes']} athletes, found {row['found']}, "
          f"false {row['false']} {row.get('skeleton', '')}")  # fmt: skip
    for name, e in row["events"].items():
        print(f"    {name:28} found {e['found']:.2f} bias {e['bias_ms']:6} p50 {e['p50_ms']:5} p90 {e['p90_ms']:6} "
              f"half-width {e['half_width_ms']:5} within {e['within']:.2f}")  # fmt: skip
    for name, m in row["metrics"].items():
        fits = COVERAGE[0] <= m["coverage"] <= COVERAGE[1] and RATIO[0] <= m["ratio"] <= RATIO[1]
        print(f" {'ok ' if fits else 'OFF'} {name:28} measured {m['measured']:.2f} degraded {m['degraded']:.2f} "
              f"coverage {m['coverage']:.2f} ratio {m['ratio']:5.2f} bias {m['bias']:7.2f} rmse {m['rmse']:6.2f} "
              f"median {m['median_off']:6.2f} expected {m['expected']:6.2f} modelled {m['modelled']:6.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
