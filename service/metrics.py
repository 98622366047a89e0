"""What Prometheus may know: this process's requests, and what `service.gauges` asks Redis for."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from service.gauges import Gauges
from workers.parts import Parts

# Seconds. Fine where the promise is (20 ms), coarse where long polls and uploads end.
_BUCKETS = (0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# Other methods are counted as one, or anybody could make any number of series.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})


class Metrics:
    """This process's measures, in a registry of their own."""

    def __init__(self, parts: Parts) -> None:
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
        self._registry.register(Gauges(parts))

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def exposition(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._registry)
