"""The stream that torch wrote before 1.6, and writes for a single storage. Knows no pickle.

Five pickles (magic number, protocol, system, object, storage keys), then for each key the
count as little-endian int64 and the raw numbers.
"""

from collections.abc import Callable
from typing import Any

import torch

from models.checkpoints.pickles.budget import Budget
from models.checkpoints.pickles.stand_ins import shown
from models.checkpoints.pickles.tensors import Storage, StorageSource, empty_storage, fill
from models.checkpoints.pickles.window import Window
from models.errors import UnsafeCheckpoint

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

PickleOf = Callable[[Window, StorageSource | None], Any]
"""Reads the next pickle, given where its storages come from."""


def read_stream(window: Window, budget: Budget, next_pickle: PickleOf) -> Any:
    """The object of a stream.

    Raises:
        UnsafeCheckpoint: not such a stream, or one that does not add up.
    """
    magic, protocol, _ = (next_pickle(window, None) for _ in range(3))
    if (magic, protocol) != (MAGIC, PROTOCOL):
        raise UnsafeCheckpoint(f"not a legacy torch stream: {shown(magic)}, {shown(protocol)}")
    storages = _Announced(budget)
    found = next_pickle(window, storages)
    keys = next_pickle(window, None)
    if not isinstance(keys, list) or not all(isinstance(key, str | int) for key in keys):
        raise UnsafeCheckpoint(f"the list of storages is {shown(keys)}")
    names = [str(key) for key in keys]
    if len(names) != len(storages.found) or set(names) != storages.found.keys():
        raise UnsafeCheckpoint("the list of storages does not match the storages in use")
    for name in names:
        _read_numbers(storages.found[name], window)
    return found


class _Announced:
    """Storages that the object names; their numbers follow later."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.found: dict[str, Storage] = {}

    def __call__(self, key: str, dtype: torch.dtype, numel: int) -> Storage:
        """The storage `key`, its numbers still to come."""
        if key not in self.found:
            self.found[key] = empty_storage(dtype, numel, self._budget)
        return self.found[key]


def _read_numbers(storage: Storage, window: Window) -> None:
    """One storage's count and numbers."""
    expected = storage.data.numel()
    numel = int.from_bytes(window.read(8), "little", signed=True)
    if numel != expected:
        raise UnsafeCheckpoint(f"a storage of {expected} numbers says it has {numel}")
    fill(storage, window)
