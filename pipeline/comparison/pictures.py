"""Stills of what two models say differently: the same frame twice, each with its own skeleton."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from inference.poses import PoseSequence
from models.documents import Evidence, Finding, Results, Watch
from pipeline.coaching.changes import DiffDocument
from pipeline.rendering.moments import evidence_rows
from pipeline.rendering.render import AnalysedClip
from pipeline.rendering.stills import Still, athlete_still

MAX_FRAMES = 12
"""Of a clip: a page of many clips stays one that a browser opens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One frame, as each model saw it."""

    a: Still
    b: Still


def wanted_rows(diff: DiffDocument, one: Results, other: Results, poses: PoseSequence) -> dict[str, int]:
    """Id of a finding that flips → the row of `poses` that shows it best, at most `MAX_FRAMES`."""
    rows: dict[str, int] = {}
    for item in (*diff.gone, *(change.before for change in diff.changed)):
        rows |= dict(_best(item.id, one, poses))
    for item in diff.added:
        rows |= dict(_best(item.id, other, poses))
    return dict(list(rows.items())[:MAX_FRAMES])


def draw_pairs(clip: AnalysedClip, other: PoseSequence, rows: Mapping[str, int]) -> dict[str, Pair]:
    """The frames of `rows`, by finding: with the clip's own poses, and with `other`'s of the same frames."""
    if not rows:
        return {}
    drawn = {
        row: Pair(a=athlete_still(frame.image, clip.poses, row), b=athlete_still(frame.image, other, row))
        for row, frame in clip.frames(set(rows.values()))
    }
    return {name: drawn[row] for name, row in rows.items()}


def _best(name: str, results: Results, poses: PoseSequence) -> Iterator[tuple[str, int]]:
    evidence = _evidence(results).get(name)
    for row in evidence_rows(evidence, poses)[:1] if evidence else ():
        yield name, row


def _evidence(results: Results) -> dict[str, Evidence]:
    """Of findings and watches by id; the first of several."""
    items: list[Finding | Watch] = [*results.findings.findings, *results.findings.watches]
    return {item.id: item.evidence for item in reversed(items)}
