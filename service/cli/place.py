"""Where the Redis and the bucket are that an operator's command is meant for."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from pydantic import ValidationError

from service.cli.failures import WrongUsage

if TYPE_CHECKING:
    from workers.parts import Parts
    from workers.settings import ConnectionSettings

S = TypeVar("S", bound="ConnectionSettings")

HERE = Path(".handsoff")
DataDir = Annotated[
    Path,
    typer.Option(help="Of `handsoff up`; HANDSOFF_REDIS_URL and HANDSOFF_STORE_URL go before it."),
]
_RETRIES = 2


def settings_of(kind: type[S], data_dir: Path) -> S:
    """Settings from the environment; what it does not name lies in the data directory.

    Raises:
        ValidationError: one of them is wrong.
    """
    from service.supervisor.place import DataDirectory
    from workers.embedded_redis import EmbeddedRedis

    data = DataDirectory(data_dir)
    redis_url = os.environ.get("HANDSOFF_REDIS_URL") or EmbeddedRedis(data.redis).url
    store_url = os.environ.get("HANDSOFF_STORE_URL") or data.store.as_uri()
    return kind(redis_url=redis_url, store_url=store_url)


@contextmanager
def opened(settings: "ConnectionSettings") -> Iterator["Parts"]:
    """The parts that settings speak of; their troubles are told in a line.

    Raises:
        WrongUsage: Redis or the store cannot be used.
    """
    from redis.exceptions import RedisError

    from workers.errors import WorkersError
    from workers.parts import open_parts

    try:
        parts = open_parts(settings, _RETRIES)
        try:
            with _logs_to_stderr():
                yield parts
        finally:
            parts.close()
    except (ValueError, WorkersError, RedisError) as error:
        raise WrongUsage(str(error)) from error


@contextmanager
def _logs_to_stderr() -> Iterator[None]:
    """Keep what the layers below log off stdout, which is for results."""
    import structlog

    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        yield
    finally:
        structlog.configure(**before)


@contextmanager
def here(data_dir: Path) -> Iterator[tuple["Parts", "ConnectionSettings"]]:
    """The parts of the place that is meant, and a worker's settings there.

    Raises:
        WrongUsage: the settings are wrong, or something cannot be reached.
    """
    from workers.settings import WorkerSettings

    try:
        settings = settings_of(WorkerSettings, data_dir)
    except ValidationError as error:
        raise WrongUsage(str(error)) from error
    with opened(settings) as parts:
        yield parts, settings
