"""What may strike, and when: all of it follows from the seed."""

import os
import random
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.chaos.fleet import ROLES
from tests.chaos.proxy import Trouble
from workers.errors import QueueUnavailable

if TYPE_CHECKING:  # What is drawn needs no world, which imports torch.
    from tests.chaos.world import World

SPAN_SECONDS = 4.0
"""Faults begin within so many seconds of the order."""
_MOST = 3
_LONGEST_SECONDS = 4.0
_OF_REDIS = [Trouble.CUT, Trouble.STALL, Trouble.BREAK, Trouble.SLOW, Trouble.DEAF, Trouble.HALF]
_FULL = 1 << 20

Heal = Callable[[], None]


@dataclass(frozen=True)
class Fault:
    """
    One of them.

    Attributes:
        at: seconds after the order.
        target: a process's role, or the trouble of a way.
        seconds: how long it lasts, where it does.
    """

    at: float
    kind: str
    target: str
    seconds: float

    def later(self, stretch: float) -> "Fault":
        """
        The same, so many times later.
        """
        return replace(self, at=round(self.at * stretch, 2))

    def as_json(self) -> dict[str, Any]:
        """
        For the results.
        """
        return asdict(self)


def drawn(stream: random.Random, kinds: Sequence[str]) -> list[Fault]:
    """
    One to three faults in the order in which they strike.
    """
    faults = []
    for _ in range(stream.randint(1, _MOST)):
        kind = stream.choice(sorted(kinds))
        at, seconds = stream.uniform(0, SPAN_SECONDS), stream.uniform(0.2, _LONGEST_SECONDS)
        target = stream.choice(sorted(TARGETS[kind]))
        faults.append(Fault(round(at, 2), kind, target, round(seconds, 2)))
    return sorted(faults, key=lambda fault: fault.at)


def strike(world: "World", fault: Fault) -> Heal:
    """
    Let a fault happen; what ends it.
    """
    return _STRIKES[fault.kind](world, fault.target)


def _nothing() -> None:
    pass


def _kill(world: "World", role: str) -> Heal:
    world.fleet.signal(role, signal.SIGKILL)
    return _nothing


def _term(world: "World", role: str) -> Heal:
    world.fleet.signal(role, signal.SIGTERM)
    return _nothing


def _freeze(world: "World", role: str) -> Heal:
    pid = world.fleet.signal(role, signal.SIGSTOP)

    def thaw() -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    return thaw


def _end_redis(number: signal.Signals) -> Callable[["World", str], Heal]:
    def end(world: "World", _: str) -> Heal:
        world.redis_server.signal(signal.SIGCONT)  # A frozen one would not hear of its end.
        world.redis_server.signal(number)
        return world.redis_server.start

    return end


def _freeze_redis(world: "World", _: str) -> Heal:
    world.redis_server.signal(signal.SIGSTOP)
    return lambda: world.redis_server.signal(signal.SIGCONT)


def _flush(world: "World", _: str) -> Heal:
    with suppress(QueueUnavailable):  # One that is dead by another fault cannot be emptied.
        world.redis.flushall()
    return _nothing


def _redis_way(world: "World", trouble: str) -> Heal:
    world.redis_server.proxy.suffer(Trouble(trouble))
    return lambda: world.redis_server.proxy.suffer(None)


def _store_way(world: "World", trouble: str) -> Heal:
    assert world.store_proxy is not None
    proxy = world.store_proxy
    proxy.suffer(Trouble(trouble))
    return lambda: proxy.suffer(None)


def _fill(world: "World", _: str) -> Heal:
    assert world.disk is not None
    ballast = world.disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(_FULL))
    return lambda: ballast.unlink(missing_ok=True)


_STRIKES: Mapping[str, Callable[["World", str], Heal]] = {
    "kill": _kill,
    "term": _term,
    "freeze": _freeze,
    "redis-kill": _end_redis(signal.SIGKILL),
    "redis-term": _end_redis(signal.SIGTERM),
    "redis-freeze": _freeze_redis,
    "redis-flush": _flush,
    "redis-way": _redis_way,
    "store-way": _store_way,
    "disk-full": _fill,
}
TARGETS: Mapping[str, Sequence[str]] = {
    "kill": list(ROLES),
    "term": list(ROLES),
    "freeze": list(ROLES),
    "redis-kill": ["redis"],
    "redis-term": ["redis"],
    "redis-freeze": ["redis"],
    "redis-flush": ["redis"],
    "redis-way": _OF_REDIS,
    "store-way": list(Trouble),
    "disk-full": ["disk"],
}


def possible(world: "World") -> list[str]:
    """
    The kinds that can strike in this world.
    """
    impossible = {
        "store-way": world.store_proxy is None,
        "disk-full": world.disk is None,
    }
    return [kind for kind in TARGETS if not impossible.get(kind)]
