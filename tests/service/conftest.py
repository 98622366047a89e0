"""The API over its real parts: Redis, and a folder as the bucket."""

from collections.abc import Callable, Iterator

import pytest
from support.api import Api, serve
from support.fake_service import FakeService

from service.cli.main import run
from service.services import Services, connect_services
from service.settings import ServiceSettings

CommandLine = Callable[..., tuple[int, str, str]]


@pytest.fixture
def settings(redis, redis_url, tmp_path) -> ServiceSettings:
    """
    An emptied Redis and an empty bucket; and a service that is called `testserver`.
    """
    return ServiceSettings(
        redis_url=redis_url,
        store_url=f"file://{tmp_path}/store",
        reserve_bytes=0,
        allow_remote=True,
    )


@pytest.fixture
def services(settings) -> Services:
    """
    The service's parts.
    """
    return connect_services(settings)


@pytest.fixture
def api(settings, services) -> Iterator[Api]:
    """
    The application, and a client of it.
    """
    yield from serve(settings, services)


@pytest.fixture
def service() -> FakeService:
    """
    A service without routes, for the command line: whoever asks it fails.
    """
    return FakeService()


@pytest.fixture
def handsoff(service, capsys) -> CommandLine:
    """
    Runs a command line; its exit code, stdout and stderr.
    """

    def handsoff(*words):
        with pytest.raises(SystemExit) as ended:
            run([str(word) for word in words], transport=service)
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return handsoff
