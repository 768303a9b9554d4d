"""From a finished analysis to the files a coach opens: report.html, report.md, overlay.mp4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from inference.poses import PoseSequence
from inference.sampling import AFTER_WINDOW, NOT_SAMPLED
from inference.video import Frame, VideoLimits, open_video
from models.documents import Results, TimeSpan
from models.requests import Audience
from pipeline.measurements import Signal
from pipeline.rendering.moments import moment_at, moments, overlay_spans
from pipeline.rendering.overlay import OverlayWriter
from pipeline.rendering.page import Pictures, Plot, build_page
from pipeline.rendering.plots import is_measured, plot_signal
from pipeline.rendering.stills import Still, athlete_still, overview_still, subject_row, wanted_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderLimits:
    """How much a report may hold and how much of the machine its making may take."""

    max_overlay_s: float = 120.0
    """Seconds of the clip in overlay.mp4; a longer clip is cut to what the report rests on."""
    max_stills: int = 40
    threads: int = 2
    """Of the decoder and the encoder, each."""
    video: VideoLimits = field(default_factory=VideoLimits)

    def __post_init__(self) -> None:
        """Check the ranges; raises ValueError."""
        if self.max_overlay_s <= 0 or self.max_stills < 0 or self.threads < 1:
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
    """Write report.html, report.md and overlay.mp4 into the folder `out`, which must exist, and return their paths.

    `clip` is read once and never held whole. Raises `InferenceError` where it cannot be decoded, and ValueError where
    it is not the clip that `poses` was made from. Without a clip there is no overlay.mp4, and no still on the page.
    """
    limits = limits or RenderLimits()
    page, text, overlay = out / "report.html", out / "report.md", out / "overlay.mp4"
    spans: tuple[TimeSpan, ...] = ()
    subject, evidence = None, dict[int, Still]()
    if clip is not None:
        spans = overlay_spans(results, poses, limits.max_overlay_s)
        with OverlayWriter(overlay, poses, spans, threads=limits.threads) as writer:
            subject, evidence = _draw(_Clip(path=clip, poses=poses, limits=limits), results, spans, writer)
    plots = [Plot(signal=signal, svg=plot_signal(signal, results)) for signal in signals if is_measured(signal)]
    pictures = Pictures(subject=subject, evidence=evidence, plots=plots, overlay=spans)
    page.write_text(build_page(results, poses, pictures, audience), encoding="utf-8")
    text.write_text(results.report.text, encoding="utf-8")
    return (page, text, overlay) if clip is not None else (page, text)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Clip:
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


def _draw(
    clip: _Clip, results: Results, spans: tuple[TimeSpan, ...], overlay: OverlayWriter
) -> tuple[Still, dict[int, Still]]:
    """Write the overlay and cut out the stills, in one pass: the still of the subject, those of the evidence by row."""
    poses, events = clip.poses, moments(results)
    overview = subject_row(results, poses)
    wanted = set(wanted_rows(results, poses, clip.limits.max_stills))
    shown = _rows_in(spans, poses)
    overviews: dict[int, Still] = {}
    evidence: dict[int, Still] = {}
    for row, frame in clip.frames(shown | wanted | {overview}):
        if row == overview:
            overviews[row] = overview_still(frame.image, poses, row, results.subject)
        if row in wanted:
            evidence[row] = athlete_still(frame.image, poses, row)
        if row in shown:
            overlay.write(frame.image, row, moment_at(events, float(poses.timestamps_s[row])))
    return overviews[overview], evidence


def _rows_in(spans: tuple[TimeSpan, ...], poses: PoseSequence) -> set[int]:
    times = poses.timestamps_s
    return {int(row) for span in spans for row in np.flatnonzero((times >= span.start_s) & (times <= span.end_s))}
