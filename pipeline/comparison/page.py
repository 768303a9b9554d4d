"""A comparison as one HTML file, with nothing fetched from anywhere; in the look of the report."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.coaching.changes import SaidDocument
from pipeline.comparison.documents import ComparisonDocument, totals
from pipeline.comparison.pictures import Pair
from pipeline.rendering.page import environment
from pipeline.rendering.player import policy

MEANINGS = {
    "clips": "clips with results by both",
    "failures": "clips with results by the first and none by the second",
    "oks": "how well keypoints agree (OKS): 1 is the same place",
    "found_ratio": "frames with the athlete, second over first",
    "mirrored_more": "share of frames mirrored, swapped or merged, second less first",
    "jitter_ratio": "trembling of keypoints, second over first",
    "moved_share": "share of metrics that moved by more than their error, or that one alone measured",
    "flips": "findings that appear, vanish or change",
    "speed_ratio": "frames a second, second over first",
    "memory_ratio": "largest memory, second over first",
}
"""What each of `Totals` says; a policy limits them by the same names."""


def build_page(comparison: ComparisonDocument, pairs: Mapping[str, Mapping[str, Pair]]) -> str:
    """The HTML of a comparison; `pairs` are stills by name of the clip and id of the finding."""
    template = environment().get_template("comparison.html.j2")
    return template.render(
        comparison=comparison,
        totals=totals(comparison),
        meanings=MEANINGS,
        pairs=pairs,
        policy=policy(plays=False),
        said=said,
        number=number,
    )


def said(item: SaidDocument) -> str:
    """How strongly a finding is said, such as `medium, likely`."""
    return ", ".join(word for word in (item.kind, item.severity, item.claim) if word)


def number(value: float | str | None, digits: int = 3) -> str:
    """A number for a table; a dash for what was not measured."""
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:.0f}"
