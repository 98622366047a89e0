"""The data directory of one HandsOff, the lock on it, and a free port. Starts nothing."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class CannotStart(Exception):
    """HandsOff cannot be started here; the message says why and what to do."""


class DataDirectory:
    """Where everything of one HandsOff lies: `redis/`, `store/`, `logs/`, the lock, `up.json`."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.redis = self.root / "redis"
        self.store = self.root / "store"
        self.scratch = self.root / "scratch"
        self.logs = self.root / "logs"
        self._lock = self.root / "up.lock"
        self._status = self.root / "up.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folders and keep every other `up` out of them.

        The lock is the kernel's: it goes with this process, however that ends.

        Raises:
            CannotStart: another process has it.
        """
        self._make()
        with self._lock.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise CannotStart(self._who_has_it()) from error
            try:
                yield
            finally:
                self._status.unlink(missing_ok=True)

    def describe(self, status: dict[str, Any]) -> None:
        """Tell others what runs here."""
        self._status.write_text(json.dumps(status, indent=1) + "\n")

    def status(self) -> dict[str, Any]:
        """What `describe` told last; empty where nothing runs."""
        try:
            content = json.loads(self._status.read_text())
        except (OSError, ValueError):
            return {}
        assert isinstance(content, dict)
        return content

    def _make(self) -> None:
        try:
            for folder in (self.redis, self.store, self.scratch, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotStart(f"{error}; choose another folder with --data-dir") from error

    def _who_has_it(self) -> str:
        status = self.status()
        where = f" at {status['url']}" if "url" in status else ""
        process = f" (process {status['pid']})" if "pid" in status else ""
        return (
            f"HandsOff already runs on {self.root}{where}{process}; "
            "use that one, stop it, or choose another folder with --data-dir"
        )


def free_port(host: str, port: int) -> int:
    """The port, or with 0 one that is free now.

    Raises:
        CannotStart: the address is taken, or none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the server itself will: an address in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise CannotStart(
                f"cannot listen on {host} port {port}: {reason}; choose another with "
                "--port (0 takes a free one) or --host"
            ) from error
        return int(probe.getsockname()[1])
