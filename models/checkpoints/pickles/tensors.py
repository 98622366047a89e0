"""Storages and the tensors seen in them, as torch's pickles describe both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import torch
from torch import Tensor

from models.checkpoints.pickles.budget import Budget
from models.checkpoints.pickles.stand_ins import shown
from models.checkpoints.pickles.window import Window
from models.errors import UnsafeCheckpoint

STORAGE_DTYPES: Mapping[str, torch.dtype] = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

_MOST_DIMENSIONS = 32


@dataclass(eq=False)
class Storage:
    """The numbers behind tensors: `data` is a flat tensor, filled at once or later."""

    data: Tensor


class StorageSource(Protocol):
    """Where the storages that a pickle names by key come from."""

    def __call__(self, key: str, dtype: torch.dtype, numel: int) -> Storage:
        """The storage `key` of `numel` numbers."""


def stored(reference: Any, source: StorageSource) -> Storage:
    """The storage of a torch file's reference ('storage', dtype, key, location, numel, view)."""
    match reference:
        case ("storage", torch.dtype() as dtype, str() | int() as key, _, int(numel)) if numel >= 0:
            return source(str(key), dtype, numel)
        case ("storage", torch.dtype() as dtype, str() | int() as key, _, int(numel), None) if (
            numel >= 0
        ):
            return source(str(key), dtype, numel)
    raise UnsafeCheckpoint(f"unknown reference to data: {_shown_all(reference)}")


def empty_storage(dtype: torch.dtype, numel: int, budget: Budget) -> Storage:
    """Room for `numel` numbers, within the budget."""
    budget.hold(numel * dtype.itemsize)
    return Storage(torch.empty(numel, dtype=dtype))


def raw_bytes(data: Tensor) -> memoryview:
    """The memory of a flat tensor, to be written."""
    return data.view(torch.uint8).numpy().data


def fill(storage: Storage, window: Window) -> None:
    """Reads a storage's numbers, little-endian, from the front of `window`."""
    if not storage.data.numel():
        return
    window.fill(raw_bytes(storage.data))
    if storage.data.dtype is torch.bool:  # a byte of 2 in a bool is undefined in C++
        octets = storage.data.view(torch.uint8)
        octets.copy_(octets != 0)


def tensor_in(storage: Any, offset: Any, size: Any, stride: Any, budget: Budget) -> Tensor:
    """The numbers storage[offset ...] seen with `size` and `stride`; shares their memory.

    Raises:
        UnsafeCheckpoint: not all of it lies inside the storage, or some of it repeats.
    """
    if not isinstance(storage, Storage):
        raise UnsafeCheckpoint(f"a tensor's storage is a {shown(storage)}")
    size, stride = _counts(size), _counts(stride)
    if len(size) != len(stride) or type(offset) is not int or offset < 0:
        raise UnsafeCheckpoint(f"impossible tensor: size {size}, stride {stride}")
    numel, total = prod(size), storage.data.numel()
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if numel > total or (numel and last >= total):
        raise UnsafeCheckpoint(f"tensor of size {size} reaches past its {total} numbers")
    if not numel:
        return torch.empty(size, dtype=storage.data.dtype)
    budget.show(numel * storage.data.element_size())
    return torch.as_strided(storage.data, size, stride, offset)


def _counts(numbers: Any) -> tuple[int, ...]:
    """A size or a stride: few whole numbers, none negative, each below 2**63."""
    if not isinstance(numbers, Sequence) or len(numbers) > _MOST_DIMENSIONS:
        raise UnsafeCheckpoint(f"impossible tensor: size or stride is {shown(numbers)}")
    if not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
        raise UnsafeCheckpoint(f"impossible tensor: size or stride is {_shown_all(numbers)}")
    return tuple(numbers)


def _shown_all(values: Any) -> str:
    """The first members of a tuple, for messages."""
    if not isinstance(values, tuple | list):
        return shown(values)
    return f"({', '.join(shown(value) for value in values[:8])})"
