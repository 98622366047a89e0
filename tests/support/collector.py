"""A collector of traces: a real HTTP server that reads what OpenTelemetry sends."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support.receiver import ReceiverServer, receiver_server


@dataclass(frozen=True)
class SentSpan:
    """
    A span as it came, with the name of the process that made it.
    """

    process: str
    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    is_failure: bool
    events: int


@dataclass
class Collector:
    """
    Where it is, and what came.
    """

    url: str
    server: ReceiverServer

    def spans(self) -> list[SentSpan]:
        """
        All that came so far, in the order of their beginnings.
        """
        found = []
        for got in self.server.got:
            assert got.path == "/v1/traces"
            for process in ExportTraceServiceRequest.FromString(got.body).resource_spans:
                name = _values(process.resource.attributes)["service.name"]
                spans = (span for scope in process.scope_spans for span in scope.spans)
                found += [(span.start_time_unix_nano, _span(name, span)) for span in spans]
        return [span for _, span in sorted(found, key=lambda pair: pair[0])]


@contextmanager
def collector() -> Iterator[Collector]:
    """
    A running one.
    """
    with receiver_server() as server:
        yield Collector(server.url.removesuffix("/hook"), server)


def _span(process: str, span: Any) -> SentSpan:
    return SentSpan(
        process,
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        _values(span.attributes),
        span.status.code == span.status.STATUS_CODE_ERROR,
        len(span.events),
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
