"""Which moments of a clip a report shows: rows of a `PoseSequence`, spans of time, events."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from inference.poses import PoseSequence
from models.documents import Evidence, Results, TimeSpan
from pipeline.coaching.speaker import KEY_EVENTS

_AROUND_S = 1.0
"""Shown before and after an evidence frame when a long clip's overlay is cut."""
_AROUND_REPETITION_S = 0.5
EVENT_SHOWN_S = 0.1
"""An event's name stays on the picture at least this long on either side, or nobody could read it."""


def row_at(poses: PoseSequence, time_s: float) -> int:
    """The inferred frame nearest in time."""
    return int(np.argmin(np.abs(poses.timestamps_s - time_s)))


def evidence_rows(evidence: Evidence, poses: PoseSequence) -> tuple[int, ...]:
    """Different rows worth a picture, in the evidence's own order.

    They are the evidence's frames; where it names none, the middles of its spans.
    """
    if evidence.frames:
        rows = [int(np.argmin(np.abs(poses.frame_indices - frame))) for frame in evidence.frames]
    else:
        times = evidence.times_s or tuple((span.start_s + span.end_s) / 2 for span in evidence.spans)
        rows = [row_at(poses, time_s) for time_s in times]
    return tuple(dict.fromkeys(rows))


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """An event of a repetition, as pictures and plots mark it."""

    letter: str
    """Stands for it where there is no room for words: `a`, `b` … in the order of time; empty beyond `z`."""
    name: str
    """As in results.json; readers are told `Words.moment` of it."""
    time_s: float
    half_width_s: float


def moments(results: Results) -> tuple[Moment, ...]:
    """The events of all repetitions in the order of time."""
    events = sorted(
        (event.time_s, event.half_width_s, name)
        for repetition in results.repetitions
        for name, event in repetition.events.items()
    )
    letters = string.ascii_lowercase
    return tuple(
        Moment(letter=letters[place : place + 1], name=name, time_s=time_s, half_width_s=half_width_s)
        for place, (time_s, half_width_s, name) in enumerate(events)
    )


def moment_at(events: Sequence[Moment], time_s: float) -> str | None:
    """The name of the event nearest to this time; None when none is near."""
    near = [
        (abs(event.time_s - time_s), event.name)
        for event in events
        if abs(event.time_s - time_s) <= max(event.half_width_s, EVENT_SHOWN_S)
    ]
    return min(near)[1] if near else None


def overlay_spans(results: Results, poses: PoseSequence, max_s: float) -> tuple[TimeSpan, ...]:
    """The stretches of the clip that the overlay shows: all of it, or at most `max_s` seconds of it.

    A clip that is too long is cut to what the findings rest on, then the repetitions; where there is neither, to its
    first seconds with the athlete in them. The spans are in order and apart.
    """
    first, last = float(poses.timestamps_s[0]), float(poses.timestamps_s[-1])
    if last - first <= max_s:
        return (TimeSpan(start_s=first, end_s=last),)
    chosen: tuple[TimeSpan, ...] = ()
    for window in _telling_windows(results):
        clipped = TimeSpan(start_s=max(window.start_s, first), end_s=min(window.end_s, last))
        with_it = merged([*chosen, clipped])
        if clipped.end_s > clipped.start_s and _total(with_it) <= max_s:
            chosen = with_it
    if not chosen:
        start = float(poses.timestamps_s[np.argmax(poses.seen)])
        chosen = (TimeSpan(start_s=start, end_s=min(start + max_s, last)),)
    return chosen


def rows_in(spans: Iterable[TimeSpan], poses: PoseSequence) -> set[int]:
    """The inferred frames within the spans."""
    times = poses.timestamps_s
    return {int(row) for span in spans for row in np.flatnonzero((times >= span.start_s) & (times <= span.end_s))}


def proxy_spans(results: Results, poses: PoseSequence, max_s: float) -> tuple[TimeSpan, ...]:
    """What the page's video shows: chosen as for the overlay, each stretch from a picture to a picture.

    A video then begins with its first picture at 0, which is the one thing that every player agrees on.
    """
    rows = [sorted(rows_in([span], poses)) for span in overlay_spans(results, poses, max_s)]
    times = poses.timestamps_s
    return tuple(TimeSpan(start_s=float(times[own[0]]), end_s=float(times[own[-1]])) for own in rows if own)


def key_event(results: Results) -> str | None:
    """The event that the repetitions are compared at: seen in most of them; None with fewer than two that have it."""
    counts = {name: sum(name in one.events for one in results.repetitions) for name in KEY_EVENTS}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] >= 2 else None


def key_rows(results: Results, poses: PoseSequence, limit: int) -> dict[int, int]:
    """Index of a repetition → the row that shows its key event, of the first `limit` repetitions that have it."""
    name = key_event(results)
    if name is None:
        return {}
    having = [one for one in results.repetitions if name in one.events][:limit]
    return {one.index: row_at(poses, one.events[name].time_s) for one in having}


def _telling_windows(results: Results) -> Iterator[TimeSpan]:
    for finding in results.findings.findings:
        yield from _widened(finding.evidence)
    for repetition in results.repetitions:
        start, end = repetition.start_s - _AROUND_REPETITION_S, repetition.end_s + _AROUND_REPETITION_S
        yield TimeSpan(start_s=start, end_s=end)
    for watch in results.findings.watches:
        yield from _widened(watch.evidence)


def _widened(evidence: Evidence) -> Iterator[TimeSpan]:
    for time_s in evidence.times_s:
        yield TimeSpan(start_s=time_s - _AROUND_S, end_s=time_s + _AROUND_S)
    yield from evidence.spans


def merged(spans: Iterable[TimeSpan]) -> tuple[TimeSpan, ...]:
    """The same stretches in order, those that touch as one."""
    joined: list[TimeSpan] = []
    for span in sorted(spans, key=lambda span: span.start_s):
        if joined and span.start_s <= joined[-1].end_s:
            joined[-1] = TimeSpan(start_s=joined[-1].start_s, end_s=max(joined[-1].end_s, span.end_s))
        else:
            joined.append(span)
    return tuple(joined)


def _total(spans: Sequence[TimeSpan]) -> float:
    return sum(span.end_s - span.start_s for span in spans)
