"""The whole comparison of two models: rounds, what differs, stills, the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from inference.extract import ExtractorOptions
from inference.sources import ClipSource
from pipeline.coaching.changes import DiffDocument
from pipeline.comparison.agreement import shared_frames
from pipeline.comparison.differences import Outcome, compared
from pipeline.comparison.documents import ComparedClip, ComparisonDocument
from pipeline.comparison.page import build_page
from pipeline.comparison.pictures import Pair, draw_pairs, wanted_rows
from pipeline.comparison.rounds import Case, run_rounds
from pipeline.rendering.render import AnalysedClip
from pipeline.stages import Limits


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What was found, and the page that shows it."""

    document: ComparisonDocument
    page: str


def compare(
    cases: Sequence[Case], a: tuple[str, ExtractorOptions], b: tuple[str, ExtractorOptions], limits: Limits
) -> Comparison:
    """Two models (name, options) on the same clips. Raises InferenceError where a model cannot be loaded."""
    rounds = run_rounds(cases, a, b, limits)
    of_a, of_b = rounds[0].outcomes, rounds[1].outcomes
    clips: list[ComparedClip] = []
    pairs: dict[str, dict[str, Pair]] = {}
    for case, one, other in zip(cases, of_a, of_b, strict=True):
        clip = compared(case.name, case.request.analysis_mode, one, other)
        if isinstance(one, Outcome) and isinstance(other, Outcome) and clip.diff and clip.agreement:
            pairs[case.name] = stills(case.source, clip.diff, one, other, limits)
        clips.append(clip)
    document = ComparisonDocument(
        a=a[0],
        b=b[0],
        code_version=version("frontfoot"),
        clips=tuple(clips),
        rounds=tuple(each.cost for each in rounds),
    )
    return Comparison(document=document, page=build_page(document, pairs))


def stills(source: ClipSource, diff: DiffDocument, one: Outcome, other: Outcome, limits: Limits) -> dict[str, Pair]:
    """The same frames as both models saw them, by id of the finding that flips.

    Raises ValueError where the two share no frame or no skeleton.
    """
    a, b = shared_frames(one.extraction.poses, other.extraction.poses)
    rows = wanted_rows(diff, one.results, other.results, a)
    if not rows:
        return {}
    with source.open() as path:
        return draw_pairs(AnalysedClip(path=path, poses=a, limits=limits.render), b, rows)
