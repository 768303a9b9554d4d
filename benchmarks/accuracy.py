"""What being fast costs in accuracy: the same pixels in fp32, crops beside whole frames, and all the way to the report.

    python benchmarks/accuracy.py --json [--clip PATH]

Everything is measured by what the product itself asks of a keypoint: confident from 0.3, stature by the chain of the
body, mirrored bodies and merged legs by `pipeline.biomechanics.sides`. The reference is whole frames in fp32. Each gate
is printed with its value, its bound and whether it is met.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import SAMPLE, as_json, provenance
from frontfoot import wiring
from frontfoot.settings import Settings
from inference.backends import PrecisionChoice, make_backend
from inference.catalog import resolve
from inference.estimator import Estimator, Prepared
from inference.extract import Extraction, ExtractRequest, PoseExtractor
from inference.pictures import Picture
from inference.poses import COCO_17, Pose
from inference.sources import LocalClip
from inference.tracking import SubjectHint, Tracker
from inference.tracks import CONFIDENT, overlap
from models.documents import Results
from models.requests import AnalysisRequest
from pipeline import stages
from pipeline.biomechanics import kinematics
from pipeline.biomechanics.sides import BODY, columns
from pipeline.comparison.body import Body as FollowedBody
from pipeline.comparison.body import body_joints, body_of
from pipeline.run import run_pose_metrics_findings_report

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Figures = dict[str, Any]

REQUESTS = (
    AnalysisRequest(analysis_mode="bowling", camera_view="side"),
    AnalysisRequest(analysis_mode="batting", camera_view="side"),
)
KNEES = [tuple(COCO_17.index(f"{side}_{part}") for part in ("hip", "knee", "ankle")) for side in ("left", "right")]
FIRM_SCORE = 0.5
"""Of a detection that is surely a person: such ones are pointed at."""
FOLLOWED_S = 1.0
"""Who is followed for less is nobody whose movement could be compared."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--clip", type=Path, default=SAMPLE)
    arguments = parser.parse_args()
    figures = {**provenance(), "clip": arguments.clip.name, **measure(arguments.clip)}
    if arguments.json:
        print(as_json(figures))
        return
    for name, row in figures["gates"].items():
        print(f"{'ok  ' if row['met'] else 'MISS'} {name:60} {row['value']} ({row['bound']})")


def measure(clip: Path) -> Figures:
    """All three comparisons, and their gates."""
    fast, exact = _recorder("auto"), _recorder("fp32")
    crops, whole, whole_exact = PoseExtractor(fast), WholeFrames(fast), WholeFrames(exact)
    people = [
        [_extracted(extractor, clip, hint) for extractor in (crops, whole_exact, whole)]
        for hint in _everybody(clip, whole_exact)
    ]
    figures = {
        "model": asdict(fast.info),
        "same_pixels": same_pixels(clip, fast, exact),
        "people": [compare(*ways) for ways in people],
        "reports": [analysed(clip, request, crops, whole_exact) for request in REQUESTS]
        + [judged(request, *ways[:2]) for request in REQUESTS for ways in people],
    }
    for extractor in (crops, whole, whole_exact):
        extractor.close()
    return {"gates": _gates(figures), **figures}


def _gates(figures: Figures) -> Figures:
    """Target 3 of the issue, one row a bound."""
    gates: Figures = {}

    def gate(name: str, value: float, *, at_most: float | None = None, at_least: float | None = None) -> None:
        met = value <= at_most if at_most is not None else at_least is not None and value >= at_least
        bound = f"at most {at_most:g}" if at_most is not None else f"at least {at_least:g}"
        gates[name] = {"value": value, "bound": bound, "met": bool(met)}

    for kind, row in figures["same_pixels"].items():
        gate(f"same pixels, {kind}: median difference, % of height", row["median_pct"], at_most=0.3)
        gate(f"same pixels, {kind}: p95 difference, % of height", row["p95_pct"], at_most=1.5)
        gate(f"same pixels, {kind}: p95 knee angle, degrees", row["knee_p95_deg"], at_most=3.0)
    for number, row in enumerate(figures["people"], start=1):
        gate(f"person {number}: found, of whole frames' frames", row["found"], at_least=0.99)
        for reference, name in (("whole_fp32", "in fp32"), ("whole_same_precision", "of the same precision")):
            for count in ("mirrored", "merged"):
                most = row["sides"][reference][count]
                gate(
                    f"person {number}: {count} frames, whole frames {name}", row["sides"]["crops"][count], at_most=most
                )
            gate(
                f"person {number}: white jitter, times whole frames' {name}",
                row["jitter"][reference]["ratio"],
                at_most=1.05,
            )
        gate(
            f"person {number}: second differences at anchors, times elsewhere", row["at_anchors"]["ratio"], at_most=1.15
        )
    for row in figures["reports"]:
        gate(f"{row['what']}: moved, of {row['events']} events", len(row["events_moved"]), at_most=0)
        gate(f"{row['what']}: flipped, of {len(row['findings'])} findings", len(row["findings_flipped"]), at_most=0)
    return gates


