"""The thin Ray shell around a `PoseExtractor`: clips come in, only keypoints go out."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import ray

from inference.batcher import BatchStats
from inference.errors import ExtractionCanceled, InferenceError, RuntimeBroken, SegmentsUnsure
from inference.extract import Extraction, ExtractorOptions, ExtractRequest, PoseExtractor, load_extractor
from inference.memory import Expendable, Memory, memory
from inference.parts import SegmentPeople
from inference.poses import ModelInfo
from inference.probe import Survey, clip_sha256, survey
from inference.segments import Segment
from inference.sources import ClipSource, Fetching, sweep_abandoned

logger = logging.getLogger(__name__)

_REMEMBERED = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class ActorStatus:
    """What an actor says of itself."""

    model: ModelInfo
    clips: int
    """Clips in it now."""
    batches: BatchStats
    decode_s: float = 0.0
    """Seconds inside the decoders of all clips together."""

    @property
    def needed_s(self) -> float:
        """Thread seconds that clips would have taken if nothing but decoding and inference cost anything.

        On a GPU decoding goes on beside inference; elsewhere both share the processor's cores.
        """
        beside = self.model.runtime.endswith("cuda")
        return self.batches.infer_s + (0.0 if beside else self.decode_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipProgress:
    """How far a clip is. While anything here changes, the extraction lives."""

    fetched_bytes: int = 0
    share: float = 0.0
    """Of the clip's frames, 0..1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extracted:
    """What an extraction came to, without its poses."""

    inferred: int
    """Frames that went through the model for it."""
    kept: bool
    """Whether it is the one that the caller had kept."""
    surveyed: Survey
    """What the clip is, and where it may be cut."""


@dataclass(slots=True)
class _Clip:
    canceled: threading.Event = field(default_factory=threading.Event)
    fetched_bytes: int = 0
    share: float = 0.0

    def note_bytes(self, received: int) -> None:
        self.fetched_bytes = received

    def note_share(self, share: float) -> None:
        self.share = share


@dataclass(frozen=True, slots=True)
class _Share:
    """One of several segments of a clip: what share of it is a share of them all."""

    clip: _Clip
    done: int
    segments: int

    def note(self, share: float) -> None:
        self.clip.note_share((self.done + share) / self.segments)


class PoseActor:
    """Holds one model and decodes many clips on its own threads. `key` names a clip's extraction while it runs."""

    def __init__(self, options: ExtractorOptions) -> None:
        self._expendable = Expendable()  # while it only loads: beside it another model may be at work
        sweep_abandoned()  # an actor that was killed, and is now started again, left its clips behind
        self._loaded: PoseExtractor | InferenceError
        try:
            self._loaded = load_extractor(options, _end_process)
        except InferenceError as error:  # `status` raises it: of what a constructor raises Ray hands on the text alone
            self._loaded = error
        self._lock = threading.Lock()
        self._clips: dict[str, _Clip] = {}
        self._canceled: deque[str] = deque(maxlen=_REMEMBERED)
        """Keys whose extraction must not begin: the word may overtake the call that it is about."""

    @ray.method(concurrency_group="analyse", num_returns=2)
    def extract(
        self, key: str, source: ClipSource, request: ExtractRequest, kept: Extraction | None
    ) -> tuple[Extraction, Extracted]:
        """See `PoseExtractor.extract`; raises what it raises, and ExtractionCanceled after `cancel(key)`.

        `kept` is what an earlier attempt at this request came to: returned as it is where the clip and the model are
        still the same, byte for byte.
        """
        clip = self._enter(key)
        try:
            with source.open(Fetching(on_bytes=clip.note_bytes, canceled=clip.canceled)) as path:
                surveyed = survey(path, request.limits, request.segments)
                if kept is not None and self._still_holds(kept, surveyed):
                    return kept, Extracted(inferred=0, kept=True, surveyed=surveyed)
                extraction = self._extractor.extract(
                    path, request, surveyed=surveyed, on_progress=clip.note_share, canceled=clip.canceled
                )
                return extraction, Extracted(inferred=extraction.receipt.inferred, kept=False, surveyed=surveyed)
        finally:
            with self._lock:
                self._clips.pop(key, None)

    @ray.method(concurrency_group="analyse", num_returns="streaming")
    def detect(
        self, key: str, source: ClipSource, request: ExtractRequest, surveyed: Survey, segments: Sequence[Segment]
    ) -> Iterator[SegmentPeople]:
        """See `PoseExtractor.detect`: these segments of a clip, one after the other, each handed out when it is done.

        Raises what that raises; SegmentsUnsure too where the file is another one by now.
        """
        clip = self._enter(key)
        try:
            with source.open(Fetching(on_bytes=clip.note_bytes, canceled=clip.canceled)) as path:
                if clip_sha256(path) != surveyed.clip.sha256:
                    raise SegmentsUnsure("The file is not the one that was surveyed.")
                for done, segment in enumerate(segments):
                    shares = _Share(clip, done, len(segments))
                    yield self._extractor.detect(
                        path, request, surveyed, segment, on_progress=shares.note, canceled=clip.canceled
                    )
        finally:
            with self._lock:
                self._clips.pop(key, None)

    @ray.method(concurrency_group="control")
    def progress(self, key: str) -> ClipProgress:
        """How far a clip is; nothing yet when it is not (or no longer) here."""
        clip = self._clips.get(key)
        return ClipProgress(fetched_bytes=clip.fetched_bytes, share=clip.share) if clip else ClipProgress()

    @ray.method(concurrency_group="control")
    def cancel(self, key: str) -> None:
        """Make the extraction stop: at its next frame, while it is being fetched, or before it begins."""
        with self._lock:
            clip = self._clips.get(key)
            if clip:
                clip.canceled.set()
            else:
                self._canceled.append(key)

    @ray.method(concurrency_group="control")
    def status(self) -> ActorStatus:
        """What is loaded and how full its batches are; also the proof that loading went well.

        Raises what `load_extractor` raised.
        """
        extractor = self._extractor
        return ActorStatus(
            model=extractor.model,
            clips=len(self._clips),
            batches=extractor.batcher.stats(),
            decode_s=extractor.decode_s,
        )

    @ray.method(concurrency_group="control")
    def prove(self) -> None:
        """See `PoseExtractor.prove`; before there are clips."""
        self._extractor.prove()

    @ray.method(concurrency_group="control")
    def memory(self) -> Memory:
        """What its process takes, and what is left where it runs."""
        return memory()

    def __ray_shutdown__(self) -> None:
        """Stop the batcher's thread when the actor goes away in an orderly manner."""
        if isinstance(self._loaded, PoseExtractor):
            self._loaded.close()

    @property
    def _extractor(self) -> PoseExtractor:
        if isinstance(self._loaded, InferenceError):
            raise self._loaded
        return self._loaded

    def _enter(self, key: str) -> _Clip:
        with self._lock:
            if key in self._canceled:
                raise ExtractionCanceled
            self._expendable.no_more()
            return self._clips.setdefault(key, _Clip())

    def _still_holds(self, kept: Extraction, surveyed: Survey) -> bool:
        return kept.poses.model == self._extractor.model and kept.clip.sha256 == surveyed.clip.sha256


def _end_process(error: RuntimeBroken) -> None:
    """End this actor as a crash would, at once, from whatever thread.

    Ray then starts it again (it would not after `exit_actor`, which means to go for good), and its clips are accounted
    for as after any death of an actor: a clip that was there alone is charged an attempt, neighbours none.
    """
    logger.critical("Pose actor ends itself, its runtime is broken: %s", error.message)
    os._exit(1)
