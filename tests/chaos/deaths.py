"""A worker is killed in the middle of a shard: how long until another has the shard."""

import json
import signal
import time
from pathlib import Path

from support.waiting import until

from tests.chaos.world import World
from workers import redis_names as names

BAR_SECONDS = 45.0
_SHARD = 10_000


def report(world: World, count: int, out: Path) -> int:
    """
    Kill so many workers; 1 if a shard waited too long.
    """
    seconds = []
    for _ in range(count):
        seconds.append(_death(world))
        print(f"taken over after {seconds[-1]:.1f} s", flush=True)  # noqa: T201
    told = {"deaths": count, "seconds": [round(one, 1) for one in seconds]}
    out.with_suffix(".deaths.json").write_text(json.dumps(told))
    print(json.dumps(told))  # noqa: T201
    return 1 if max(seconds) > BAR_SECONDS else 0


def _death(world: World) -> float:
    job = world.client.generations.create(world.label_generator, _SHARD, shard_size=_SHARD).job
    steps = names.steps("default", job.id, 1)
    first = str(until(lambda: world.redis.hget(steps, "w:0"), 120))
    time.sleep(2)
    role = next(
        role for role in ("compute-0", "compute-1") if f"-{world.fleet.pid(role)}-" in first
    )
    # It stays dead: the idle one has to do it.
    begin = time.monotonic()
    world.fleet.signal(role, signal.SIGKILL)
    until(lambda: world.redis.hget(steps, "w:0") != first, 120)
    took = time.monotonic() - begin
    world.client.jobs.cancel(job.id)
    until(lambda: world.client.jobs.get(job.id).ended, 60)
    return took
