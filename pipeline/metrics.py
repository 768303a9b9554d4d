"""What a worker counts, for Prometheus. Small methods with our own words; the library stays behind this door."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from inference.actor import ActorStatus

WebhookOutcome = Literal["delivered", "failed", "dead"]
"""One try of one delivery: taken; not taken, to be tried again; given up."""

_STAGE_BUCKETS_S = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)


class WorkerMetrics:
    """The counters of one worker, in a registry of its own (or in the one that the whole process shows)."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._claims = Counter("frontfoot_claims", "Jobs claimed by this worker.", registry=self.registry)
        self._ended = Counter(
            "frontfoot_jobs_ended", "Jobs that this worker saw end.", ["status"], registry=self.registry
        )
        self._stage_seconds = Histogram(
            "frontfoot_stage_seconds",
            "Seconds from a stage's start to its stored result.",
            ["stage"],
            buckets=_STAGE_BUCKETS_S,
            registry=self.registry,
        )
        self._frames = Counter("frontfoot_frames_inferred", "Frames inferred.", ["stage"], registry=self.registry)
        self._leases_lost = Counter(
            "frontfoot_leases_lost", "Jobs that were taken from this worker.", registry=self.registry
        )
        self._requeued = Counter(
            "frontfoot_leases_expired", "Jobs that this worker took back from silent ones.", registry=self.registry
        )
        self._failures = Counter(
            "frontfoot_attempts_failed",
            "Attempts that failed, by error code and whether the job is tried again.",
            ["code", "retried"],
            registry=self.registry,
        )
        self._webhooks = Counter(
            "frontfoot_webhook_attempts", "Tries to deliver a webhook.", ["outcome"], registry=self.registry
        )
        self._actors = _Actors()
        self.registry.register(self._actors)

    def claimed(self) -> None:
        """A job was claimed."""
        self._claims.inc()

    def stage_done(self, stage: str, seconds: float, frames: int) -> None:
        """A stage's result is stored, `seconds` after the stage began, out of `frames` inferred frames."""
        self._stage_seconds.labels(stage).observe(seconds)
        self._frames.labels(stage).inc(frames)

    def job_ended(self, status: str) -> None:
        """A job of this worker is `done`, `failed` or `canceled`."""
        self._ended.labels(status).inc()

    def lease_lost(self) -> None:
        """A job was taken from this worker."""
        self._leases_lost.inc()

    def leases_expired(self, count: int) -> None:
        """Jobs of silent workers were taken back."""
        self._requeued.inc(count)

    def attempt_failed(self, code: str, retried: bool) -> None:
        """An attempt failed with an error code; `retried` says whether the job is tried again."""
        self._failures.labels(code, str(retried).lower()).inc()

    def webhook(self, outcome: WebhookOutcome) -> None:
        """A webhook was sent, or could not be."""
        self._webhooks.labels(outcome).inc()

    def observe_actors(self, actors: Sequence[ActorStatus]) -> None:
        """What the actors say of their work; each counts from its own start."""
        self._actors.seen(actors)


class _Actors(Collector):
    """Shows what the actors last said: they count, this does not. An actor that starts again counts from 0 again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._actors: tuple[ActorStatus, ...] = ()

    def seen(self, actors: Sequence[ActorStatus]) -> None:
        with self._lock:
            self._actors = tuple(actors)

    def collect(self) -> Iterator[Metric]:
        """Yield the families, a sample an actor."""
        with self._lock:
            statuses = self._actors
        actors = [status.batches for status in statuses]
        totals: Mapping[str, tuple[str, list[float]]] = {
            "frontfoot_batches": ("Batches inferred.", [stats.batches for stats in actors]),
            "frontfoot_batch_frames": ("Frames in those batches.", [stats.frames for stats in actors]),
            "frontfoot_batch_slots": (
                "Frames that those batches had room for; frames / slots is the batch fill.",
                [stats.room for stats in actors],
            ),
            "frontfoot_batches_mixed": ("Batches with frames of several clips.", [stats.mixed for stats in actors]),
            "frontfoot_batches_halved": (
                "Batches that did not fit into memory and were inferred in halves.",
                [stats.halved for stats in actors],
            ),
            "frontfoot_batch_queueing_seconds": (
                "Seconds that frames waited for their batch, of all frames together.",
                [stats.waited_s for stats in actors],
            ),
            "frontfoot_inference_seconds": (
                "Seconds of inference, of all threads together.",
                [stats.infer_s for stats in actors],
            ),
            "frontfoot_decode_seconds": (
                "Seconds inside the decoders, of all clips together.",
                [status.decode_s for status in statuses],
            ),
            "frontfoot_inference_thread_seconds": (
                "Seconds that the threads which infer had; inference / thread seconds is their share of the limit.",
                [stats.thread_s for stats in actors],
            ),
        }
        for name, (words, values) in totals.items():
            total = CounterMetricFamily(name, words, labels=["actor"])
            for number, value in enumerate(values):
                total.add_metric([str(number)], value)
            yield total
        clips = GaugeMetricFamily("frontfoot_actor_clips", "Clips in the actor's batcher now.", labels=["actor"])
        for number, stats in enumerate(actors):
            clips.add_metric([str(number)], stats.lanes)
        yield clips
        share = share_of_limit(statuses)
        if share is not None:
            yield GaugeMetricFamily(
                "frontfoot_share_of_limit",
                "Share of their time with clips that the actors would have needed for decoding and inference alone.",
                value=share,
            )


def share_of_limit(actors: Sequence[ActorStatus]) -> float | None:
    """What decoding and inference needed by what there was, 0..1, of all actors together; None before the first batch.

    Sums before dividing: an actor that does more counts more.
    """
    thread_s = sum(status.batches.thread_s for status in actors)
    if not thread_s or not any(status.batches.batches for status in actors):
        return None
    return min(sum(status.needed_s for status in actors) / thread_s, 1.0)