# --- Extractors ------------------------------------------------------------------------------------------------------


class Recorder(Estimator):
    """An estimator that keeps what it was asked and what it said, while `kept` is a list."""

    kept: list[tuple[Sequence[Prepared], list[list[Pose]]]] | None = None

    def infer(self, batch: Sequence[Prepared]) -> list[list[Pose]]:
        """See `Estimator.infer`."""
        people = super().infer(batch)
        if self.kept is not None:
            self.kept.append((batch, people))
        return people


class WholeFrames(PoseExtractor):
    """An extractor that cuts no crops, whoever asks."""

    def extract(self, path: Path, request: ExtractRequest, **others: Any) -> Extraction:
        """See `PoseExtractor.extract`."""
        return super().extract(path, replace(request, whole_frames=True), **others)


def _recorder(precision: PrecisionChoice) -> Recorder:
    options = wiring.extractor_options(Settings())
    spec = resolve(options.model, options.sha256)
    backend = make_backend(
        spec, backend=options.backend, precision=precision, threads=options.threads, cache_dir=options.cache_dir
    )
    return Recorder(backend, spec)


@dataclass(frozen=True, kw_only=True)
class Followed:
    """One person of the clip, by one way of extracting."""

    extraction: Extraction
    anchors: Mask
    """(T,) frames inferred whole beside one that was not."""


def _extracted(extractor: PoseExtractor, clip: Path, hint: SubjectHint) -> Followed:
    with _spied(Picture, "cut") as cuts:
        limits = wiring.limits(Settings()).video
        extraction = extractor.extract(clip, ExtractRequest(subject=(hint,), limits=limits))
    whole = np.zeros(extraction.receipt.decoded, bool)
    for picture, box in cuts:
        whole[picture.index] |= box.source == box.picture
    padded = np.pad(whole, 1, constant_values=True)
    return Followed(
        extraction=extraction,
        anchors=(whole & ~(padded[:-2] & padded[2:]))[extraction.poses.frame_indices],
    )


@contextmanager
def _spied(owner: Any, name: str) -> Iterator[list[tuple[Any, ...]]]:
    """Collect the positional arguments of every call of a method while the block runs."""
    method, calls = getattr(owner, name), []

    @wraps(method)
    def spy(*arguments: Any) -> Any:
        calls.append(arguments)
        return method(*arguments)

    setattr(owner, name, spy)
    try:
        yield calls
    finally:
        setattr(owner, name, method)


