"""A clip → the poses of its athlete, and a receipt that accounts for every decoded frame."""

from __future__ import annotations

import math
import threading
from array import array
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from inference.backends import BackendChoice, PrecisionChoice
from inference.batcher import FairBatcher, OnBroken
from inference.catalog import RegisteredModel, resolve
from inference.contract import find_people
from inference.decoding import DecodeSeconds
from inference.errors import ExtractionCanceled, FrameAccountingError, NoPerson, SegmentsUnsure
from inference.estimator import Estimator
from inference.lane import Lane
from inference.parts import People, SegmentPeople
from inference.pictures import Picture
from inference.poses import ClipInfo, ExtractionReceipt, FloatArray, ModelInfo, Pose, PoseSequence, Skeleton, Subject
from inference.preprocess import Letterbox
from inference.probe import Survey, survey
from inference.sampling import Sampler
from inference.segments import WHOLE, Segment, SegmentRules, cuts_s
from inference.spans import CROPS_FPS, Seen, SpanReader, SpanRules
from inference.subject import overlap_of_others
from inference.tally import Tally, rhythm
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
    subject_people: int = 1
    """How many people that earlier pass followed: beside a known athlete others are hardly looked at."""
    slowmo_factor: float = 1.0
    """How many times slower than life the file plays."""
    whole_frames: bool = False
    """Infer every frame whole rather than crops around people; below `CROPS_FPS` it is always done."""
    priority: int = 0
    """Clips of a higher one are served first."""
    segments: SegmentRules = field(default_factory=SegmentRules)
    """Where people are looked for anew, so that a clip comes out the same in one pass and in parts."""
    limits: VideoLimits = field(default_factory=VideoLimits)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Extraction:
    """The poses of one clip with everything that says how far to trust them."""

    clip: ClipInfo
    poses: PoseSequence
    receipt: ExtractionReceipt
    subject: Subject
    overlap: FloatArray | None = None
    """(T,) share of the athlete's box that another person's covers, NaN where not seen; None: not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractorOptions:
    """Which model, and how it runs."""

    model: str = "yolo11n-pose"
    """Catalogue name, or a weights file together with `sha256`."""
    sha256: str | None = None
    registered: RegisteredModel | None = None
    """Instead of `model`: a version from the catalogue in the database."""
    backend: BackendChoice = "auto"
    precision: PrecisionChoice = "auto"
    threads: int = 1
    """CPU threads of the model."""
    cache_dir: Path


def load_extractor(options: ExtractorOptions, on_broken: OnBroken = lambda error: None) -> PoseExtractor:
    """Load a model, warm; `on_broken` as in `FairBatcher`. Raises ModelUnknown, WeightsRejected, BackendUnavailable."""
    estimator = Estimator.load(
        options.registered.spec(options.cache_dir) if options.registered else resolve(options.model, options.sha256),
        backend=options.backend,
        precision=options.precision,
        threads=options.threads,
        cache_dir=options.cache_dir,
    )
    _import_what_clips_need()
    whole = Letterbox.fit(1920, 1080).shape
    for batch in (1, estimator.best_batch((*whole, True))):
        estimator.warm_up(batch=batch)
    return PoseExtractor(estimator, on_broken)


def _import_what_clips_need() -> None:
    """Now, not while a first clip waits: half a second."""
    import av  # noqa: F401
    import cv2  # noqa: F401
    import scipy.optimize  # noqa: F401


class PoseExtractor:
    """One loaded model that many threads share: frames of their clips meet in one batcher."""

    def __init__(self, estimator: Estimator, on_broken: OnBroken = lambda error: None) -> None:
        self._estimator = estimator
        self._decoding = DecodeSeconds()
        self.batcher = FairBatcher(
            estimator.infer, max_batch=estimator.best_batch, servers=estimator.servers, on_broken=on_broken
        )

    @property
    def model(self) -> ModelInfo:
        """What is loaded."""
        return self._estimator.info

    @property
    def decode_s(self) -> float:
        """Seconds inside the decoder of all clips so far, also of those that failed."""
        return self._decoding.total

    def extract(
        self,
        path: Path,
        request: ExtractRequest,
        *,
        surveyed: Survey | None = None,
        on_progress: Progress = lambda share: None,
        canceled: threading.Event | None = None,
    ) -> Extraction:
        """Decode, infer and follow the athlete. `on_progress` gets the share of the clip done, 0..1.

        `surveyed` is what `survey` says of the clip, where that is known already.
        Raises the subclasses of InferenceError: VideoUnreadable and its kin, NoPerson, SubjectNotFound, and
        ExtractionCanceled once `canceled` is set.
        """
        surveyed = surveyed or survey(path, request.limits, request.segments)
        run = self._run(path, surveyed, on_progress, canceled)
        try:
            return run.extract(request)
        except NoPerson:
            if request.window_s is None or request.window_s >= surveyed.clip.duration_s:
                raise
            return run.extract(replace(request, window_s=None))

    def detect(
        self,
        path: Path,
        request: ExtractRequest,
        surveyed: Survey,
        segment: Segment,
        *,
        on_progress: Progress = lambda share: None,
        canceled: threading.Event | None = None,
    ) -> SegmentPeople:
        """Decode and infer one segment of a clip; `join` makes an extraction of all of them, in any order.

        `on_progress` gets the share of the segment done. Raises what `extract` raises but NoPerson and SubjectNotFound;
        SegmentsUnsure, where the clip must be extracted as a whole; ValueError for a request with a window.
        """
        return self._run(path, surveyed, on_progress, canceled).detect(request, segment)

    def prove(self) -> None:
        """Find the people on the golden photographs. Raises ContractBroken; WeightsRejected where these are missing."""
        find_people(self._estimator)

    def close(self) -> None:
        """Stop the batcher and release the model."""
        self.batcher.close()
        self._estimator.close()

    def _run(self, path: Path, surveyed: Survey, on_progress: Progress, canceled: threading.Event | None) -> _Run:
        return _Run(
            estimator=self._estimator,
            batcher=self.batcher,
            decoding=self._decoding,
            path=path,
            surveyed=surveyed,
            on_progress=on_progress,
            canceled=canceled or threading.Event(),
        )


def join(surveyed: Survey, parts: Sequence[SegmentPeople], request: ExtractRequest) -> Extraction:
    """The extraction of a clip from all its segments: what `PoseExtractor.extract` makes of it, exactly.

    Raises NoPerson and SubjectNotFound, and FrameAccountingError unless these are all the segments of one clip.
    """
    ordered = sorted(parts, key=lambda part: part.segment.number)
    clip, models = surveyed.clip, {part.model for part in parts}
    strangers = any(part.clip_sha256 != clip.sha256 for part in parts)
    if strangers or len(models) != 1 or tuple(part.segment for part in ordered) != surveyed.segments:
        raise FrameAccountingError("the parts are not the segments of one clip")
    follower = _Follower(request)
    skipped: Counter[str] = Counter()
    for part in ordered:
        skipped.update(part.skipped)
        for seen in part.people.frames():
            follower.take(*seen)
    times = np.concatenate([part.decoded_s for part in ordered])
    fps_measured, gaps = rhythm(times)
    tally = Tally(
        decoded=len(times),
        wanted=len(follower.indices),
        skipped=dict(sorted(skipped.items())),
        broken=0,
        truncated=False,
        rotation=clip.rotation,
        fps_measured=fps_measured,
        gaps=gaps,
    )
    receipt = tally.receipt(inferred=len(follower.indices), redone=sum(part.redone for part in parts))
    return follower.extraction(clip, receipt, ordered[0].skeleton, ordered[0].model)


class _Follower:
    """Follows the people of a clip's inferred frames, and chooses the athlete among them."""

    def __init__(self, request: ExtractRequest) -> None:
        self.indices = array("q")
        self._times = array("d")
        self._boxes: list[FloatArray] = []
        self._request = request
        self._tracker = Tracker(slowmo_factor=request.slowmo_factor)

    def take(self, index: int, timestamp_s: float, people: list[Pose]) -> None:
        """The next frame. Raises FrameAccountingError where it is not."""
        if self.indices and index <= self.indices[-1]:
            raise FrameAccountingError(f"frame {index} came after frame {self.indices[-1]}")
        self._tracker.update(timestamp_s, people)
        self.indices.append(index)
        self._times.append(timestamp_s)
        self._boxes.append(np.array([pose.box for pose in people], np.float32).reshape(-1, 4))

    def extraction(
        self, clip: ClipInfo, receipt: ExtractionReceipt, skeleton: Skeleton, model: ModelInfo
    ) -> Extraction:
        """What came of it. Raises NoPerson, SubjectNotFound."""
        request = self._request
        choice = self._tracker.choose(request.subject, source=request.subject_source)
        subject = replace(
            choice.subject,
            confidence=choice.subject.confidence * request.subject_confidence,
            people=max(choice.subject.people, request.subject_people),
        )
        poses = PoseSequence(
            keypoints=choice.keypoints,
            confidence=choice.confidence,
            boxes=choice.boxes,
            timestamps_s=np.array(self._times, np.float64),
            frame_indices=np.array(self.indices, np.int64),
            skeleton=skeleton,
            frame_size=(clip.width, clip.height),
            model=model,
        )
        overlap = overlap_of_others(self._boxes, choice.picks)
        return Extraction(clip=clip, poses=poses, receipt=receipt, subject=subject, overlap=overlap)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Run:
    estimator: Estimator
    batcher: FairBatcher
    decoding: DecodeSeconds
    path: Path
    surveyed: Survey
    on_progress: Progress
    canceled: threading.Event

    def extract(self, request: ExtractRequest) -> Extraction:
        clip, follower = self.surveyed.clip, _Follower(request)
        with self._opened(request) as video, self.batcher.lane(priority=request.priority) as lane:
            reader = self._reader(lane, request)
            end_s = min(request.window_s or clip.duration_s, clip.duration_s)
            with closing(self._people(video, reader, request, WHOLE, (0.0, end_s))) as people:
                for seen in people:
                    follower.take(*seen)
            receipt = video.tally.receipt(inferred=len(follower.indices), redone=reader.redone)
        extraction = follower.extraction(clip, receipt, self.estimator.skeleton, self.estimator.info)
        self.on_progress(1.0)
        return extraction

    def detect(self, request: ExtractRequest, segment: Segment) -> SegmentPeople:
        clip, skeleton = self.surveyed.clip, self.estimator.skeleton
        if request.window_s is not None:
            raise ValueError("only a whole clip has segments")
        begin_s = segment.entry.start_s if segment.entry else 0.0
        end_s = clip.duration_s if segment.end_s is None else segment.end_s
        with self._opened(request) as video, self.batcher.lane(priority=request.priority) as lane:
            reader = self._reader(lane, request)
            with closing(self._people(video, reader, request, segment, (begin_s, end_s))) as seen:
                people = People.gather(seen, keypoints=len(skeleton.keypoint_names))
            return SegmentPeople(
                segment=segment,
                clip_sha256=clip.sha256,
                model=self.estimator.info,
                skeleton=skeleton,
                people=people,
                decoded_s=video.times,
                skipped=video.tally.skipped,
                redone=reader.redone,
            )

    @contextmanager
    def _opened(self, request: ExtractRequest) -> Iterator[OpenVideo]:
        with open_video(self.path, request.limits) as video, self.decoding.of(video):
            yield video

    def _reader(self, lane: Lane, request: ExtractRequest) -> SpanReader:
        wanted_fps = min(request.sample_fps or math.inf, self.surveyed.clip.fps) * request.slowmo_factor
        rules = SpanRules(
            slowmo_factor=request.slowmo_factor,
            whole_frames=request.whole_frames or wanted_fps < CROPS_FPS,
            subject=request.subject,
            cuts_s=cuts_s(self.surveyed.segments),
        )
        return SpanReader(self.estimator, lane, rules)

    def _people(
        self,
        video: OpenVideo,
        reader: SpanReader,
        request: ExtractRequest,
        segment: Segment,
        between_s: tuple[float, float],
    ) -> Generator[Seen, None, None]:
        """Infer the wanted frames of a segment, in order."""
        before_s = segment.entry.before_s if segment.entry else None
        wanted = Sampler(sample_fps=request.sample_fps, max_time_s=request.window_s, after_s=before_s)
        begin_s, end_s = between_s
        pictures = video.pictures(wanted, segment)
        if segment.entry:
            pictures = _alike(pictures, self.surveyed.clip)
        with closing(reader.people(pictures)) as people:
            for index, timestamp_s, poses in people:
                if self.canceled.is_set():
                    raise ExtractionCanceled
                yield index, timestamp_s, poses
                self.on_progress(min((timestamp_s - begin_s) / (end_s - begin_s), 1.0) if end_s > begin_s else 0.0)


def _alike(pictures: Generator[Picture, None, None], clip: ClipInfo) -> Generator[Picture, None, None]:
    """The pictures of a segment. Raises SegmentsUnsure where they are of another size than the clip's first."""
    with closing(pictures):
        for picture in pictures:
            if (*picture.size, picture.rotation) != (clip.width, clip.height, clip.rotation):
                raise SegmentsUnsure
            yield picture
