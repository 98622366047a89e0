"""HandsOff on one machine: which processes it is made of, and what they are told.

redis ◄── reaper, cpu, compute-0, compute-1 … ◄── service      (started from left to right)
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.request import ProxyHandler, build_opener

from service.supervisor.devices import gpus, workers_by_device
from service.supervisor.place import CannotStart, DataDirectory, free_port
from service.supervisor.process import ProcessSpec
from service.supervisor.supervisor import Supervisor

OnEvent = Callable[[str], None]
WORKER_GRACE = 20.0
"""A worker needs some seconds to bring its step to a point where another can take it over."""


@dataclass(frozen=True)
class Machine:
    """A HandsOff that has been put together; nothing runs before `supervisor.run()`.

    Attributes:
        url: where its service will answer.
        data: where everything of it lies.
    """

    url: str
    data: DataDirectory
    supervisor: Supervisor

    def describe(self) -> None:
        """Write where it is to the data directory's `up.json`."""
        self.data.describe({"url": self.url, "pid": os.getpid()})


def assemble(
    data: DataDirectory,
    on_event: OnEvent,
    host: str = "127.0.0.1",
    port: int = 8000,
    compute_workers: int | None = None,
) -> Machine:
    """Decide what runs.

    Args:
        data: a locked data directory.
        on_event: told when a process dies or is started again.
        host: of the service.
        port: of the service; 0 for a free one.
        compute_workers: how many; None for one per GPU, or one.

    Raises:
        CannotStart: the port is taken, or there is no Redis.
    """
    port = free_port(host, port)
    named = f"[{host}]" if ":" in host else host
    url = f"http://{named}:{port}"
    specs = processes(data, host, port, url, compute_workers)
    return Machine(url, data, Supervisor(specs, data.logs, on_event))


def processes(
    data: DataDirectory, host: str, port: int, url: str, compute_workers: int | None
) -> list[ProcessSpec]:
    """Every process of a machine, and what it is told.

    Raises:
        CannotStart: there is no Redis.
    """
    redis, redis_url = _redis(data)
    environment = {
        "HANDSOFF_REDIS_URL": redis_url,
        "HANDSOFF_STORE_URL": os.environ.get("HANDSOFF_STORE_URL", data.store.as_uri()),
        "HANDSOFF_SCRATCH": str(data.scratch),
        "HANDSOFF_HOST": host,
        "HANDSOFF_PORT": str(port),
        "PYTHONUNBUFFERED": "1",
    }
    return [*redis, *_workers(environment, compute_workers), _service(environment, url)]


@contextmanager
def in_background(machine: Machine) -> Iterator[Machine]:
    """Run a machine in a thread for as long as the context lasts; it is ready at entry.

    Raises:
        CannotStart: a process did not come up.
    """
    failures: list[BaseException] = []

    def run() -> None:
        try:
            machine.supervisor.run(machine.describe)
        except BaseException as error:  # Handed to the caller's thread.
            failures.append(error)

    thread = threading.Thread(target=run, name="supervisor")
    thread.start()
    try:
        while not machine.supervisor.started.wait(0.1) and thread.is_alive():
            pass
        if failures:
            raise failures[0]
        yield machine
    finally:
        _stop(machine.supervisor, thread)


def _stop(supervisor: Supervisor, thread: threading.Thread) -> None:
    """Stop and wait for the end; another Ctrl-C while waiting hurries it."""
    supervisor.stop()
    while thread.is_alive():
        try:
            thread.join()
        except KeyboardInterrupt:
            supervisor.stop()


def _redis(data: DataDirectory) -> tuple[list[ProcessSpec], str]:
    """Our own Redis, unless the environment names another; and its URL."""
    given = os.environ.get("HANDSOFF_REDIS_URL")
    if given:
        return [], given
    # Here, for `--help` shall not wait for it, nor need it where Redis is elsewhere.
    from workers.embedded_redis import EmbeddedRedis, NoRedisServer

    redis = EmbeddedRedis(data.redis)
    try:
        command = redis.command()
    except (NoRedisServer, OSError) as error:
        raise CannotStart(str(error)) from error
    return [ProcessSpec("redis", command, 0, ready=redis.is_ready)], redis.url


def _workers(environment: Mapping[str, str], compute_workers: int | None) -> list[ProcessSpec]:
    """The reaper, one CPU worker, and the compute workers."""
    reaper = _python("reaper", 1, environment, "workers.reaper")
    cpu = _python("cpu", 1, environment, "workers.worker", "--queue", "cpu")
    devices = workers_by_device(compute_workers, gpus())
    compute = [
        _python(
            f"compute-{index}",
            1,
            {**environment, **_share(device, len(devices))},
            *("workers.worker", "--queue", "compute"),
        )
        for index, device in enumerate(devices)
    ]
    return [reaper, cpu, *compute]


def _share(gpu: str | None, workers: int) -> dict[str, str]:
    """What a compute worker may use: its own GPU, or its share of the cores."""
    if gpu is not None:
        return {"CUDA_VISIBLE_DEVICES": gpu}
    if workers == 1 or "HANDSOFF_THREADS" in os.environ:
        return {}
    return {"HANDSOFF_THREADS": str(max(1, (os.cpu_count() or 1) // workers))}


def _service(environment: Mapping[str, str], url: str) -> ProcessSpec:
    return _python("service", 2, environment, "service", ready=lambda: _answers(url))


def _python(
    name: str,
    rank: int,
    environment: Mapping[str, str],
    *module: str,
    ready: Callable[[], bool] = lambda: True,
) -> ProcessSpec:
    """A process that runs one of our modules."""
    command = (sys.executable, "-m", *module)
    return ProcessSpec(name, command, rank, environment, ready, WORKER_GRACE)


def _answers(url: str) -> bool:
    """Whether the service is alive."""
    direct = build_opener(ProxyHandler({}))  # A proxy of the environment is for other hosts.
    try:
        with direct.open(f"{url}/healthz", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False