def _everybody(clip: Path, extractor: PoseExtractor) -> list[SubjectHint]:
    """A point on everybody who is followed for a second or more, who is there longest first."""
    with _spied(Tracker, "update") as sightings:
        extractor.extract(clip, ExtractRequest(limits=wiring.limits(Settings()).video))
    tracker = Tracker()
    for _, time_s, poses in sightings:
        tracker.update(time_s, poses)
    times = np.array([time_s for _, time_s, _ in sightings])
    found: dict[bytes, tuple[float, SubjectHint]] = {}
    for _, time_s, poses in sightings[:: max(len(sightings) // 40, 1)]:
        for pose in poses:
            x, y = ((pose.box[:2] + pose.box[2:]) / 2).tolist()
            hint = SubjectHint(x=x, y=y, time_s=time_s)
            picks = tracker.choose([hint], source="automatic").picks
            followed_s = float(np.ptp(times[picks >= 0]))
            if pose.score > FIRM_SCORE and followed_s >= FOLLOWED_S:
                found.setdefault(picks.tobytes(), (followed_s, hint))
    return [hint for _, hint in sorted(found.values(), key=lambda entry: -entry[0])]


# --- (a) The same pixels ---------------------------------------------------------------------------------------------


def same_pixels(clip: Path, fast: Recorder, exact: Recorder) -> Figures:
    """What the product's precision says of the very tensors that it was given, beside the full network in fp32."""
    fast.kept = []
    for kind in (PoseExtractor, WholeFrames):
        kind(fast).extract(clip, ExtractRequest(limits=wiring.limits(Settings()).video))
    kept, fast.kept = fast.kept, None
    pairs: dict[str, list[tuple[list[Pose], list[Pose]]]] = {"crops": [], "whole_frames": []}
    for batch, people in kept:
        reference = exact.infer([replace(prepared, fine=True) for prepared in batch])
        for prepared, mine, theirs in zip(batch, people, reference, strict=True):
            whole = prepared.letterbox.source == prepared.letterbox.picture
            pairs["whole_frames" if whole else "crops"].append((mine, theirs))
    return {kind: _differences(rows) for kind, rows in pairs.items() if rows}


def _differences(pictures: Sequence[tuple[list[Pose], list[Pose]]]) -> Figures:
    """Of everybody whom both precisions see, keypoints that fp32 is confident of."""
    points: list[float] = []
    knees: list[float] = []
    matched = expected = 0
    for mine, theirs in pictures:
        expected += len(theirs)
        for reference, pose in _matched(theirs, mine):
            matched += 1
            sure = reference.confidence >= CONFIDENT
            apart = np.linalg.norm(pose.keypoints - reference.keypoints, axis=1)[sure]
            points.extend((100 * apart / _height(reference)).tolist())
            knees.extend(abs(_knee(pose, leg) - _knee(reference, leg)) for leg in KNEES if sure[[*leg]].all())
    return {
        "pictures": len(pictures),
        "people": expected,
        "seen_by_both": round(matched / max(expected, 1), 4),
        "median_pct": _percentile(points, 50),
        "p95_pct": _percentile(points, 95),
        "knee_p95_deg": _percentile(knees, 95),
    }


def _matched(theirs: Sequence[Pose], mine: Sequence[Pose]) -> Iterator[tuple[Pose, Pose]]:
    """Pairs of one person each, by the overlap of their boxes."""
    free = list(mine)
    for reference in theirs:
        best = max(free, key=lambda pose: overlap(pose.box, reference.box), default=None)
        if best is not None and overlap(best.box, reference.box) > 0.5:
            free = [pose for pose in free if pose is not best]
            yield reference, best


def _height(pose: Pose) -> float:
    """Of the body in pixels, as far as one picture tells."""
    named = {name: pose.keypoints[None, k].astype(float) for k, name in enumerate(COCO_17.keypoint_names)}
    chain = float(kinematics.compute_eye_to_ankle(named)[0]) / kinematics.EYE_TO_ANKLE
    return max(chain, float(pose.box[3] - pose.box[1]))


def _knee(pose: Pose, leg: tuple[int, ...]) -> float:
    hip, knee, ankle = (pose.keypoints[joint].astype(float) for joint in leg)
    return float(kinematics.compute_joint_angle(hip, knee, ankle))


def _percentile(values: Sequence[float] | Array, percent: float) -> float:
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    return round(float(np.percentile(known, percent)), 4) if known.size else float("nan")


# --- (b) Crops beside whole frames -----------------------------------------------------------------------------------


def compare(crops: Followed, exact: Followed, whole: Followed) -> Figures:
    """One person, followed in crops, in whole frames of fp32, and in whole frames of the product's own precision."""
    mine = Body.of(crops)
    references = {"whole_fp32": Body.of(exact), "whole_same_precision": Body.of(whole)}
    reference = references["whole_fp32"]
    return {
        "frames": len(mine.seen),
        "found": round(float((mine.seen & reference.seen).sum() / reference.seen.sum()), 4),
        "redone": crops.extraction.receipt.redone,
        "sides": {name: body.sides() for name, body in {"crops": mine, **references}.items()},
        "jitter": {name: mine.jitter_beside(body) for name, body in references.items()},
        "anchors": int(mine.anchors.sum()),
        "at_anchors": mine.anchor_ratio(mine.anchors),
        "at_anchors_of_whole_frames": reference.anchor_ratio(mine.anchors),
        "direct": mine.apart(reference),
    }


@dataclass(frozen=True, kw_only=True)
class Body(FollowedBody):
    """One person, and where the frames lie that were inferred whole."""

    anchors: Mask

    @classmethod
    def of(cls, followed: Followed) -> Body:
        """What the poses show of the person."""
        seen = body_of(followed.extraction.poses)
        return cls(**{field.name: getattr(seen, field.name) for field in fields(seen)}, anchors=followed.anchors)

    def jitter_beside(self, other: Body) -> Figures:
        """White noise of both where both see four frames in a row, in the slower half of these samples."""
        mine, theirs = self.noise_beside(other)
        return {
            "samples": int(np.isfinite(mine).sum()),
            "crops_pct": _percentile(mine, 50),
            "whole_pct": _percentile(theirs, 50),
            **_ratio(mine, theirs),
        }

    def anchor_ratio(self, anchors: Mask) -> Figures:
        """Median second difference over the seams between an anchor and the frame before, times that elsewhere."""
        bend = np.linalg.norm(np.diff(self.path[:, body_joints(COCO_17)], 2, axis=0), axis=-1)
        seams = anchors[1:-1] | anchors[2:]
        at, elsewhere = (np.where(which[:, None], bend, np.nan) for which in (seams, ~seams))
        return _ratio(at, elsewhere)

    def apart(self, other: Body) -> Figures:
        """Distance of the joints, each frame either way round: not a gate, for either may be the wrong one."""
        turned = self.path.copy()
        for left, right in columns(COCO_17, BODY):
            turned[:, [left, right]] = self.path[:, [right, left]]
        ways = np.stack(
            [np.linalg.norm((path - other.path)[:, body_joints(COCO_17)], axis=-1) for path in (self.path, turned)]
        )
        known = np.isfinite(ways).any(axis=2).all(axis=0)
        means = np.nanmean(ways[:, known], axis=2)
        mirrored = means[1] < means[0]
        nearer = np.where(mirrored[:, None], ways[1, known], ways[0, known])
        return {
            "median_pct": _percentile(nearer, 50),
            "p95_pct": _percentile(nearer, 95),
            "mirrored_against_each_other": int(mirrored.sum()),
        }


def _ratio(mine: Array, theirs: Array) -> Figures:
    """Ratio of the medians of two (T, joints) arrays, and within which bounds it lies when half-second pieces of the
    clip are drawn anew (90 % of 200 draws): a clip of some seconds leaves much to chance.
    """
    pieces = np.array_split(np.arange(len(mine)), max(len(mine) // 15, 1))
    chance = np.random.default_rng(0)
    ratios = []
    for _ in range(200):
        drawn = np.concatenate([pieces[n] for n in chance.integers(0, len(pieces), len(pieces))])
        ratios.append(_percentile(mine[drawn], 50) / _percentile(theirs[drawn], 50))
    return {
        "ratio": round(_percentile(mine, 50) / _percentile(theirs, 50), 4),
        "between": [_percentile(ratios, 5), _percentile(ratios, 95)],
    }


# --- (c) Through to the report ---------------------------------------------------------------------------------------


def analysed(clip: Path, request: AnalysisRequest, crops: PoseExtractor, whole: PoseExtractor) -> Figures:
    """The whole analysis by both, whomever it chooses."""
    limits = wiring.limits(Settings())
    mine, theirs = (
        run_pose_metrics_findings_report(
            LocalClip(path=clip), request, extractor=extractor, limits=limits
        ).final.results
        for extractor in (crops, whole)
    )
    return {"what": f"{request.analysis_mode} report", **_beside(mine, theirs)}


def judged(request: AnalysisRequest, crops: Followed, whole: Followed) -> Figures:
    """The same from the poses of one person on."""
    results = []
    for extraction in (crops.extraction, whole.extraction):
        measurements = stages.measure_poses(extraction, request, "deep")
        findings = stages.judge(measurements)
        report = stages.word(extraction, measurements, findings)
        results.append(stages.compose(extraction, measurements, findings, report, include_frames=False))
    x, y = (round(side) for side in crops.extraction.subject.box[:2])
    return {"what": f"{request.analysis_mode} of the person at {x},{y}", **_beside(*results)}


def _beside(mine: Results, theirs: Results) -> Figures:
    """Events that moved, findings that one of them lacks or weighs otherwise, metrics by their own expected errors."""
    frame_s = 1 / theirs.clip.fps
    events, expected = _events(mine), _events(theirs)
    shifts = {
        name: abs(value - other) / error
        for name, metric in theirs.metrics.items()
        if isinstance(other := metric.value, float)
        and isinstance(value := mine.metrics[name].value, float)
        and (error := metric.expected_error)
    }
    return {
        "repetitions": [len(results.repetitions) for results in (mine, theirs)],
        "events": len(expected),
        "events_moved": {
            name: [events.get(name), expected.get(name)]
            for name in sorted(events.keys() | expected.keys())
            if not abs(events.get(name, np.inf) - expected.get(name, -np.inf)) <= 1.01 * frame_s
        },
        "findings": _findings(theirs),
        "findings_flipped": sorted(set(_findings(mine).items()) ^ set(_findings(theirs).items())),
        "metrics_in_expected_errors": {name: round(shift, 3) for name, shift in shifts.items()},
        "metrics_of_another_status": [
            name for name, metric in theirs.metrics.items() if mine.metrics[name].status != metric.status
        ],
    }


def _events(results: Results) -> dict[str, float]:
    """`repetition.event` → its time in seconds."""
    return {
        f"{repetition.index}.{name}": event.time_s
        for repetition in results.repetitions
        for name, event in repetition.events.items()
    }


def _findings(results: Results) -> dict[str, str]:
    """Id → severity."""
    return {finding.id: finding.severity for finding in results.findings.findings}


if __name__ == "__main__":
    main()
