"""What the API counts, for Prometheus. The library stays behind this door."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class ApiMetrics:
    """The counters of one application, in a registry of its own (or in the one that the whole process shows)."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._requests = Counter(
            "frontfoot_http_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "frontfoot_http_request_seconds",
            "Seconds until the whole answer was out (long polls and event streams wait on purpose).",
            ["method", "route"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._in_flight = Gauge("frontfoot_http_requests_in_flight", "Requests in flight.", registry=self.registry)

    def arrived(self) -> None:
        """A request has come."""
        self._in_flight.inc()

    def answered(self, method: str, route: str, status: int | None, seconds: float) -> None:
        """It was answered, or (status None) its client went away. `route` is a template: few values, no ids."""
        method = method if method in _METHODS else "other"
        self._in_flight.dec()
        self._requests.labels(method, route, "none" if status is None else str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def watch_waiting(self, count: Callable[[], int]) -> None:
        """Show how many clients wait for a job to change: `count` is asked at each scrape."""
        waiting = Gauge("frontfoot_http_waiting", "Long polls and event streams that wait.", registry=self.registry)
        waiting.set_function(count)
