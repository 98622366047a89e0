"""What Prometheus may know: requests by route and status, how long they took, queue depths."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from workers.errors import QueueUnavailable
from workers.queue import TaskQueue

# Seconds. Fine where the promise is (20 ms), coarse where long polls and uploads end.
_BUCKETS = (0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# Other methods are counted as one, or anybody could make any number of series.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})


class Metrics:
    """This process's measures, in a registry of their own."""

    def __init__(self, queue: TaskQueue) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "handsoff_http_requests",
            "HTTP requests answered; status 0 where the client left first.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "handsoff_http_request_seconds",
            "Time from a request's first byte to the last one of its answer.",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(_QueueDepths(queue))

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def exposition(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._registry)


class _QueueDepths(Collector):
    """Asks Redis when it is scraped; says so where Redis does not answer."""

    def __init__(self, queue: TaskQueue) -> None:
        self._queue = queue

    def collect(self) -> Iterator[Metric]:
        depth = GaugeMetricFamily(
            "handsoff_queue_depth", "Steps that wait for a worker.", labels=["queue"]
        )
        up = GaugeMetricFamily("handsoff_redis_up", "1 if Redis answered this scrape.")
        try:
            for name, waiting in self._queue.depths().items():
                depth.add_metric([name], waiting)
        except QueueUnavailable:
            up.add_metric([], 0)
        else:
            up.add_metric([], 1)
        yield depth
        yield up

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask Redis."""
        return []
