"""The servers that HandsOff needs, in our hands: Redis, a store, and a proxy before each."""

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from support.s3 import BUCKET, S3Endpoint, make_bucket
from support.s3_servers import moto_server, swift_server
from support.waiting import until

from tests.chaos.proxy import Proxy
from workers.embedded_redis import EmbeddedRedis

STORES = {"moto": moto_server, "swift": swift_server}


class RedisServer:
    """
    Redis, which may be killed and started again with what it had on its disk.
    """

    def __init__(self, folder: Path) -> None:
        self._embedded = EmbeddedRedis(folder)
        self._log = folder.with_suffix(".log").open("ab")
        self._child: subprocess.Popen[bytes] | None = None
        self.start()
        socket = str(self._embedded.socket)
        self.proxy = Proxy(lambda: asyncio.open_unix_connection(socket))

    @property
    def direct_url(self) -> str:
        """
        How we reach it, whatever troubles the way of the others.
        """
        return self._embedded.url

    @property
    def url(self) -> str:
        """
        How everybody else does.
        """
        return f"redis://127.0.0.1:{self.proxy.port}"

    def start(self) -> None:
        """
        Start it, unless it lives, and return when it answers.
        """
        if self._child is not None and self._child.poll() is None:
            return
        self._child = subprocess.Popen(self._embedded.command(), stdout=self._log, stderr=self._log)
        until(self._embedded.is_ready)

    def signal(self, number: signal.Signals) -> None:
        """
        Send it a signal; return when it has ended, if that was meant.
        """
        assert self._child is not None
        self._child.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self._child.wait(30)

    def stop(self) -> None:
        """
        End it for good.
        """
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        self._log.close()


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """
    A Redis server with its data in `folder`.
    """
    server = RedisServer(folder)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def store_server(kind: str, folder: Path) -> Iterator[tuple[S3Endpoint, Proxy]]:
    """
    An S3 server with a bucket: how we reach it, and the proxy through which all others do.
    """
    folder.mkdir()
    with STORES[kind](folder) as endpoint:
        make_bucket(endpoint)
        port = urlsplit(endpoint.url).port
        yield endpoint, Proxy(lambda: asyncio.open_connection("127.0.0.1", port))


def store_environment(endpoint: S3Endpoint, proxy: Proxy) -> dict[str, object]:
    """
    How processes are told to use it, through the proxy.
    """
    return {
        "store_url": f"s3://{BUCKET}/chaos",
        "s3_endpoint_url": f"http://127.0.0.1:{proxy.port}",
        "s3_access_key": endpoint.access_key,
        "s3_secret_key": endpoint.secret_key,
    }
