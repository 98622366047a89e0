"""Redis stays away for minutes amid a generation: who survives it, and how soon it goes on."""

import json
import signal
import time
from pathlib import Path

from support.waiting import until

from tests.chaos.fleet import ROLES
from tests.chaos.world import World, answers

_COUNT, _SHARD = 4000, 1000


def report(world: World, seconds: float, out: Path) -> int:
    """
    Take Redis away for so long; 1 if a process ended or the generation does.
    """
    client, fleet = world.client, world.fleet
    job = client.generations.create(world.label_generator, _COUNT, shard_size=_SHARD).job
    until(lambda: (found := client.jobs.get(job.id).progress) and found.done, 120)
    before = {role: fleet.pid(role) for role in ROLES}
    world.redis_server.signal(signal.SIGTERM)
    time.sleep(seconds)
    world.redis_server.start()
    begin = time.monotonic()
    until(lambda: answers(client), 120)
    ready = time.monotonic() - begin
    until(lambda: client.jobs.get(job.id).ended, 600)
    told = {
        "outage": seconds,
        "state": client.jobs.get(job.id).state,
        "service ready after": round(ready, 1),
        "generation ended after": round(time.monotonic() - begin, 1),
        "ended": [role for role in ROLES if fleet.pid(role) != before[role]],
    }
    out.with_suffix(".outage.json").write_text(json.dumps(told))
    print(json.dumps(told))  # noqa: T201
    return 1 if told["ended"] or told["state"] != "succeeded" else 0
