"""From a finished analysis to the files a coach opens: report.html, report.pdf, report.md, overlay.mp4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from inference.poses import PoseSequence
from inference.sampling import AFTER_WINDOW, NOT_SAMPLED
from inference.video import Frame, VideoLimits, open_video
from models.documents import Results
from models.requests import Audience
from pipeline.coaching.words import Words, load_words
from pipeline.measurements import Signal
from pipeline.rendering.moments import moment_at, moments, overlay_spans, proxy_spans, rows_in
from pipeline.rendering.overlay import OverlayWriter
from pipeline.rendering.page import Pictures, build_page
from pipeline.rendering.plots import is_measured, plot_signal
from pipeline.rendering.printing import printed
from pipeline.rendering.proxy import ProxyWriter
from pipeline.rendering.stills import Still, athlete_still, overview_still, subject_row, wanted_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderLimits:
    """How much a report may hold and how much of the machine its making may take."""

    max_overlay_s: float = 120.0
    """Seconds of the clip in overlay.mp4; a longer clip is cut to what the report rests on."""
    max_stills: int = 40
    max_proxy_s: float = 60.0
    """Seconds of the clip in the video inside report.html."""
    max_proxy_bytes: int = 12 * 1024**2
    """Of that video: with its stills, and as text, a page stays under 20 MB."""
    threads: int = 2
    """Of the decoder and the overlay's encoder, each."""
    video: VideoLimits = field(default_factory=VideoLimits)

    def __post_init__(self) -> None:
        """Check the ranges; raises ValueError."""
        if (
            min(self.max_overlay_s, self.max_proxy_s, self.max_proxy_bytes) <= 0
            or self.max_stills < 0
            or self.threads < 1
        ):
            raise ValueError(f"limits must be positive: {self}")


def render(
    *,
    clip: Path | None,
    poses: PoseSequence,
    results: Results,
    signals: Sequence[Signal],
    out: Path,
    audience: Audience = "player",
    limits: RenderLimits | None = None,
) -> tuple[Path, ...]:
    """Write report.html, report.pdf, report.md and overlay.mp4 into the folder `out`, which must exist.

    Returns their paths. `clip` is read once and never held whole. Raises `InferenceError` where it cannot be decoded,
    and ValueError where it is not the clip that `poses` was made from. Without a clip there is no overlay.mp4, and no
    video and no still on the page.
    """
    limits = limits or RenderLimits()
    page, pdf, text, overlay = (out / name for name in ("report.html", "report.pdf", "report.md", "overlay.mp4"))
    pictures = Pictures(
        subject=None,
        evidence={},
        plots=[plot_signal(signal, results) for signal in signals if is_measured(signal)],
        overlay=(),
    )
    if clip is not None:
        analysed = AnalysedClip(path=clip, poses=poses, limits=limits)
        pictures = _with_clip(pictures, analysed, results, overlay, load_words(audience))
    page.write_text(build_page(results, poses, pictures, audience), encoding="utf-8")
    pdf.write_bytes(printed(build_page(results, poses, replace(pictures, proxy=None), audience)))
    text.write_text(results.report.text, encoding="utf-8")
    return (page, pdf, text, overlay) if clip is not None else (page, pdf, text)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnalysedClip:
    """A clip with the poses that were made from it."""

    path: Path
    poses: PoseSequence
    limits: RenderLimits

    def frames(self, rows: set[int]) -> Iterator[tuple[int, Frame]]:
        """The frames of these rows, in order; only they are converted, and nothing after the last is decoded."""
        row_of = {int(self.poses.frame_indices[row]): row for row in rows}
        last = max(row_of)

        def wanted(index: int, _timestamp_s: float) -> str | None:
            if index in row_of:
                return None
            return AFTER_WINDOW if index > last else NOT_SAMPLED

        with open_video(self.path, self.limits.video, threads=self.limits.threads) as video:
            for frame in video.frames(wanted):
                if frame.image.shape[1::-1] != self.poses.frame_size:
                    raise ValueError(f"the clip's pictures are {frame.image.shape[1::-1]}, not {self.poses.frame_size}")
                yield row_of.pop(frame.index), frame
        if row_of:
            raise ValueError(f"the clip lacks {len(row_of)} of the frames that the poses were made from")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shown:
    """The two videos, and the rows that each shows."""

    overlay: OverlayWriter
    overlay_rows: set[int]
    proxy: ProxyWriter
    proxy_rows: set[int]


def _with_clip(pictures: Pictures, clip: AnalysedClip, results: Results, overlay: Path, words: Words) -> Pictures:
    """Write the overlay with the moments named in `words`, and add to the pictures what only the clip can show."""
    poses, limits = clip.poses, clip.limits
    spans = overlay_spans(results, poses, limits.max_overlay_s)
    short = proxy_spans(results, poses, limits.max_proxy_s)
    with (
        OverlayWriter(overlay, poses, spans, threads=limits.threads) as writer,
        ProxyWriter(poses, short, max_bytes=limits.max_proxy_bytes) as small,
    ):
        shown = _Shown(
            overlay=writer, overlay_rows=rows_in(spans, poses), proxy=small, proxy_rows=rows_in(short, poses)
        )
        subject, evidence = _draw(clip, results, shown, words)
    return replace(pictures, subject=subject, evidence=evidence, overlay=spans, proxy=small.finished())


def _draw(clip: AnalysedClip, results: Results, shown: _Shown, words: Words) -> tuple[Still, dict[int, Still]]:
    """Write both videos and cut out the stills, in one pass: the still of the subject, those of the evidence by row."""
    poses, events = clip.poses, moments(results)
    overview = subject_row(results, poses)
    wanted = set(wanted_rows(results, poses, clip.limits.max_stills))
    overviews: dict[int, Still] = {}
    evidence: dict[int, Still] = {}
    # The small video is encoded beside the other: one thread is all that its encoder may have.
    with ThreadPoolExecutor(1) as beside:
        small: Future[None] | None = None
        for row, frame in clip.frames(shown.overlay_rows | shown.proxy_rows | wanted | {overview}):
            if small is not None:
                small.result()
            small = beside.submit(shown.proxy.write, frame.image, row) if row in shown.proxy_rows else None
            if row == overview:
                overviews[row] = overview_still(frame.image, poses, row, results.subject)
            if row in wanted:
                evidence[row] = athlete_still(frame.image, poses, row)
            if row in shown.overlay_rows:
                event = moment_at(events, float(poses.timestamps_s[row]))
                shown.overlay.write(frame.image, row, None if event is None else words.moment(event))
        if small is not None:
            small.result()
    return overviews[overview], evidence
