"""What one reading may cost, measured by the file's size. Pure arithmetic.

A pickle of one megabyte can describe a terabyte: by counts that it only announces, by one
object that it repeats, by a million empty sets. So every operation has a price in bytes, set
not below what Python takes for it, and the sum is bounded. Since no operation is free, the
time is bounded too.
"""

from models.errors import UnsafeCheckpoint

OPERATION = 48
"""Bytes that any operation pays: a number of 32 bytes and its place on the stack."""

CONTAINER = 400
"""Bytes of an empty dict, list, tuple, set or stand-in with its first items and what the walk
afterwards keeps about it."""

ITEM = 112
"""Bytes of an entry of a dict or set, at the moment its table grows."""

_FREE, _AT_MOST = 32 << 20, 256 << 20
_VIEWS, _KEYS = 8, 2_000


class Budget:
    """The purse of one reading.

    Args:
        size: bytes of the whole file.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._objects = self._allowed = _FREE + min(size, _AT_MOST)
        self._numbers = size
        self._shown = _FREE + _VIEWS * size
        self._keys = _KEYS

    def spend(self, cost: int) -> None:
        """Pays for Python objects of `cost` bytes."""
        self._objects -= cost
        if self._objects < 0:
            raise UnsafeCheckpoint(
                f"its objects need more than {self._allowed >> 20} MB besides the tensors, "
                "which no checkpoint does: damaged or made to exhaust memory"
            )

    def hold(self, count: int) -> None:
        """Pays for `count` bytes of numbers: all storages together fit into the file."""
        self._numbers -= count
        if self._numbers < 0:
            claimed = self._size - self._numbers
            raise UnsafeCheckpoint(
                f"its storages claim {claimed} bytes or more, the file has {self._size}; "
                "cut off, perhaps by a failed download, or made to exhaust memory"
            )

    def show(self, count: int) -> None:
        """Pays for a tensor of `count` bytes, a view of numbers that were paid for."""
        self._shown -= count
        if self._shown < 0:
            raise UnsafeCheckpoint(f"its tensors repeat the same numbers over {_VIEWS} times")

    def compound_key(self) -> None:
        """Pays for a tuple as a key: equal hashes of tuples are easily made."""
        self._keys -= 1
        if self._keys < 0:
            raise UnsafeCheckpoint(f"it has over {_KEYS} keys that are tuples")
