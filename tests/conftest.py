"""Real parts for every test that wants them: a Redis server, buckets on several stores."""

import os
from collections.abc import Iterator

import pytest
from support.s3 import S3Endpoint, make_bucket
from support.s3_servers import moto_server, swift_server

from workers.embedded_redis import EmbeddedRedis
from workers.redis_client import connect
from workers.storage.local import LocalStore


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory) -> Iterator[str]:
    """
    A Redis server that lives as long as the tests do.
    """
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")).running() as server:
        yield server.url


@pytest.fixture
def redis(redis_url):
    """
    An emptied Redis.
    """
    with connect(redis_url, retries=1) as client:
        client.flushall()
        yield client


@pytest.fixture
def store(tmp_path) -> LocalStore:
    """
    An empty bucket in a folder.
    """
    return LocalStore(tmp_path / "store")


@pytest.fixture(scope="session")
def moto(tmp_path_factory) -> Iterator[S3Endpoint]:
    """
    A fake S3 server with a bucket.
    """
    with moto_server(tmp_path_factory.mktemp("moto")) as endpoint:
        make_bucket(endpoint)
        yield endpoint


@pytest.fixture(scope="session")
def swift(tmp_path_factory) -> Iterator[S3Endpoint]:
    """
    A real S3 server, one that checks signatures, with a bucket.
    """
    with swift_server(tmp_path_factory.mktemp("swift")) as endpoint:
        make_bucket(endpoint)
        yield endpoint


@pytest.fixture(scope="session")
def external_s3() -> S3Endpoint:
    """
    The S3 server that HANDSOFF_TEST_S3_ENDPOINT names (with …_ACCESS_KEY and …_SECRET_KEY).
    """
    url = os.environ.get("HANDSOFF_TEST_S3_ENDPOINT")
    if not url:
        pytest.skip("HANDSOFF_TEST_S3_ENDPOINT is not set")
    names = ("HANDSOFF_TEST_S3_ACCESS_KEY", "HANDSOFF_TEST_S3_SECRET_KEY")
    endpoint = S3Endpoint(url, *(os.environ.get(name, "test") for name in names))
    make_bucket(endpoint)
    return endpoint
