"""The thin Ray shell around a `PoseExtractor`: clips come in, only keypoints go out."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import ray

from inference.batcher import BatchStats
from inference.extract import Extraction, ExtractorOptions, ExtractRequest, PoseExtractor, load_extractor
from inference.poses import ModelInfo
from inference.sources import ClipSource, sweep_abandoned


@dataclass(frozen=True, kw_only=True, slots=True)
class ActorStatus:
    """What an actor says of itself."""

    model: ModelInfo
    clips: int
    """Clips in it now."""
    batches: BatchStats


@dataclass(slots=True)
class _Clip:
    canceled: threading.Event
    share_done: float = 0.0


class PoseActor:
    """Holds one model and decodes many clips on its own threads. `key` names a clip's extraction while it runs."""

    def __init__(self, options: ExtractorOptions) -> None:
        sweep_abandoned()  # an actor that was killed, and is now started again, left its clips behind
        self._extractor: PoseExtractor = load_extractor(options)
        self._clips: dict[str, _Clip] = {}

    @ray.method(concurrency_group="analyse")
    def extract(self, key: str, source: ClipSource, request: ExtractRequest) -> Extraction:
        """See `PoseExtractor.extract`; raises what it raises, and ExtractionCanceled after `cancel(key)`."""
        clip = self._clips.setdefault(key, _Clip(canceled=threading.Event()))

        def note(share: float) -> None:
            clip.share_done = share

        try:
            with source.open() as path:
                return self._extractor.extract(path, request, on_progress=note, canceled=clip.canceled)
        finally:
            self._clips.pop(key, None)

    @ray.method(concurrency_group="control")
    def progress(self, key: str) -> float:
        """Share of the clip done, 0..1; 0 when it is not (or no longer) here."""
        clip = self._clips.get(key)
        return clip.share_done if clip else 0.0

    @ray.method(concurrency_group="control")
    def cancel(self, key: str) -> None:
        """Make the extraction stop at its next frame."""
        clip = self._clips.get(key)
        if clip:
            clip.canceled.set()

    @ray.method(concurrency_group="control")
    def status(self) -> ActorStatus:
        """What is loaded and how full its batches are; also the proof that loading went well."""
        return ActorStatus(model=self._extractor.model, clips=len(self._clips), batches=self._extractor.batcher.stats())

    def __ray_shutdown__(self) -> None:
        """Stop the batcher's thread when the actor goes away in an orderly manner."""
        self._extractor.close()
