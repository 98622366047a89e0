"""Cancels of running jobs at random moments: how long each takes, and that it stays cancelled."""

import json
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from service.client import BadRequest, Resource
from tests.chaos.world import World

BAR_SECONDS = 5.0
_LATEST_SECONDS = 2.0
_LOOK_SECONDS = 0.02
_GIVE_UP_SECONDS = 60.0

KINDS: Mapping[str, Callable[[World], Resource]] = {
    "generation": lambda world: world.client.generations.create(
        world.label_generator, 20_000, shard_size=200
    ),
    "training": lambda world: world.client.label_generators.create(
        world.inversion, max_steps=1_000_000
    ),
    "end": lambda world: world.client.generations.create(world.label_generator, 60, shard_size=20),
}
"""Long ones, and one that may end at any moment."""


def report(world: World, count: int, out: Path) -> int:
    """
    Cancel so many jobs; 1 if one took too long or ended otherwise.
    """
    stream, seconds, wrong = random.Random(0), [], []
    while len(seconds) < count:
        kind = stream.choice(sorted(KINDS))
        took = _cancelled(world, kind, stream.uniform(0, _LATEST_SECONDS))
        if took is None:  # It ended before it could be cancelled, and said so.
            continue
        seconds.append(took)
        if took > BAR_SECONDS:
            wrong.append(f"{kind} {len(seconds)}: {took:.1f} s")
        if len(seconds) % 20 == 0:
            print(f"{len(seconds)} cancelled, slowest {max(seconds):.2f} s", flush=True)  # noqa: T201
    seconds.sort()
    told = {
        "cancels": count,
        "median": seconds[count // 2],
        "p95": seconds[int(count * 0.95)],
        "slowest": seconds[-1],
        "wrong": wrong,
    }
    out.with_suffix(".cancels.json").write_text(json.dumps(told, indent=1))
    print(json.dumps(told, indent=1))  # noqa: T201
    return 1 if wrong or world.fleet.surprises else 0


def _cancelled(world: World, kind: str, after: float) -> float | None:
    """
    Seconds from the wish to its fulfilment; None if the job was faster.
    """
    client = world.client
    job_id = KINDS[kind](world).job.id
    while client.jobs.get(job_id).state == "queued":
        time.sleep(_LOOK_SECONDS)
    time.sleep(after)
    begin = time.monotonic()
    try:
        job = client.jobs.cancel(job_id)
    except BadRequest:
        return None
    while not job.ended and time.monotonic() < begin + _GIVE_UP_SECONDS:
        time.sleep(_LOOK_SECONDS)
        job = client.jobs.get(job_id)
    took = time.monotonic() - begin
    assert job.state == "cancelled", job
    return took
