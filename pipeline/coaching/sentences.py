"""Sentences that know what they stand on, and the Markdown that lays them out: pure functions on tuples of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from models.documents import Evidence, Sentence, SentenceKind, TimeSpan

Line = tuple[Sentence, ...]
"""Sentences that follow one another in a paragraph, an item of a list or a heading."""

_BOUNDARY = re.compile(r"(?<=[.!?]) (?=[A-Z0-9“±])")
"""A space after the end of a sentence and before the beginning of the next."""


class Block(NamedTuple):
    """A line with the kind of line that it is, for whoever draws it."""

    kind: Literal["heading", "item", "paragraph"]
    sentences: Line


def speak(
    kind: SentenceKind,
    text: str,
    metrics: Iterable[str] = (),
    *,
    finding: str | None = None,
    evidence: Evidence | None = None,
) -> Line:
    """The sentences of `text`, all with the same ground to stand on; none for an empty text.

    White space is made single spaces. Raises `ValueError` for a `fact` without a metric.
    """
    named = tuple(dict.fromkeys(metrics))
    return follow(
        (Sentence(text=one, kind=kind, metrics=named, finding=finding, evidence=evidence or Evidence()),)
        for one in _BOUNDARY.split(" ".join(text.split()))
        if one
    )


def follow(lines: Iterable[Line], between: str = " ") -> Line:
    """One line after the other, with `between` before each but the first; empty ones are left out."""
    said: list[Sentence] = []
    for line in lines:
        said.extend(lead(line, between) if said else line)
    return tuple(said)


def lead(line: Line, before: str) -> Line:
    """The line with `before` in front of it."""
    return tuple(
        one.model_copy(update={"before": before + one.before}) if place == 0 else one for place, one in enumerate(line)
    )


def items(lines: Iterable[Line]) -> Line:
    """A list, each line an item."""
    return follow((lead(line, "- ") for line in lines), "\n")


def text_of(sentences: Sequence[Sentence]) -> str:
    """The Markdown."""
    return "".join(one.before + one.text for one in sentences)


def blocks(sentences: Sequence[Sentence]) -> tuple[Block, ...]:
    """The sentences by line, in order: a heading, an item of a list, a paragraph."""
    lines: list[list[Sentence]] = []
    for one in sentences:
        if not lines or one.before != " ":
            lines.append([])
        lines[-1].append(one)
    return tuple(Block(_kind(line[0].before), tuple(line)) for line in lines)


def _kind(before: str) -> Literal["heading", "item", "paragraph"]:
    mark = before.lstrip("\n")
    if mark.startswith("#"):
        return "heading"
    return "item" if mark.startswith("-") else "paragraph"


def joined(evidence: Iterable[Evidence]) -> Evidence:
    """All of it, each frame and each span once, in the order given."""
    spans: dict[TimeSpan, None] = {}
    frames: dict[int, float] = {}
    for one in evidence:
        spans.update(dict.fromkeys(one.spans))
        frames.update(zip(one.frames, one.times_s, strict=False))
    return Evidence(spans=tuple(spans), frames=tuple(frames), times_s=tuple(frames.values()))
