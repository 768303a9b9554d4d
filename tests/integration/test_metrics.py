"""`/metrics` as Prometheus reads it: of the API over its own requests, and with a database that is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from api_server import eventually
from ports import free_port
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families as parsed
from serving import serving

from api.app import create_app
from api.metrics import ApiMetrics
from frontfoot import metrics
from frontfoot.metrics import BacklogCollector
from frontfoot.settings import Settings
from inference.actor import ActorStatus
from inference.batcher import BatchStats
from inference.poses import ModelInfo
from models.backlog import UNFINISHED, Backlog
from models.database import Database
from models.errors import StoreUnavailable
from models.folder import FolderStore
from models.jobs import Owner
from models.queue import JobQueue
from pipeline.metrics import WorkerMetrics, share_of_limit

JANE = Owner(owner_type="coach", owner_id="jane")
NOBODY_WAITS = Backlog(jobs=dict.fromkeys(UNFINISHED, 0), oldest_ready_s=0)


def settings(database_url: str, port: int) -> Settings:
    return Settings(database_url=database_url, metrics_port=port, tokens={})


def actor(batches: BatchStats, *, decode_s: float, device: str = "cpu") -> ActorStatus:
    model = ModelInfo(
        name="m", version="1", sha256="0" * 64, backend="torch", precision="fp32", runtime=f"torch 2.9 {device}"
    )
    return ActorStatus(model=model, clips=0, batches=batches, decode_s=decode_s)


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(port: int) -> Samples:
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=20)
    assert answer.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parsed(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def test_the_api_counts_its_requests_and_shows_the_backlog(database_url: str, folder_store: FolderStore) -> None:
    port = free_port()
    database = Database(database_url)
    queue = JobQueue(database)
    with metrics.serving(settings(database_url, port)) as registry:
        app = create_app(
            database=database,
            queue=queue,
            store=folder_store,
            owners={"token-of-jane-0001": JANE},
            models=set(),
            version="1",
            metrics=ApiMetrics(registry),
        )
        with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
            for path in ("/health/live", "/health/live", "/nothing", "/api/coaches/plus/sessions"):
                client.get(path)
            client.request("BREW", "/nothing")
            client.head("/health/live")
        samples = scraped(port)
    requests = "frontfoot_http_requests_total"
    assert value(samples, requests, method="GET", route="/health/live", status="200") == 2
    assert value(samples, requests, method="HEAD", route="/health/live", status="200") == 1
    assert value(samples, requests, method="GET", route="unmatched", status="404") == 1
    assert value(samples, requests, method="other", route="unmatched", status="404") == 1
    assert value(samples, requests, method="GET", route="/api/coaches/plus/sessions", status="401") == 1
    assert value(samples, "frontfoot_http_request_seconds_count", method="GET", route="/health/live") == 2
    assert value(samples, "frontfoot_http_requests_in_flight") == 0
    assert value(samples, "frontfoot_database_up") == 1
    assert value(samples, "frontfoot_jobs", status="queued") == 0
    assert value(samples, "frontfoot_queue_age_seconds") == 0
    assert value(samples, "process_open_fds") is not None
    with pytest.raises(httpx.ConnectError):
        scraped(port)
    database.close()


def test_a_worker_shows_what_it_did(sqlite_url: str) -> None:
    port = free_port()
    with metrics.serving(settings(sqlite_url, port)) as registry:
        worker = WorkerMetrics(registry)
        worker.claimed()
        worker.stage_done("deep", 12.5, 230)
        worker.job_ended("done")
        worker.lease_lost()
        worker.leases_expired(3)
        worker.attempt_failed("actor_died", retried=True)
        worker.webhook("delivered")
        stats = BatchStats(
            batches=4, frames=14, room=16, mixed=1, lanes=2, halved=1, waited_s=0.5, infer_s=2.0, thread_s=4.0
        )
        worker.observe_actors([actor(stats, decode_s=1.5)])
        samples = scraped(port)
    assert value(samples, "frontfoot_claims_total") == 1
    assert value(samples, "frontfoot_stage_seconds_sum", stage="deep") == 12.5
    assert value(samples, "frontfoot_frames_inferred_total", stage="deep") == 230
    assert value(samples, "frontfoot_jobs_ended_total", status="done") == 1
    assert value(samples, "frontfoot_leases_lost_total") == 1
    assert value(samples, "frontfoot_leases_expired_total") == 3
    assert value(samples, "frontfoot_attempts_failed_total", code="actor_died", retried="true") == 1
    assert value(samples, "frontfoot_webhook_attempts_total", outcome="delivered") == 1
    assert value(samples, "frontfoot_batch_frames_total", actor="0") == 14
    assert value(samples, "frontfoot_batch_slots_total", actor="0") == 16
    assert value(samples, "frontfoot_batches_halved_total", actor="0") == 1
    assert value(samples, "frontfoot_batch_queueing_seconds_total", actor="0") == 0.5
    assert value(samples, "frontfoot_inference_seconds_total", actor="0") == 2.0
    assert value(samples, "frontfoot_decode_seconds_total", actor="0") == 1.5
    assert value(samples, "frontfoot_share_of_limit") == 3.5 / 4
    assert value(samples, "frontfoot_inference_thread_seconds_total", actor="0") == 4.0
    assert value(samples, "frontfoot_batches_mixed_total", actor="0") == 1
    assert value(samples, "frontfoot_actor_clips", actor="0") == 2


def test_the_share_of_the_limit() -> None:
    def did(*, infer_s: float, decode_s: float, thread_s: float, device: str = "cpu") -> ActorStatus:
        return actor(BatchStats(batches=1, infer_s=infer_s, thread_s=thread_s), decode_s=decode_s, device=device)

    busy = did(infer_s=6, decode_s=2, thread_s=10)
    idle = did(infer_s=1, decode_s=1, thread_s=90)
    assert share_of_limit([busy]) == 0.8
    assert share_of_limit([busy, idle]) == 0.1, "sums before dividing"
    assert share_of_limit([did(infer_s=6, decode_s=5, thread_s=10)]) == 1, "seconds stretch where threads compete"
    assert share_of_limit([did(infer_s=6, decode_s=5, thread_s=10, device="cuda")]) == 0.6, "decoding goes on beside it"
    assert share_of_limit([]) is None
    assert share_of_limit([actor(BatchStats(thread_s=3), decode_s=1)]) is None, "no batch yet"


def test_before_the_first_batch_no_share_of_the_limit_is_shown() -> None:
    worker = WorkerMetrics()
    for actors in ([], [actor(BatchStats(), decode_s=0)]):
        worker.observe_actors(actors)
        assert "frontfoot_share_of_limit" not in [family.name for family in worker.registry.collect()]


def test_without_a_port_nothing_listens(sqlite_url: str) -> None:
    with metrics.serving(settings(sqlite_url, 0)) as registry:
        assert list(registry.collect()) == []
        assert not [thread for thread in threading.enumerate() if "serve_forever" in thread.name]


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """What a database that is away waits for."""
    event = threading.Event()
    yield event
    event.set()


def gauges(collector: BacklogCollector) -> dict[str, int | float]:
    registry = CollectorRegistry()
    registry.register(collector)
    return {sample.name: sample.value for family in registry.collect() for sample in family.samples}


def test_a_database_that_hangs_holds_no_scrape_up_and_is_asked_once(hanging: threading.Event) -> None:
    asked = []

    def read() -> Backlog:
        asked.append(1)
        hanging.wait(20)
        return NOBODY_WAITS

    collector = BacklogCollector(read, fresh_s=0, patience_s=0.05)
    started = time.monotonic()
    assert [gauges(collector) for _ in range(3)] == [{"frontfoot_database_up": 0}] * 3
    assert time.monotonic() - started < 2
    assert len(asked) == 1
    hanging.set()
    eventually(lambda: gauges(collector)["frontfoot_database_up"] == 1)


def test_a_database_that_fails_is_shown_as_away_and_asked_again() -> None:
    moment = 0.0
    failing = True

    def read() -> Backlog:
        if failing:
            raise StoreUnavailable
        return Backlog(jobs={**NOBODY_WAITS.jobs, "queued": 7}, oldest_ready_s=1.5)

    collector = BacklogCollector(read, fresh_s=10, clock=lambda: moment)
    assert gauges(collector) == {"frontfoot_database_up": 0}
    failing = False
    assert gauges(collector) == {"frontfoot_database_up": 0}  # one look serves for a while
    moment = 10.0
    shown = gauges(collector)
    assert (shown["frontfoot_database_up"], shown["frontfoot_queue_age_seconds"]) == (1, 1.5)
    failing, moment = True, 19.0
    assert gauges(collector)["frontfoot_database_up"] == 1
    moment = 20.0
    assert gauges(collector) == {"frontfoot_database_up": 0}
