"""What a comparison of two models says: `a` is the model that is there, `b` the one that might replace it."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from models.documents import Document
from models.promotion import Totals
from models.requests import Mode
from pipeline.coaching.changes import DiffDocument


class Sides(Document):
    """Frames in which one model saw the athlete, and what it did about left and right."""

    seen: int
    mirrored: int
    swapped_limbs: int
    merged: int


class JointDocument(Document):
    """One keypoint, where both are confident of it."""

    frames: int
    oks: float
    distance_pct: float | None
    """Median distance in % of stature; None where the stature is not known."""


class AgreementDocument(Document):
    """Two sequences of poses of the same frames of one clip."""

    frames: int
    both: int
    """Frames in which both saw the athlete."""
    other_person: int
    """Of these, frames in which their boxes overlap by less than half (IoU)."""
    oks: float | None
    """Mean of the frames; None where no frame has a keypoint of which both are confident."""
    oks_p5: float | None
    mirrored_against: int
    """Frames in which the poses agree better with left and right of one exchanged."""
    joints: dict[str, JointDocument]
    a: Sides
    b: Sides
    people_a: int
    people_b: int
    jitter_a_pct: float | None
    """White noise of the joints in % of stature, in the slower half of the frames that both see."""
    jitter_b_pct: float | None


class NumbersDocument(Document):
    """Metrics as numbers, of those that both could measure."""

    compared: int
    moved: int
    """By more than the larger expected error."""
    only_a: int
    only_b: int
    median_errors: float | None
    """Median difference in expected errors, where there is one."""


class ComparedClip(Document):
    """One clip, by both models."""

    name: str
    mode: Mode
    failed_a: str | None
    """Code of the error with which the analysis ended; None: it has results."""
    failed_b: str | None
    agreement: AgreementDocument | None
    """None, as the next two, unless both have results; and where they share no frame or no skeleton."""
    numbers: NumbersDocument | None
    diff: DiffDocument | None

    @property
    def flips(self) -> int:
        """Findings and watches that appear, vanish or change in kind, severity or claim."""
        return 0 if self.diff is None else len(self.diff.added) + len(self.diff.gone) + len(self.diff.changed)


class RoundDocument(Document):
    """All clips once through one model, in a process of its own."""

    model: str
    seconds: float
    """From clips to findings, without loading the model and without drawing."""
    frames: int
    peak_mib: float
    """Largest resident memory of the process."""


class ComparisonDocument(Document):
    """Everything that was compared, in the order in which it was."""

    a: str
    b: str
    code_version: str
    clips: tuple[ComparedClip, ...]
    rounds: tuple[RoundDocument, ...]
    """Empty where the two did not run side by side: then nothing is said of speed and memory."""

    def speed(self, model: str) -> float | None:
        """Median frames a second; None without rounds."""
        rates = [each.frames / each.seconds for each in self.rounds if each.model == model]
        return median(rates) if rates else None

    def memory(self, model: str) -> float | None:
        """Median peak in MiB; None without rounds."""
        peaks = [each.peak_mib for each in self.rounds if each.model == model]
        return median(peaks) if peaks else None


def totals(comparison: ComparisonDocument) -> Totals:
    """The comparison in a few numbers."""
    pairs = [clip.agreement for clip in comparison.clips if clip.agreement is not None]
    numbers = [clip.numbers for clip in comparison.clips if clip.numbers is not None]
    weighed = [(pair.oks, pair.both) for pair in pairs if pair.oks is not None]
    seen_a, seen_b = sum(pair.a.seen for pair in pairs), sum(pair.b.seen for pair in pairs)
    ratios = [pair.jitter_b_pct / pair.jitter_a_pct for pair in pairs if pair.jitter_a_pct and pair.jitter_b_pct]
    moved = sum(each.moved + each.only_a + each.only_b for each in numbers)
    measured = sum(each.compared + each.only_a + each.only_b for each in numbers)
    wrong_a, wrong_b = _wrong(pair.a for pair in pairs), _wrong(pair.b for pair in pairs)
    a, b = comparison.a, comparison.b
    return Totals(
        clips=len(numbers),
        failures=sum(clip.failed_a is None and clip.failed_b is not None for clip in comparison.clips),
        oks=sum(oks * both for oks, both in weighed) / sum(both for _, both in weighed) if weighed else None,
        found_ratio=seen_b / seen_a if seen_a else None,
        mirrored_more=wrong_b / seen_b - wrong_a / seen_a if seen_a and seen_b else None,
        jitter_ratio=median(ratios) if ratios else None,
        moved_share=moved / measured if measured else None,
        flips=sum(clip.flips for clip in comparison.clips),
        speed_ratio=_ratio(comparison.speed(b), comparison.speed(a)),
        memory_ratio=_ratio(comparison.memory(b), comparison.memory(a)),
    )


def _wrong(sides: Iterable[Sides]) -> int:
    return sum(each.mirrored + each.swapped_limbs + each.merged for each in sides)


def _ratio(b: float | None, a: float | None) -> float | None:
    return b / a if a and b else None
