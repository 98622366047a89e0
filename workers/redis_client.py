"""Clients for Redis that sit out a restart of it. Torch-free."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis, exceptions
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from workers.errors import QueueUnavailable

# 0.1 s, 0.2 s … 10 s between tries: thirty of them sit out more than three minutes.
PATIENT = 30


def connect(url: str, retries: int = PATIENT) -> Redis:
    """A client that gives text and raises `QueueUnavailable` where Redis stays away.

    Nothing is sent until the first command. A command whose answer was lost is sent again, so
    whatever is built on this must bear to be told twice.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        retries: how often to try again; a service that must answer soon takes few.
    """
    return _Client.from_url(url, decode_responses=True, **_options(retries))


def connect_transport(url: str, retries: int = PATIENT) -> Redis:
    """A client as RQ wants it: gives bytes, raises Redis's own errors."""
    return Redis.from_url(url, **_options(retries))


@contextmanager
def unavailable() -> Iterator[None]:
    """Where Redis cannot be reached, say so in our own words."""
    try:
        yield
    except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
        raise QueueUnavailable(f"Redis cannot be reached: {error}") from error


class _Client(Redis):
    """Raises `QueueUnavailable` where Redis cannot be reached."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        with unavailable():
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


def _options(retries: int) -> dict[str, Any]:
    backoff = ExponentialWithJitterBackoff(base=0.1, cap=10)
    return {
        "retry": Retry(backoff, retries),
        # A server that is still reading its file answers, but has nothing to say yet.
        "retry_on_error": [exceptions.BusyLoadingError],
        "health_check_interval": 30,
        "socket_connect_timeout": 5,
        "socket_timeout": 10,
    }
