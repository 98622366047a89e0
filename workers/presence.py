"""Who is there: every worker and reaper says so every few seconds, with what it is and runs on.

Leases tell who works on a step; this tells who would, so that the service can say whether work
can be done at all. Times are Redis's own, so the hosts' clocks need not agree.
"""

import os
import secrets
import socket
from collections.abc import Callable
from importlib.metadata import version

from pydantic import BaseModel, ConfigDict, ValidationError
from redis import Redis

from workers import redis_names as names
from workers.chores import Chore

TELL_SECONDS = 5.0
ALIVE_SECONDS = 20.0
"""Who has said nothing for so long is not there."""

_FORGET_SECONDS = 3600.0
REAPER = "reaper"


class Device(BaseModel):
    """What a process computes on.

    Attributes:
        name: `cpu`, or the GPU's.
        used_bytes, total_bytes: of a GPU's memory, by whomever it is used; None without one.
    """

    model_config = ConfigDict(frozen=True)

    name: str = "cpu"
    used_bytes: int | None = None
    total_bytes: int | None = None


class Process(BaseModel):
    """A process as it described itself last.

    Attributes:
        role: the queue that a worker listens to, or `reaper`.
        seen_at: when that was, in seconds of 1970.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    role: str
    host: str
    pid: int
    version: str
    device: Device = Device()
    seen_at: float = 0.0


def new_name() -> str:
    """A name that no process has ever had, not even one of this host and process id."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def present(redis: Redis, role: str, name: str, device: Callable[[], Device] = Device) -> Chore:
    """The chore of saying that this process is there.

    Args:
        redis: a client of `workers.redis_client.connect`.
        role: see `Process`.
        name: see `new_name`.
        device: what it computes on, asked each time.
    """
    process = Process(
        name=name,
        role=role,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=version("handsoff"),
    )

    def tell() -> None:
        told = process.model_copy(update={"device": device(), "seen_at": _now(redis)})
        redis.hset(names.WORKERS, name, told.model_dump_json())

    return Chore("presence", tell, TELL_SECONDS)


def processes(redis: Redis) -> list[Process]:
    """Who is there, by role and name; who has long been gone is forgotten."""
    now = _now(redis)
    found: list[Process] = []
    for name, text in redis.hgetall(names.WORKERS).items():
        try:
            process = Process.model_validate_json(text)
        except ValidationError:  # Of another version of ours.
            continue
        if now - process.seen_at < ALIVE_SECONDS:
            found.append(process)
        elif now - process.seen_at > _FORGET_SECONDS:
            redis.hdel(names.WORKERS, name)
    return sorted(found, key=lambda process: (process.role, process.name))


def _now(redis: Redis) -> float:
    seconds, microseconds = redis.time()
    return int(seconds) + int(microseconds) / 1_000_000
