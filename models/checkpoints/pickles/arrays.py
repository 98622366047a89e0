"""Numpy's dtypes, arrays and scalars as pickles build them: numbers, or objects already read."""

import re
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.checkpoints.pickles.budget import CONTAINER, ITEM, Budget
from models.checkpoints.pickles.stand_ins import Blob, shown
from models.checkpoints.pickles.window import Window
from models.errors import UnsafeCheckpoint

Order = Literal["<", ">"]

_NUMBERS = re.compile(r"[<>|=]?(\?|b1|i[1248]|u[1248]|f[248])")
_OBJECTS = ("O", "O4", "O8", "|O")
_MOST_DIMENSIONS = 32


@dataclass(eq=False)
class Dtype:
    """A numpy dtype in the making: a name, then a state with the byte order."""

    name: str
    order: Order = "<"

    def build(self, state: Any) -> None:
        """Takes the byte order out of the state (version, order, ...)."""
        if not isinstance(state, tuple) or len(state) < 2:
            raise UnsafeCheckpoint(f"state of numpy dtype {self.name!r} is {shown(state)}")
        self.order = ">" if state[1] == ">" else "<"

    @property
    def holds_objects(self) -> bool:
        """Whether its arrays hold Python objects."""
        return self.name in _OBJECTS

    def numbers(self) -> np.dtype[Any]:
        """The real dtype; an error unless it is one of numbers."""
        return number_dtype(self.name, self.order)


@dataclass(eq=False)
class PendingArray:
    """An array that was named and not yet filled; `places` are its keys in the memo."""

    places: list[int] = field(default_factory=list)


def number_dtype(name: str, order: Order = "<") -> np.dtype[Any]:
    """The dtype called `name`, if its values are plain numbers.

    Raises:
        UnsafeCheckpoint: text, records, objects, sub-arrays, dates.
    """
    if not _NUMBERS.fullmatch(name):
        raise UnsafeCheckpoint(f"numpy dtype {shown(name)} is not a number")
    dtype = np.dtype(name)
    return dtype.newbyteorder(order) if name[0] not in "<>|" else dtype


def dtype_named(name: Any, *_: Any) -> Dtype:
    """What numpy.dtype(name, align, copy) is in a pickle."""
    if not isinstance(name, str):
        raise UnsafeCheckpoint(f"numpy dtype {shown(name)} is not a number")
    return Dtype(name)


def array_of_state(state: Any, budget: Budget) -> NDArray[Any]:
    """The array of an ndarray's pickled state (version, shape, dtype, is_fortran, data)."""
    match state:
        case (int(), tuple() as shape, Dtype() as dtype, bool() | int() as fortran, data):
            return array_of(shape, dtype, "F" if fortran else "C", data, budget)
    raise UnsafeCheckpoint(f"unknown state of a numpy array: {shown(state)}")


def array_of(shape: Any, dtype: Any, order: Any, data: Any, budget: Budget) -> NDArray[Any]:
    """An array with memory of its own: numbers out of `data`, or the objects listed there."""
    count = checked_count(shape)
    if not isinstance(dtype, Dtype) or order not in ("C", "F"):
        raise UnsafeCheckpoint(f"numpy array of dtype {shown(dtype)}, order {shown(order)}")
    if dtype.holds_objects:
        return _objects(data, count, budget).reshape(shape, order=order)
    window = raw_window(data, budget)
    numbers = dtype.numbers()
    if window.remaining != count * numbers.itemsize:
        raise UnsafeCheckpoint(f"array of shape {shape} comes with {window.remaining} bytes")
    return numbers_in(window, numbers, count, budget).reshape(shape, order=order)


def numbers_in(window: Window, dtype: np.dtype[Any], count: int, budget: Budget) -> NDArray[Any]:
    """The next `count` numbers of `window`, in this machine's byte order."""
    if count * dtype.itemsize > window.remaining:
        raise UnsafeCheckpoint(
            f"an array claims {count * dtype.itemsize} bytes, {window.remaining} are left: cut off"
        )
    budget.hold(count * dtype.itemsize)
    flat = np.empty(count, dtype)
    if count:
        window.fill(flat.view(np.uint8).data)
    return flat if dtype.isnative else flat.byteswap(inplace=True).view(dtype.newbyteorder("="))


def scalar(dtype: Any, data: Any, budget: Budget) -> float | int | bool:
    """A numpy scalar as a Python number."""
    found = array_of((), dtype, "C", data, budget).item()
    if not isinstance(found, float | int | bool):
        raise UnsafeCheckpoint(f"a numpy scalar of type {shown(found)}")
    return found


def checked_count(shape: Any) -> int:
    """How many values an array of `shape` has."""
    if not isinstance(shape, tuple) or len(shape) > _MOST_DIMENSIONS:
        raise UnsafeCheckpoint(f"impossible array: shape is {shown(shape)}")
    if not all(type(n) is int and 0 <= n < 2**63 for n in shape):
        raise UnsafeCheckpoint(f"impossible array: shape {shape}")
    return prod(shape)


def raw_window(data: Any, budget: Budget) -> Window:
    """The bytes an array or a tensor comes with, however they were written."""
    if isinstance(data, Blob):
        return data.opened()
    if isinstance(data, str):  # written by Python 2, or with protocol 2 or less
        data = data.encode("latin1")
    if not isinstance(data, bytes):
        raise UnsafeCheckpoint(f"numbers come as {shown(data)}")
    budget.spend(len(data))
    return Window.of(data)


def _objects(data: Any, count: int, budget: Budget) -> NDArray[Any]:
    """A flat array of objects."""
    if not isinstance(data, list) or len(data) != count:
        raise UnsafeCheckpoint(f"array of {count} objects comes with {shown(data)}")
    budget.spend(CONTAINER + ITEM * count)
    array = np.empty(count, dtype=object)
    for index, item in enumerate(data):
        array[index] = item
    return array
