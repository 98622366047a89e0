"""Removes resources with all that is theirs: first what makes them visible, then the rest.

{tenant}/deleted/{id}.json is written before the first object goes, so that whoever dies halfway is
finished by `sweep`, and stays for two days: what a worker that wakes late still writes is removed
too, and the request that made the resource does not make it again.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from workers import keys
from workers import redis_names as names
from workers.clock import Clock, utc_now
from workers.errors import NotFound, ObjectNotFound
from workers.job_store import JobStore
from workers.jobs import JobRecord, JobState
from workers.resources import Resource
from workers.retention_rules import UPLOADS
from workers.storage.base import ObjectStore
from workers.tasks.context import canonical_json

REMEMBERED = timedelta(days=2)

ANNOUNCED = "upload.json"
"""The document that an upload begins with."""

_AT_ONCE = 16


@dataclass(frozen=True)
class Thing:
    """Something that can be removed: a resource, or an upload.

    Attributes:
        parents: ids of what it is made of.
        job_id: the job that makes it ready; None where there is none.
        is_busy: whether its job has not ended.
        is_ready: whether its last document is there; an upload is always.
        since: when it came to be as it is: its job ended, or it was made.
    """

    tenant: str
    collection: str
    id: str
    created_at: datetime
    parents: frozenset[str] = frozenset()
    job_id: str | None = None
    is_busy: bool = False
    is_ready: bool = True
    since: datetime | None = None

    @property
    def place(self) -> str:
        """Its collection and id, as in the URL."""
        return f"{self.collection}/{self.id}"

    @property
    def counts(self) -> bool:
        """Whether it keeps what it is made of from being removed: what failed does not."""
        return self.is_busy or self.is_ready

    @property
    def prefix(self) -> str:
        """What the keys of all its objects begin with."""
        return keys.inside(self.tenant, self.collection, self.id, "")


class Tombstone(BaseModel):
    """That something was deleted."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    collection: str
    id: str
    job_id: str | None
    created_at: datetime
    deleted_at: datetime


@dataclass(frozen=True)
class Removed:
    """What was removed: places, and the bytes of all their objects."""

    places: tuple[str, ...]
    bytes: int


