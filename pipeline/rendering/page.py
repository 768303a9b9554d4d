"""report.html: one file that shows everything a report says, with nothing fetched from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from inference.poses import PoseSequence
from models.documents import Evidence, Finding, Metric, Results, Sentence, TimeSpan
from models.requests import Audience
from pipeline.coaching.assessment import is_close_call
from pipeline.coaching.quantities import measured, varied
from pipeline.coaching.sentences import Line, blocks
from pipeline.coaching.words import Words, load_words
from pipeline.rendering import words as said
from pipeline.rendering.moments import Moment, evidence_rows, moment_at, moments
from pipeline.rendering.player import player_data, policy, script
from pipeline.rendering.plots import Plot
from pipeline.rendering.proxy import Proxy
from pipeline.rendering.stills import STILLS_PER_FINDING, STILLS_PER_WATCH, Still, metric_rows
from pipeline.rendering.timeline import TIMES_NAMED, comparison_of, look_at, timeline_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """Everything on the page that is not words."""

    subject: Still | None
    """Who was judged; None where there was no clip."""
    evidence: Mapping[int, Still]
    """By row of the `PoseSequence`; a row without a still is left out on the page."""
    plots: Sequence[Plot]
    overlay: tuple[TimeSpan, ...]
    """What overlay.mp4 shows; nothing where there was no clip."""
    proxy: Proxy | None = None
    """The video on the page; None for a page that plays nothing, as on paper."""


def build_page(results: Results, poses: PoseSequence, pictures: Pictures, audience: Audience = "player") -> str:
    """The HTML of the whole report; equal input gives equal text.

    It goes through the report's own sections, in their order and under their titles, and shows each with pictures,
    numbers and plots instead of the bare text, so page and text cannot disagree.
    """
    hand_given = results.options is not None and results.options.handedness is not None
    words = load_words(audience).about(results.mode, results.view.value, hand_given=hand_given)
    events = moments(results)

    def label(name: str, metric: Metric) -> str:
        return label_of(name, metric, words)

    def stills(evidence: Evidence, limit: int) -> tuple[list[Still], int]:
        """At most `limit` stills, and of how many moments they are."""
        rows = evidence_rows(evidence, poses)
        return [pictures.evidence[row] for row in rows[:limit] if row in pictures.evidence], len(rows)

    return (
        environment()
        .get_template("report.html.j2")
        .render(
            results=results,
            pictures=pictures,
            events=events,
            words=words,
            said=said,
            faults=[finding for finding in results.findings.findings if is_fault(finding)],
            strengths=[finding for finding in results.findings.findings if finding.type == "strength"],
            whole=is_whole(pictures.overlay, poses),
            overlay_s=sum(span.end_s - span.start_s for span in pictures.overlay),
            stills=stills,
            metric_stills=[
                (pictures.evidence[row], [label(name, results.metrics[name]) for name in names])
                for row, names in metric_rows(results, poses).items()
                if row in pictures.evidence
            ],
            event_at=lambda time_s: moment_at(events, time_s),
            label=label,
            laid_out=laid_out,
            quantity=lambda name, metric: measured(name, metric, words),
            over=lambda name: over(name, results, words),
            close_call=is_close_call(results.subject),
            per_finding=STILLS_PER_FINDING,
            per_watch=STILLS_PER_WATCH,
            **_moving(results, poses, pictures, events),
        )
    )


def _moving(results: Results, poses: PoseSequence, pictures: Pictures, events: tuple[Moment, ...]) -> dict[str, object]:
    """What the templates need of the video, the timeline and the repetitions."""
    proxy = pictures.proxy
    shows = proxy.shows if proxy else lambda _time_s: False
    return {
        "timeline": timeline_of(results, poses, proxy.pieces if proxy else ()),
        "comparison": comparison_of(results, poses, dict(pictures.evidence)),
        "look_at": look_at,
        "times_named": TIMES_NAMED,
        "shows": shows,
        "shown_of": lambda evidence: next(filter(shows, look_at(evidence)), None),
        "policy": policy(plays=proxy is not None),
        # both are ours, and hold nothing that a clip or a coach said
        "script": Markup(script()),  # noqa: S704
        "player_data": Markup(player_data(proxy, poses.skeleton, events)) if proxy else "",  # noqa: S704
    }


def is_whole(spans: Sequence[TimeSpan], poses: PoseSequence) -> bool:
    """Whether the overlay shows every analysed frame."""
    first, last = poses.timestamps_s[[0, -1]].tolist()
    return len(spans) == 1 and spans[0].start_s <= first and spans[0].end_s >= last


def is_fault(finding: Finding) -> bool:
    """Something to work on: neither a strength nor about the recording."""
    return finding.type not in ("strength", "recording")


def laid_out(sentences: Sequence[Sentence]) -> list[tuple[str, list[Line]]]:
    """The lines of a section by their kind; items that follow one another are one list."""
    by_kind = groupby(blocks(sentences), key=lambda block: block.kind)
    return [(kind, [block.sentences for block in lines]) for kind, lines in by_kind]


def label_of(name: str, metric: Metric, words: Words) -> str:
    """What the audience calls the metric, as the first word of a line."""
    return said.capital(words.label.get(name) or metric.label or name.replace("_", " "))


def over(name: str, results: Results, words: Words) -> str:
    """What is behind a number: `6 deliveries, varied by 4.1 % of height`; empty where it is no count of several."""
    metric = results.metrics[name]
    repeated = any(name in repetition.metrics for repetition in results.repetitions)
    if metric.n == 0 or (metric.n == 1 and not repeated):
        return ""
    counted = words.counted(results.mode, metric.n) if repeated else words.measured.samples.format(n=metric.n)
    return ", ".join(part for part in (counted, varied(metric, words)) if part)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{_base64(content)}"


@cache
def environment() -> Environment:
    """What every page is made in: templates beside this file, everything escaped, nothing undefined."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "capital": said.capital,
        "clock": said.clock,
        "base64": _base64,
        "data_uri": _data_uri,
        "inline": said.inline_markdown,
        "markdown": said.markdown,
    }
    return made
