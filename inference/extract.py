"""A clip → the poses of its athlete, and a receipt that accounts for every decoded frame."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from inference.backends import BackendChoice, PrecisionChoice
from inference.batcher import FairBatcher
from inference.catalog import resolve
from inference.errors import ExtractionCanceled, FrameAccountingError, NoPerson
from inference.estimator import Estimator
from inference.poses import ClipInfo, ExtractionReceipt, ModelInfo, PoseSequence, Subject
from inference.probe import probe
from inference.sampling import Sampler
from inference.spans import SpanReader, SpanRules
from inference.tracking import SubjectHint, Tracker
from inference.video import OpenVideo, VideoLimits, open_video

Progress = Callable[[float], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractRequest:
    """What to extract from a clip."""

    sample_fps: float | None = None
    """At most so many frames a second of the clip; None infers every frame."""
    window_s: float | None = None
    """Only the first seconds, unless nobody is in them: then the whole clip is searched."""
    subject: tuple[SubjectHint, ...] = ()
    """Points on the athlete; empty chooses automatically."""
    subject_source: Literal["caller", "automatic"] = "caller"
    """Who gave the points: the caller, or an earlier pass over the clip."""
    subject_confidence: float = 1.0
    """How sure that earlier pass was of its choice, 0..1."""
    slowmo_factor: float = 1.0
    """How many times slower than life the file plays."""
    whole_frames: bool = False
    """Infer every frame whole rather than crops around people."""
    priority: int = 0
    """Clips of a higher one are served first."""
    limits: VideoLimits = field(default_factory=VideoLimits)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Extraction:
    """The poses of one clip with everything that says how far to trust them."""

    clip: ClipInfo
    poses: PoseSequence
    receipt: ExtractionReceipt
    subject: Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractorOptions:
    """Which model, and how it runs."""

    model: str = "yolo11n-pose"
    """Catalogue name, or a weights file together with `sha256`."""
    sha256: str | None = None
    backend: BackendChoice = "auto"
    precision: PrecisionChoice = "auto"
    threads: int = 1
    """CPU threads of the model."""
    cache_dir: Path


def load_extractor(options: ExtractorOptions) -> PoseExtractor:
    """Load a model, warm. Raises ModelUnknown, WeightsRejected, BackendUnavailable."""
    estimator = Estimator.load(
        resolve(options.model, options.sha256),
        backend=options.backend,
        precision=options.precision,
        threads=options.threads,
        cache_dir=options.cache_dir,
    )
    estimator.warm_up()
    return PoseExtractor(estimator)


class PoseExtractor:
    """One loaded model that many threads share: frames of their clips meet in one batcher."""

    def __init__(self, estimator: Estimator) -> None:
        self._estimator = estimator
        self.batcher = FairBatcher(estimator.infer, max_batch=estimator.best_batch, servers=estimator.servers)

    @property
    def model(self) -> ModelInfo:
        """What is loaded."""
        return self._estimator.info

    def extract(
        self,
        path: Path,
        request: ExtractRequest,
        *,
        on_progress: Progress = lambda share: None,
        canceled: threading.Event | None = None,
    ) -> Extraction:
        """Decode, infer and follow the athlete. `on_progress` gets the share of the clip done, 0..1.

        Raises the subclasses of InferenceError: VideoUnreadable and its kin, NoPerson, SubjectNotFound, and
        ExtractionCanceled once `canceled` is set.
        """
        clip = probe(path, request.limits)
        run = _Run(self._estimator, self.batcher, on_progress, canceled or threading.Event())
        try:
            return run.extract(path, clip, request)
        except NoPerson:
            if request.window_s is None or request.window_s >= clip.duration_s:
                raise
            return run.extract(path, clip, replace(request, window_s=None))

    def close(self) -> None:
        """Stop the batcher and release the model."""
        self.batcher.close()
        self._estimator.close()


@dataclass(frozen=True, slots=True)
class _Run:
    estimator: Estimator
    batcher: FairBatcher
    on_progress: Progress
    canceled: threading.Event

    def extract(self, path: Path, clip: ClipInfo, request: ExtractRequest) -> Extraction:
        with open_video(path, request.limits) as video:
            tracker, indices, times, redone = self._follow(video, clip, request)
            receipt = video.tally.receipt(inferred=len(indices), redone=redone)
        choice = tracker.choose(request.subject, source=request.subject_source)
        subject = replace(choice.subject, confidence=choice.subject.confidence * request.subject_confidence)
        poses = PoseSequence(
            keypoints=choice.keypoints,
            confidence=choice.confidence,
            boxes=choice.boxes,
            timestamps_s=np.array(times, np.float64),
            frame_indices=np.array(indices, np.int64),
            skeleton=self.estimator.skeleton,
            frame_size=(clip.width, clip.height),
            model=self.estimator.info,
        )
        self.on_progress(1.0)
        return Extraction(clip=clip, poses=poses, receipt=receipt, subject=subject)

    def _follow(
        self, video: OpenVideo, clip: ClipInfo, request: ExtractRequest
    ) -> tuple[Tracker, list[int], list[float], int]:
        """Infer the wanted frames and hand the people in them to a tracker, in order."""
        tracker = Tracker(slowmo_factor=request.slowmo_factor)
        indices: list[int] = []
        times: list[float] = []
        end_s = min(request.window_s or clip.duration_s, clip.duration_s)
        pictures = video.pictures(Sampler(sample_fps=request.sample_fps, max_time_s=request.window_s))
        rules = SpanRules(slowmo_factor=request.slowmo_factor, whole_frames=request.whole_frames)
        with self.batcher.lane(priority=request.priority) as lane:
            reader = SpanReader(self.estimator, lane, rules)
            with closing(reader.people(pictures)) as seen:
                for index, timestamp_s, people in seen:
                    if self.canceled.is_set():
                        raise ExtractionCanceled
                    if indices and index <= indices[-1]:
                        raise FrameAccountingError(f"frame {index} came after frame {indices[-1]}")
                    tracker.update(timestamp_s, people)
                    indices.append(index)
                    times.append(timestamp_s)
                    self.on_progress(min(timestamp_s / end_s, 1.0) if end_s > 0 else 0.0)
        return tracker, indices, times, reader.redone