class Removal:
    """Finds what depends on what, and removes.

    Args:
        store: the bucket.
        jobs: the job records, and Redis.
        clock: the time.
    """

    def __init__(self, store: ObjectStore, jobs: JobStore, clock: Clock = utc_now) -> None:
        self._store = store
        self._jobs = jobs
        self._clock = clock

    def things(self, tenant: str) -> list[Thing]:
        """All of a tenant's resources: what is made of others before those."""
        found: list[Thing] = []
        for collection in keys.FINAL:
            found += _gathered(self._ids(tenant, collection), self._finder(tenant, collection))
        return _leaves_first(found)

    def uploads(self, tenant: str) -> list[Thing]:
        """All of a tenant's uploads."""
        return _gathered(self._ids(tenant, UPLOADS), self._finder(tenant, UPLOADS))

    def thing(self, tenant: str, collection: str, resource_id: str) -> Thing:
        """One of them.

        Raises:
            NotFound: there is no such thing.
        """
        if collection == UPLOADS:
            return self._upload(tenant, resource_id)
        place = keys.description(tenant, collection, resource_id)
        resource = Resource.model_validate_json(self._store.get(place))
        job = self._jobs.find(resource.tenant, resource.job_id)
        return Thing(
            tenant,
            collection,
            resource.id,
            resource.created_at,
            parents=frozenset(resource.parents.values()),
            job_id=resource.job_id,
            is_busy=job is not None and not job.state.is_terminal,
            is_ready=self._is_ready(resource, job),
            since=(job.finished_at if job else None) or resource.created_at,
        )

    def remove(self, things: Sequence[Thing]) -> Removed:
        """Remove things, those that are made of others first.

        Raises:
            IllegalTransition: the job of one has not ended.
        """
        freed = 0
        for thing in things:
            grave = Tombstone(
                collection=thing.collection,
                id=thing.id,
                job_id=thing.job_id,
                created_at=thing.created_at,
                deleted_at=self._clock(),
            )
            document = canonical_json(grave.model_dump(mode="json"))
            self._store.put(keys.deleted(thing.tenant, thing.id), document, "application/json")
            freed += self._bury(thing.tenant, grave)
        return Removed(tuple(thing.place for thing in things), freed)

    def measured(self, things: Sequence[Thing]) -> Removed:
        """What `remove` would remove."""
        return Removed(
            tuple(thing.place for thing in things), sum(self.size(thing) for thing in things)
        )

    def size(self, thing: Thing) -> int:
        """The bytes of all objects of a thing."""
        return sum(info.size for info in self._store.list(thing.prefix))

    def was_removed(self, tenant: str, resource_id: str) -> bool:
        """Whether something of that id was deleted lately."""
        return self._store.size(keys.deleted(tenant, resource_id)) is not None

    def sweep(self, tenant: str) -> int:
        """Finish what was left half deleted, forget what was deleted long ago; the bytes freed."""
        freed = 0
        for info in list(self._store.list(f"{tenant}/deleted/")):
            with suppress(ObjectNotFound):  # Another process was faster.
                grave = Tombstone.model_validate_json(self._store.get(info.key))
                freed += self._bury(tenant, grave)
                if self._clock() - grave.deleted_at > REMEMBERED:
                    self._store.delete(info.key)
        return freed

    def _bury(self, tenant: str, grave: Tombstone) -> int:
        """Remove whatever there is of something; the bytes of it."""
        prefix = keys.inside(tenant, grave.collection, grave.id, "")
        objects = list(self._store.list(prefix))
        first = [f"{prefix}{name}" for name in ("resource.json", ANNOUNCED)]
        if grave.collection in keys.FINAL:
            first.append(keys.final(tenant, grave.collection, grave.id))
        there = {info.key for info in objects}
        for key in (*(key for key in first if key in there), *sorted(there - set(first))):
            self._store.delete(key)
        member = names.by_age(grave.id, grave.created_at)
        self._jobs.redis.zrem(names.resources(tenant, grave.collection), member)
        if grave.job_id is not None:
            self._jobs.remove(tenant, grave.job_id)
        return sum(info.size for info in objects)

    def _ids(self, tenant: str, collection: str) -> Iterator[str]:
        return self._store.folders(f"{tenant}/{collection}/")

    def _finder(self, tenant: str, collection: str) -> Callable[[str], Thing | None]:
        def find(resource_id: str) -> Thing | None:
            try:
                return self.thing(tenant, collection, resource_id)
            except NotFound:  # Its first document was never written, or has just gone.
                return None

        return find

    def _upload(self, tenant: str, upload_id: str) -> Thing:
        document = self._store.get(keys.inside(tenant, UPLOADS, upload_id, ANNOUNCED))
        said: Mapping[str, Any] = json.loads(document)
        return Thing(tenant, UPLOADS, upload_id, datetime.fromisoformat(said["created_at"]))

    def _is_ready(self, resource: Resource, job: JobRecord | None) -> bool:
        if job is not None:
            return job.state is JobState.SUCCEEDED
        place = keys.final(resource.tenant, resource.collection, resource.id)
        return self._store.size(place) is not None


def dependants(thing: Thing, things: Sequence[Thing]) -> list[Thing]:
    """What is made of a thing, directly; of an upload only what has not been read yet."""
    made = [each for each in things if thing.id in each.parents]
    return [each for each in made if each.is_busy] if thing.collection == UPLOADS else made


def all_dependants(thing: Thing, things: Sequence[Thing]) -> list[Thing]:
    """What is made of a thing, and what is made of that; in the order of `things`."""
    found: set[str] = set()
    new = {thing.id: thing}
    while new:
        grown = {each.id: each for other in new.values() for each in dependants(other, things)}
        new = {each: grown[each] for each in grown.keys() - found}
        found |= new.keys()
    return [each for each in things if each.id in found]


def _gathered(ids: Iterable[str], find: Callable[[str], Thing | None]) -> list[Thing]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [thing for thing in pool.map(find, ids) if thing is not None]


def _leaves_first(things: Sequence[Thing]) -> list[Thing]:
    """The same things: none stands behind one that it is made of."""
    left, ordered = {thing.id: thing for thing in things}, list[Thing]()
    while left:
        named = {parent for thing in left.values() for parent in thing.parents}
        leaves = [thing for thing in left.values() if thing.id not in named]
        for thing in leaves or list(left.values()):  # A circle cannot be, but must not hang us.
            ordered.append(left.pop(thing.id))
    return ordered
