"""What `models compare` says of the built-in weights beside themselves with noise of growing size, on the sample clip.

    PYTHONPATH=.:tests/support python benchmarks/noisy_weights.py [CLIP] [--size 0.02 …]

It must say more of more noise: keypoints agree less, metrics move, findings flip. Both people of the clip in every
mode: one extraction each, measured and judged once a mode. The catalogue's keypoint contract is not asked here (it
refuses the larger sizes): what is shown is that the comparison would notice by itself.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from altered_models import sha256, with_noise
from machine import SAMPLE, as_json, provenance
from real_video import everybody

from frontfoot import wiring
from frontfoot.settings import Settings
from inference.errors import InferenceError
from inference.extract import Extraction, ExtractorOptions, ExtractRequest, PoseExtractor, load_extractor
from inference.tracking import SubjectHint
from models.requests import AnalysisRequest, Mode
from pipeline import stages
from pipeline.comparison.differences import Failed, Outcome, compared
from pipeline.comparison.documents import ComparedClip

SIZES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Of the spread of the keypoint head's last layers."""
Figures = dict[str, Any]


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--size", type=float, action="append")
    asked = parser.parse_args()
    options = wiring.extractor_options(Settings())
    with loaded(options) as extractor:
        hints = everybody(extractor, asked.clip)
        before = outcomes(extractor, asked.clip, hints)
    rows = []
    with tempfile.TemporaryDirectory(prefix="frontfoot-noise-") as folder:
        for size in asked.size or SIZES:
            weights = with_noise(Path(folder) / "noisy.pt", size)
            own = ExtractorOptions(
                model=str(weights), sha256=sha256(weights), cache_dir=Path(folder), threads=options.threads
            )
            with loaded(own) as extractor:
                rows.append({"size": size, **told(before, outcomes(extractor, asked.clip, hints))})
    print(as_json({"clip": asked.clip.name, "people": len(hints), "rows": rows, **provenance()}))


@contextmanager
def loaded(options: ExtractorOptions) -> Iterator[PoseExtractor]:
    """A model while the block runs."""
    extractor = load_extractor(options)
    try:
        yield extractor
    finally:
        extractor.close()


def outcomes(
    extractor: PoseExtractor, clip: Path, hints: Sequence[SubjectHint]
) -> dict[tuple[int, Mode], Outcome | Failed]:
    """Each person in each mode."""
    limits, found = wiring.limits(Settings()).video, dict[tuple[int, Mode], Outcome | Failed]()
    for person, hint in enumerate(hints):
        try:
            seen: Extraction | Failed = extractor.extract(clip, ExtractRequest(subject=(hint,), limits=limits))
        except InferenceError as error:
            seen = Failed(code=error.code)
        for mode in get_args(Mode):
            found[person, mode] = seen if isinstance(seen, Failed) else judged(seen, mode)
    return found


def judged(extraction: Extraction, mode: Mode) -> Outcome:
    """What a report of these poses says."""
    measurements = stages.measure_poses(extraction, AnalysisRequest(analysis_mode=mode), "deep")
    findings = stages.judge(measurements)
    report = stages.word(extraction, measurements, findings)
    return Outcome(extraction=extraction, results=stages.compose(extraction, measurements, findings, report, False))


def told(before: dict[tuple[int, Mode], Outcome | Failed], after: dict[tuple[int, Mode], Outcome | Failed]) -> Figures:
    """The numbers of a comparison that this is about; those of poses are of each person once."""
    clips = [compared(str(person), mode, one, after[person, mode]) for (person, mode), one in before.items()]
    people = {clip.name: clip for clip in clips}.values()
    agreements = [clip.agreement for clip in people if clip.agreement is not None]
    numbers = [clip.numbers for clip in clips if clip.numbers is not None]
    return {
        "failures": sum(clip.failed_b is not None for clip in people),
        "oks": [one.oks for one in agreements],
        "jitter_pct": [(one.jitter_a_pct, one.jitter_b_pct) for one in agreements],
        "seen": [(one.a.seen, one.b.seen) for one in agreements],
        "metrics": sum(one.compared + one.only_a + one.only_b for one in numbers),
        "moved": sum(one.moved for one in numbers),
        "one_alone": sum(one.only_a + one.only_b for one in numbers),
        "median_errors": [one.median_errors for one in numbers],
        "flips": sum(clip.flips for clip in clips),
        "what_flips": sorted(set(flipped(clips))),
    }


def flipped(clips: Sequence[ComparedClip]) -> Iterator[str]:
    """`mode: + finding` and so on."""
    for clip in clips:
        if clip.diff is not None:
            yield from (f"{clip.mode}: + {one.id}" for one in clip.diff.added)
            yield from (f"{clip.mode}: - {one.id}" for one in clip.diff.gone)
            yield from (f"{clip.mode}: ~ {one.id}" for one in clip.diff.changed)


if __name__ == "__main__":
    main()
