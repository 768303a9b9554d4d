"""`/metrics` for Prometheus: what this process counts, and the backlog in the database, on a port of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from frontfoot.settings import Settings
from models.backlog import MOST, Backlog, read_backlog
from models.database import Database

logger = logging.getLogger(__name__)

FRESH_S = 10.0
"""How long one look at the database serves every scrape."""
PATIENCE_S = 2.0
"""How long a scrape waits for the database."""


@contextmanager
def serving(settings: Settings) -> Iterator[CollectorRegistry]:
    """The process's registry; shown on `metrics_port` while the block runs, if there is one.

    Raises OSError where the port is taken.
    """
    registry = CollectorRegistry()
    if not settings.metrics_port:
        yield registry
        return
    ProcessCollector(registry=registry)
    database = Database(settings.database_url)
    registry.register(BacklogCollector(lambda: read_backlog(database)))
    server, thread = start_http_server(settings.metrics_port, settings.metrics_host, registry)
    url = f"http://{settings.metrics_host}:{settings.metrics_port}/metrics"
    logger.info("Metrics listening: url=%s", url, extra={"url": url})
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        database.close()


class BacklogCollector(Collector):
    """Shows the backlog. A database that is away makes `frontfoot_database_up` 0 and holds no scrape up."""

    def __init__(
        self,
        read: Callable[[], Backlog],
        *,
        fresh_s: float = FRESH_S,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._fresh_s = fresh_s
        self._patience_s = patience_s
        self._now = clock
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._look: Future[Backlog] | None = None

    def describe(self) -> Iterator[Metric]:
        """Name the families without a look at the database."""
        yield from _families(None)

    def collect(self) -> Iterator[Metric]:
        """Yield the families; without numbers where the database did not answer in time."""
        backlog = None
        try:
            backlog = self._latest().result(timeout=self._patience_s)
        except Late:
            logger.warning("Metrics: the database did not answer in time")
        except Exception as error:  # noqa: BLE001 - whatever the database does, the other numbers are shown
            logger.warning("Metrics: the database did not answer: %s", type(error).__name__)
        yield from _families(backlog)

    def _latest(self) -> Future[Backlog]:
        """The look that is fresh or under way; never two at once."""
        with self._lock:
            stale = self._now() - self._looked_at >= self._fresh_s
            if self._look is None or (stale and self._look.done()):
                self._look, self._looked_at = Future(), self._now()
                threading.Thread(target=self._run, args=(self._look,), name="backlog", daemon=True).start()
            return self._look

    def _run(self, look: Future[Backlog]) -> None:
        try:
            look.set_result(self._read())
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
            look.set_exception(error)


def _families(backlog: Backlog | None) -> Iterator[Metric]:
    yield GaugeMetricFamily("frontfoot_database_up", "Whether the database answered.", value=float(backlog is not None))
    jobs = GaugeMetricFamily("frontfoot_jobs", f"Unfinished jobs by state; counting ends at {MOST}.", labels=["status"])
    age = GaugeMetricFamily(
        "frontfoot_queue_age_seconds", "For how long the longest waiting job could have been claimed."
    )
    if backlog is not None:
        for status, count in backlog.jobs.items():
            jobs.add_metric([status], count)
        age.add_metric([], backlog.oldest_ready_s)
    yield jobs
    yield age
