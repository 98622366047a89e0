"""Who may ask, and how much: keys and quotas as the bucket holds them. Knows no HTTP.

_access/keys/{id}/{version}.json          an API key
_access/quotas/{tenant}/{version}.json    what a tenant may use, where that is not the default

Documents never change; a change writes the next version, if nobody else has, and the last version
counts. So one listing tells all that is new, and only that is read. Nothing is ever removed: once
there has been a key, requests need one, though it may have been revoked since.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from service.api_keys import ApiKey, Scope, new_id, new_secret, token
from service.quota import Quota
from workers import keys
from workers.clock import Clock, utc_now
from workers.errors import NotFound
from workers.storage.base import ObjectStore
from workers.tasks.context import canonical_json

Document = TypeVar("Document", bound=BaseModel)

_KEYS, _QUOTAS = "keys", "quotas"
_MODELS: Mapping[str, type[BaseModel]] = {_KEYS: ApiKey, _QUOTAS: Quota}
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Access:
    """All keys and quotas at one time.

    Attributes:
        has_keys: whether there has ever been a key, readable or not.
        keys: by public id.
        quotas: by tenant.
    """

    has_keys: bool
    keys: Mapping[str, ApiKey]
    quotas: Mapping[str, Quota]


class AccessDocuments:
    """Reads and writes keys and quotas.

    Every method raises `StorageUnavailable` where the bucket cannot be reached.

    Args:
        store: the bucket.
        clock: the time, in UTC.
    """

    def __init__(self, store: ObjectStore, clock: Clock = utc_now) -> None:
        self._store = store
        self._clock = clock
        self._read: dict[str, BaseModel | None] = {}

    def load(self) -> Access:
        """All keys and quotas: one listing, and what it names that was not read before."""
        newest = self._newest("")
        known = {place: self._document(place) for place in newest.values()}
        self._read = known
        found = {name: document for name, place in newest.items() if (document := known[place])}
        return Access(
            has_keys=any(kind == _KEYS for kind, _ in newest),
            keys={name: d for (_, name), d in found.items() if isinstance(d, ApiKey)},
            quotas={name: d for (_, name), d in found.items() if isinstance(d, Quota)},
        )

    def create(
        self, tenant: str, scope: Scope, name: str = "", lifetime: timedelta | None = None
    ) -> tuple[ApiKey, str]:
        """Make a key; it, and the token that nobody will see again."""
        now = self._clock()
        secret, digest = new_secret()
        key = ApiKey.model_validate(
            {
                "id": new_id(),
                "tenant": tenant,
                "scope": scope,
                "name": name,
                "created_at": now,
                "expires_at": now + lifetime if lifetime else None,
                "secrets": [{"digest": digest}],
            }
        )
        self._store.put_if_absent(keys.access(_KEYS, key.id, 1), _bytes(key))
        return key, token(key.id, secret)

    def revoke(self, key_id: str) -> ApiKey:
        """Make a key useless for good.

        Raises:
            NotFound: there is no such key.
        """
        return self._change(_KEYS, key_id, lambda key: key.revoked(self._clock()), ApiKey)

    def rotate(self, key_id: str, grace: timedelta) -> tuple[ApiKey, str]:
        """Give a key another secret; the old one counts for `grace` longer.

        Raises:
            NotFound: there is no such key, or it does not count any more.
        """
        secret, digest = new_secret()

        def rotated(key: ApiKey) -> ApiKey:
            now = self._clock()
            if fault := key.fault(now):
                raise NotFound(f"key {key_id} {fault}; make a new one")
            return key.rotated(digest, now, grace)

        return self._change(_KEYS, key_id, rotated, ApiKey), token(key_id, secret)

    def change_quota(self, tenant: str, change: Callable[[Quota], Quota]) -> Quota:
        """Say anew what a tenant may use, knowing what was said before."""
        return self._change(_QUOTAS, tenant, change, Quota, Quota())

    def _change(
        self,
        kind: str,
        name: str,
        change: Callable[[Document], Document],
        model: type[Document],
        first: Document | None = None,
    ) -> Document:
        """Write the next version of a document, however many others do the same.

        Args:
            kind: of document.
            name: whose.
            change: from the last version to the next.
            model: what it is.
            first: the last version, where there is none.
        """
        while True:
            place = self._newest(f"{kind}/{name}/").get((kind, name))
            found = model.model_validate_json(self._store.get(place)) if place else first
            if found is None:
                raise NotFound(f"there is no key {name[:80]!r}")
            changed = change(found)
            version = _version(place) + 1 if place else 1
            if self._store.put_if_absent(keys.access(kind, name, version), _bytes(changed)):
                return changed

    def _newest(self, below: str) -> dict[tuple[str, str], str]:
        """The last version of every document, by kind and name."""
        found = {}
        for info in self._store.list(f"{keys.ACCESS}/{below}"):  # In key order: the last stays.
            match info.key.split("/"):
                case [_, kind, name, _] if kind in _MODELS:
                    found[kind, name] = info.key
        return found

    def _document(self, place: str) -> BaseModel | None:
        """A document, read once; None if it cannot be understood, and is thus of no use."""
        if place in self._read:
            return self._read[place]
        try:
            return _MODELS[place.split("/")[1]].model_validate_json(self._store.get(place))
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            _log.error("a key or quota cannot be read", document=place, faults=faults)
            return None


def _version(place: str) -> int:
    return int(place.rpartition("/")[2].removesuffix(".json"))


def _bytes(document: BaseModel) -> bytes:
    return canonical_json(document.model_dump(mode="json"))
