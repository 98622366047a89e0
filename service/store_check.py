"""Whether the store can be used: it answers each time, and has taken an object a minute ago."""

import secrets
import time
from collections.abc import Callable

from workers.errors import StorageError
from workers.storage.base import ObjectStore

PROBES = "_probe/"
"""Below which objects are written only to see whether they can be; no tenant is called so."""

_EVERY_SECONDS = 60.0


class StoreCheck:
    """The store's check, and now and then a write.

    Args:
        store: the bucket.
        seconds: a clock that only goes forward.
    """

    def __init__(self, store: ObjectStore, seconds: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._seconds = seconds
        self._written_at = -_EVERY_SECONDS

    def __call__(self) -> None:
        """Raise what speaks against the store."""
        self._store.check()
        now = self._seconds()
        if now - self._written_at >= _EVERY_SECONDS:
            write_and_read(self._store)
            self._written_at = now


def write_and_read(store: ObjectStore) -> None:
    """Write an object, read it, remove it.

    Raises:
        StorageError: one of these failed, or something else was read.
    """
    key, data = probe_key(), secrets.token_bytes(16)
    store.put(key, data)
    try:
        if store.get(key) != data:
            raise StorageError("the store gave back other bytes than it had been given")
    finally:
        store.delete(key)


def probe_key() -> str:
    """A key that nothing has."""
    return f"{PROBES}{secrets.token_hex(8)}"
