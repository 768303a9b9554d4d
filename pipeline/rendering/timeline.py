"""The clip as one strip: what the report rests on, and what the page's video leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inference.poses import PoseSequence
from models.documents import Evidence, Metric, Repetition, Results, TimeSpan
from pipeline.rendering.encode import Piece
from pipeline.rendering.moments import key_event, key_rows, merged
from pipeline.rendering.stills import STILLS_OF_REPETITIONS, Still

_MOMENT_S = 0.02
"""A number read at one moment is drawn this wide on either side."""
TIMES_NAMED = 6
"""Before the rest is counted; as many as a finding has stills at the most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """What the strip shows; all in seconds of the clip."""

    start_s: float
    end_s: float
    evidence: tuple[TimeSpan, ...]
    """Of findings and close calls; where there is neither, of everything measured. In order and apart."""
    unshown: tuple[TimeSpan, ...]
    """What the page's video leaves out; nothing where there is no video."""

    def percent(self, time_s: float) -> float:
        """How far along the strip a moment lies, 0 to 100."""
        share = (time_s - self.start_s) / ((self.end_s - self.start_s) or 1.0)
        return 100 * min(1.0, max(0.0, share))


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The repetitions side by side."""

    names: tuple[str, ...]
    """Ids of the metrics that at least two repetitions have."""
    event: str | None
    """The name of the event that the stills show; None where there are none."""
    stills: tuple[tuple[Repetition, Still], ...]

    def __bool__(self) -> bool:
        return bool(self.names or self.stills)


def timeline_of(results: Results, poses: PoseSequence, pieces: Sequence[Piece]) -> Timeline:
    """The strip of this clip; `pieces` are those of the page's video."""
    start_s, end_s = poses.timestamps_s[[0, -1]].tolist()
    judged = [finding.evidence for finding in results.findings.findings]
    judged += [watch.evidence for watch in results.findings.watches]
    known = [metric.evidence for metric in results.metrics.values() if metric.value is not None]
    edges = [start_s, *(edge for piece in pieces for edge in (piece.start_s, piece.end_s)), end_s]
    between = [TimeSpan(start_s=edges[i], end_s=edges[i + 1]) for i in range(0, len(edges), 2)]
    step = (end_s - start_s) / max(1, len(poses.timestamps_s) - 1)  # from one picture to the next nothing is left out
    return Timeline(
        start_s=start_s,
        end_s=end_s,
        evidence=merged(_stretches(judged if any(_times(one) for one in judged) else known)),
        unshown=tuple(span for span in between if pieces and span.end_s - span.start_s > 2 * step),
    )


def look_at(evidence: Evidence) -> tuple[float, ...]:
    """The moments at which a reader should look, each once, in the evidence's own order."""
    return tuple(dict.fromkeys(_times(evidence)))


def comparison_of(results: Results, poses: PoseSequence, stills: dict[int, Still]) -> Comparison:
    """What repetitions of one clip are compared by; `stills` by row of `poses`. Empty with fewer than two."""
    if len(results.repetitions) < 2:
        return Comparison(names=(), event=None, stills=())
    rows = key_rows(results, poses, STILLS_OF_REPETITIONS)
    pictures = tuple((one, stills[rows[one.index]]) for one in results.repetitions if rows.get(one.index) in stills)
    return Comparison(
        names=tuple(name for name in results.metrics if sum(_has(one, name) for one in results.repetitions) >= 2),
        event=key_event(results) if pictures else None,
        stills=pictures,
    )


def _has(repetition: Repetition, name: str) -> bool:
    metric: Metric | None = repetition.metrics.get(name)
    return metric is not None and metric.value is not None


def _times(evidence: Evidence) -> tuple[float, ...]:
    return evidence.times_s or tuple((span.start_s + span.end_s) / 2 for span in evidence.spans)


def _stretches(shown: Iterable[Evidence]) -> list[TimeSpan]:
    return [
        span
        for one in shown
        for span in (
            *one.spans,
            *(TimeSpan(start_s=time_s - _MOMENT_S, end_s=time_s + _MOMENT_S) for time_s in one.times_s),
        )
    ]
