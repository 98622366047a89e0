"""The service as a process of its own, for whoever measures or attacks it from outside."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.processes import free_port, stop
from workers.embedded_redis import EmbeddedRedis

PATIENCE = 180.0  # Seconds; a busy machine takes ten times as long as an idle one.


@dataclass(frozen=True)
class ServiceProcess:
    """A service that answers.

    Attributes:
        url: where.
        pid: of its process.
        seconds: from its start to its first answer.
        log: the file with what it says, a JSON object a line.
        settings: what it was told, without the prefix of the variables.
    """

    url: str
    pid: int
    seconds: float
    log: Path
    settings: dict[str, str]

    def errors(self) -> list[str]:
        """The lines of its log that tell of a fault of its own."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if '"level": "error"' in line or "Traceback" in line]


@contextmanager
def service_process(folder: Path, **settings: str) -> Iterator[ServiceProcess]:
    """A service with a Redis and a store of its own below a folder.

    Args:
        folder: holds everything; what is there already is used again.
        settings: more of what it is told, e.g. `max_item_bytes="1000"`.
    """
    with EmbeddedRedis(folder / "redis").running() as redis:
        port = free_port()
        told = {
            "redis_url": redis.url,
            "store_url": f"file://{folder}/store",
            "port": str(port),
            "log_format": "json",
            **settings,
        }
        variables = {f"HANDSOFF_{name.upper()}": value for name, value in told.items()}
        log = folder / "service.log"
        with log.open("ab") as output:
            command = [sys.executable, "-m", "service"]
            process = subprocess.Popen(
                command, env=os.environ | variables, stdout=output, stderr=output
            )
        try:
            url = f"http://127.0.0.1:{port}"
            seconds = _seconds_to_first_answer(url, process)
            yield ServiceProcess(url, process.pid, seconds, log, told)
        finally:
            stop(process)


def _seconds_to_first_answer(url: str, process: "subprocess.Popen[bytes]") -> float:
    started = time.monotonic()
    while time.monotonic() - started < PATIENCE:
        try:
            httpx.get(f"{url}/healthz").raise_for_status()
        except httpx.TransportError:
            if process.poll() is not None:
                raise RuntimeError(f"the service ended with {process.returncode}") from None
            time.sleep(0.02)
        else:
            return time.monotonic() - started
    raise TimeoutError("the service does not answer")
