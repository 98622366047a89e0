"""Traces by OpenTelemetry's SDK, sent as OTLP over HTTP. Imported only where they are wanted.

What the SDK reads from the environment itself holds too, e.g. OTEL_EXPORTER_OTLP_HEADERS (keys of
a collector), OTEL_TRACES_SAMPLER, OTEL_BSP_SCHEDULE_DELAY. Nothing global is set.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Self

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from workers.tracing import Cleaners

_HEADER = "traceparent"
_SENDING_SECONDS = 3.0  # A process that ends waits no longer for a collector that is away.
_PROPAGATOR = TraceContextTextMapPropagator()


class _Step:
    """A span of ours."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def ends_as(self, outcome: str, *, is_failure: bool) -> None:
        """See `workers.tracing.Span`."""
        self._span.set_attribute("handsoff.outcome", outcome)
        if is_failure:
            self._span.set_status(StatusCode.ERROR)


class _Cleaner(SpanProcessor):
    """Makes attributes fit to be sent: a request's address may hold what is nobody's business."""

    def __init__(self, cleaners: Cleaners) -> None:
        self._cleaners = cleaners

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:  # noqa: ARG002
        for name, clean in self._cleaners.items():
            if name in (span.attributes or {}):
                span.set_attribute(name, clean(str((span.attributes or {})[name])))


class OpenTelemetry:
    """See `workers.tracing.Traces`.

    Args:
        provider: says where spans go.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self._tracer = provider.get_tracer("handsoff", version("handsoff"))

    @classmethod
    def sending_to(cls, endpoint: str, process: str, cleaners: Cleaners) -> Self:
        """Spans go to a collector, a few seconds later and from a thread of their own."""
        about = {"service.name": f"handsoff-{process}", "service.version": version("handsoff")}
        provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
        address = f"{endpoint.rstrip('/')}/v1/traces"
        exporter = OTLPSpanExporter(endpoint=address, timeout=_SENDING_SECONDS)
        provider.add_span_processor(_Cleaner(cleaners))
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider)

    @contextmanager
    def span(
        self, name: str, attributes: Mapping[str, str | int], parent: str = ""
    ) -> Iterator[_Step]:
        """See `Traces`; what an error says stays out of it, for it may be a secret."""
        above = _PROPAGATOR.extract({_HEADER: parent}) if parent else None
        with self._tracer.start_as_current_span(
            name,
            above,
            attributes=_ours(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield _Step(span)
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise

    def note(self, attributes: Mapping[str, str | int]) -> None:
        """See `Traces`."""
        trace.get_current_span().set_attributes(_ours(attributes))

    def traceparent(self) -> str:
        """See `Traces`."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier.get(_HEADER, "")

    def close(self) -> None:
        """See `Traces`."""
        self.provider.shutdown()


def _ours(attributes: Mapping[str, str | int]) -> dict[str, str | int]:
    return {f"handsoff.{name}": value for name, value in attributes.items()}
