"""Which resources there are, newest first: a sorted set in Redis, rebuilt from the bucket.

An entry is made before the resource's first document, so a crash in between leaves an entry
that leads nowhere (readers skip it) and never a resource that no list shows.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from redis import Redis

from service.pagination import decode_cursor, encode_cursor, invalid_cursor
from workers import keys
from workers import redis_names as names
from workers.errors import ObjectNotFound
from workers.resources import Resource
from workers.storage.base import ObjectStore

_MEMBER = re.compile(r"\d{16}:[a-z]+_[0-9a-z]{1,64}")


class ResourceIndex:
    """The order of a tenant's resources in one collection.

    Args:
        redis: where the live view is; what is there may vanish at any time.
        store: the truth.
    """

    def __init__(self, redis: Redis, store: ObjectStore) -> None:
        self._redis = redis
        self._store = store

    def add(self, tenant: str, collection: str, resource_id: str, created_at: datetime) -> None:
        """Note a resource that is about to be written; noting it twice changes nothing."""
        self._redis.zadd(
            names.resources(tenant, collection), {names.by_age(resource_id, created_at): 0}
        )

    def page(
        self, tenant: str, collection: str, limit: int, after: str | None
    ) -> tuple[list[str], str | None]:
        """Ids of the next `limit` resources, newest first, and the cursor behind the last one.

        Raises:
            Unprocessable: `after` is no cursor of this list.
        """
        start = "+" if after is None else f"({_member_in(after)}"
        self._rebuild_if_lost(tenant, collection)
        found = self._redis.zrevrangebylex(
            names.resources(tenant, collection), start, "-", 0, limit + 1
        )
        members = [str(member) for member in found]
        page = members[:limit]
        cursor = encode_cursor(page[-1]) if len(members) > limit else None
        return [member.partition(":")[2] for member in page], cursor

    def _rebuild_if_lost(self, tenant: str, collection: str) -> None:
        marker = f"{names.resources(tenant, collection)}:complete"
        if self._redis.exists(marker):
            return
        for resource in _in_bucket(self._store, tenant, collection):
            self.add(tenant, collection, resource.id, resource.created_at)
        self._redis.set(marker, 1)


def _in_bucket(store: ObjectStore, tenant: str, collection: str) -> Iterator[Resource]:
    """Every resource of a collection, read from its first document."""
    for resource_id in store.folders(f"{tenant}/{collection}/"):
        with suppress(ObjectNotFound):  # Died before it was written.
            document = store.get(keys.description(tenant, collection, resource_id))
            yield Resource.model_validate_json(document)


def _member_in(after: str) -> str:
    """The entry that a cursor stands behind."""
    member = decode_cursor(after)
    if not _MEMBER.fullmatch(member):
        raise invalid_cursor(after)
    return member
