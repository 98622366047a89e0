"""One request, one thing made, however often it is sent. The truth lies in the bucket.

`{tenant}/idempotency/{sha256 of the key}.json` says which request a key belongs to. The id of
what it makes follows from the key alone, so two requests that race make the same thing, and one
that died halfway is finished by its repetition. A request that is refused leaves its key free.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from service.errors import FieldError, KeyReused, Unprocessable
from workers import ids, keys
from workers.errors import ObjectNotFound
from workers.storage.base import ObjectStore
from workers.tasks.context import canonical_json

T = TypeVar("T")


@dataclass(frozen=True)
class KeyedRequest:
    """A request that makes something.

    Attributes:
        key: its Idempotency-Key; None makes something new each time.
        made: the id of what it makes.
        fingerprint: equal for equal requests; see `fingerprint`.
    """

    tenant: str
    key: str | None
    made: str
    fingerprint: str


def id_for(collection: str, tenant: str, key: str | None) -> str:
    """The id of what a request makes: it follows from the key, where there is one."""
    return ids.derived_id(collection, tenant, key) if key is not None else ids.new_id(collection)


def fingerprint(path: str, body: Mapping[str, Any]) -> str:
    """What tells requests apart: the SHA-256 of where they went and what they meant.

    The body is the parsed one: spaces, the order of fields and spelt-out defaults do not matter.

    Raises:
        Unprocessable: a text in it cannot be written down.
    """
    try:
        document = canonical_json({"path": path, "body": dict(body)})
    except UnicodeEncodeError as error:
        raise Unprocessable(
            f"the body holds {error.object[error.start : error.end]!r}, which is no character",
            "send text as UTF-8; of a surrogate pair both halves are needed",
        ) from error
    return hashlib.sha256(document).hexdigest()


class Idempotency:
    """Lets each keyed request through once.

    Args:
        store: the bucket.
        clock: the time, in UTC.
    """

    def __init__(self, store: ObjectStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    def once(
        self,
        request: KeyedRequest,
        find: Callable[[str], T | None],
        prepare: Callable[[str], Callable[[datetime], T]],
    ) -> tuple[T, bool]:
        """What the request makes, and whether it was there before.

        Args:
            request: what is asked.
            find: what has that id, complete; else None.
            prepare: judges the request, writes nothing, and returns what makes the thing, given
                the time at which it counts as made; making twice must be harmless.

        Raises:
            KeyReused: the key belongs to another request.
        """
        if self._claimed_at(request) is not None and (there := find(request.made)) is not None:
            return there, True
        make = prepare(request.made)
        return make(self._claim(request)), False

    def _claim(self, request: KeyedRequest) -> datetime:
        """Bind the key to the request; the time when that was first done."""
        now = self._clock()
        if request.key is None:
            return now
        claim = {
            "schema_version": 1,
            "fingerprint": request.fingerprint,
            "made": request.made,
            "created_at": now.isoformat(),
        }
        self._store.put_if_absent(_place(request), canonical_json(claim))
        return self._claimed_at(request) or now

    def _claimed_at(self, request: KeyedRequest) -> datetime | None:
        """When this very request bound its key; None if the key is free."""
        if request.key is None:
            return None
        try:
            claim = json.loads(self._store.get(_place(request)))
        except ObjectNotFound:
            return None
        if claim["fingerprint"] != request.fingerprint:
            raise KeyReused(
                f"Idempotency-Key {request.key!r} was used by another request, which made "
                f"{claim['made']}",
                "send the same request again, or this one under a new key",
                [FieldError("/Idempotency-Key", "used by another request", "header")],
            )
        return datetime.fromisoformat(claim["created_at"])


def _place(request: KeyedRequest) -> str:
    assert request.key is not None
    digest = hashlib.sha256(request.key.encode()).hexdigest()
    return keys.idempotency(request.tenant, digest)
