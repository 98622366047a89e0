"""What must hold when all is calm again: right ends, the same bytes, nothing left over."""

import hashlib
import io
import json
import re
import tarfile
import time
from collections.abc import Callable, Mapping

from tests.chaos.pipeline import COUNT, Customer
from tests.chaos.world import World, answers
from workers import keys
from workers import redis_names as names
from workers.storage.local import LocalStore
from workers.storage.s3 import S3Store

Digests = Mapping[str, str]
"""The sha256 of everything that a resource holds, by path."""

_TENANT = "default"
_OF_JOBS = re.compile(r"(spec|cancel|end|life-\d+)\.json")
_CALM_SECONDS = 60.0


def digests(world: World, resource_id: str) -> Digests:
    """
    What a resource holds, but for its first document, which has a time and an id.
    """
    collection = {"dst": "datasets", "gnn": "generations"}[resource_id.partition("_")[0]]
    prefix = keys.inside(_TENANT, collection, resource_id, "")
    found = {
        info.key.removeprefix(prefix): hashlib.sha256(world.store.get(info.key)).hexdigest()
        for info in world.store.list(prefix)
    }
    found.pop("resource.json", None)
    return found


def judge(world: World, customer: Customer, reference: Mapping[str, Digests]) -> list[str]:
    """
    All that is wrong, in words.
    """
    found = _wrong_ends(world, customer)
    for role, wanted in reference.items():
        found += _differences(role, wanted, digests(world, customer.resources[role]))
    found += _wrong_samples(world, customer.resources["generation"])
    found += _orphans(world, customer)
    found += _unrest(world)
    found += [*world.fleet.surprises]
    world.fleet.surprises.clear()
    return found


def _wrong_ends(world: World, customer: Customer) -> list[str]:
    """
    Jobs whose end in the bucket is not what it has to be.
    """
    found = []
    for job_id, wanted in customer.expected.items():
        ended = json.loads(world.store.get(keys.job(_TENANT, job_id, "end.json")))
        if ended["state"] != wanted:
            found.append(f"{job_id} ended as {ended['state']}, not {wanted}: {ended['error']}")
    return found


def _differences(role: str, wanted: Digests, got: Digests) -> list[str]:
    missing, more = wanted.keys() - got.keys(), got.keys() - wanted.keys()
    other = {path for path in wanted.keys() & got.keys() if wanted[path] != got[path]}
    told = {"lacks": missing, "has too much": more, "differs in": other}
    return [f"{role} {what} {', '.join(sorted(paths))}" for what, paths in told.items() if paths]


def _wrong_samples(world: World, generation: str) -> list[str]:
    """
    Whether each sample is there once, read from the shards themselves.
    """
    prefix = keys.inside(_TENANT, "generations", generation, "data/")
    seen: list[str] = []
    for info in world.store.list(prefix):
        with tarfile.open(fileobj=io.BytesIO(world.store.get(info.key))) as shard:
            seen += [name.partition(".")[0] for name in shard.getnames() if name.endswith(".json")]
    wanted = [f"{index:09d}" for index in range(COUNT)]
    return [] if sorted(seen) == wanted else [f"{len(seen)} samples, {len(set(seen))} different"]


def _orphans(world: World, customer: Customer) -> list[str]:
    """
    Objects that belong to nothing that was accepted.
    """
    found = [
        f"orphan object {info.key}"
        for info in world.store.list("")
        if info.key not in world.before and not _belongs(info.key, customer)
    ]
    return found + _half_written(world)


def _belongs(key: str, customer: Customer) -> bool:
    tenant, collection, rest = key.split("/", 2)
    owner, _, path = rest.partition("/")
    if tenant != _TENANT:
        return False
    if collection == "jobs":
        return owner in customer.expected and bool(_OF_JOBS.fullmatch(path))
    return collection == "idempotency" or owner in customer.resources.values()


def _half_written(world: World) -> list[str]:
    """
    What writers have left in the store that is no object.
    """
    world.store.remove_left_over(seconds=0)
    if isinstance(world.store, LocalStore):
        return [f"left over: {path}" for path in (world.store._root / ".tmp").iterdir()]
    assert isinstance(world.store, S3Store)
    parts = world.store._client.list_multipart_uploads(Bucket=world.store._bucket)
    return [f"open multipart upload {part['Key']}" for part in parts.get("Uploads", [])]


def _unrest(world: World) -> list[str]:
    """
    What does not come to rest: leases, waiting steps, a service that is not ready.
    """
    redis = world.redis
    counts: Mapping[str, Callable[[], int]] = {
        "leases": lambda: redis.zcard(names.LEASES),
        "living jobs": lambda: redis.scard(names.LIVING),
        "postponed steps": lambda: redis.zcard(names.LATER),
        "queued steps": lambda: sum(world.queue.depths().values()),
        "refusals to be ready": lambda: not answers(world.client),
    }
    deadline, left = time.monotonic() + _CALM_SECONDS, dict(counts)
    while left and time.monotonic() < deadline:
        left = {what: count for what, count in left.items() if count()}
        time.sleep(0.1)
    return [f"still {count()} {what}" for what, count in left.items()]


def remove_all(world: World) -> None:
    """
    Remove what a run has made, so that every run begins alike.
    """
    for info in list(world.store.list("")):
        if info.key not in world.before:
            world.store.delete(info.key)
