"""Traces of requests, jobs and steps, for whoever runs a collector; knows no OpenTelemetry.

    request  POST /v1/generations          the service; a child of the client's `traceparent`
    ├── job accepted                       the service
    ├── step plan                          a worker, perhaps hours later
    └── step generate …                    other workers

Off unless `HANDSOFF_OTEL_ENDPOINT` is set. Then `workers.otel` is imported, and not before.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

Cleaners = Mapping[str, Callable[[str], str]]
"""By attribute: what makes it fit to be sent."""


class Span(Protocol):
    """Something that is being done."""

    def ends_as(self, outcome: str, *, is_failure: bool) -> None:
        """Say what becomes of it."""


class Traces(Protocol):
    """Where spans go."""

    @property
    def provider(self) -> "TracerProvider | None":
        """What other libraries make spans with; None where nothing is traced."""

    def span(
        self, name: str, attributes: Mapping[str, str | int], parent: str = ""
    ) -> AbstractContextManager[Span]:
        """A span that lasts as long as the context, and is the present one of this thread.

        Args:
            name: one of few words.
            attributes: what else is known; `handsoff.` comes before each name.
            parent: a `traceparent`; the present span if left out.
        """

    def note(self, attributes: Mapping[str, str | int]) -> None:
        """Say more of the present span, whoever made it."""

    def traceparent(self) -> str:
        """The present span, as W3C's Trace Context spells it; empty where there is none."""

    def close(self) -> None:
        """Send what has not been sent; it takes a few seconds at most."""


class _NoSpan:
    """Nobody hears of it."""

    def ends_as(self, outcome: str, *, is_failure: bool) -> None:
        """See `Span`."""


class NoTraces:
    """Nothing is traced, and that costs nothing."""

    provider = None
    _nothing = nullcontext(_NoSpan())

    def span(
        self,
        name: str,  # noqa: ARG002
        attributes: Mapping[str, str | int],  # noqa: ARG002
        parent: str = "",  # noqa: ARG002
    ) -> AbstractContextManager[Span]:
        """See `Traces`."""
        return self._nothing

    def note(self, attributes: Mapping[str, str | int]) -> None:
        """See `Traces`."""

    def traceparent(self) -> str:
        """See `Traces`."""
        return ""

    def close(self) -> None:
        """See `Traces`."""


def open_traces(endpoint: str | None, process: str, cleaners: Cleaners | None = None) -> Traces:
    """Traces as the settings want them.

    Args:
        endpoint: the collector's address; None for no traces.
        process: what this one is: `service` or `worker`.
        cleaners: for attributes that other libraries set.

    Raises:
        ValueError: traces are wanted, and what makes them is not installed.
    """
    if endpoint is None:
        return NoTraces()
    try:
        from workers.otel import OpenTelemetry
    except ModuleNotFoundError as error:
        raise ValueError(
            f"HANDSOFF_OTEL_ENDPOINT is set, but {error.name} is not installed: install "
            "handsoff with the extra `otel` (pip install '.[otel]'), or unset it"
        ) from error
    return OpenTelemetry.sending_to(endpoint, process, cleaners or {})
