"""Whether the store has room for what is about to be written."""

from service.errors import InsufficientStorage
from workers.storage.base import ObjectStore


class Room:
    """The store's free room, less a reserve that is never touched.

    Args:
        store: the bucket; one that cannot tell its room has room for everything.
        reserve: bytes that must stay free.
    """

    def __init__(self, store: ObjectStore, reserve: int) -> None:
        self._store = store
        self._reserve = reserve

    def free(self) -> int | None:
        """Bytes that may still be written; None where that cannot be known."""
        free = self._store.free_bytes()
        return None if free is None else max(0, free - self._reserve)

    def require(self, size: int, what: str) -> None:
        """Refuse what does not fit.

        Args:
            size: bytes to come, as far as is known.
            what: what they are, for the message.

        Raises:
            InsufficientStorage: with how much is wanted and how much is there.
        """
        free = self.free()
        if (free is not None and size > free) or free == 0:
            raise InsufficientStorage(
                f"{what} needs about {size:,} bytes; the store has room for {free:,}",
                "free room in the store, or ask for less",
            )
