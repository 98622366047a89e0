"""Numpy's .npy and .npz files, their objects through the restricted reader. Knows no torch."""

import re
from typing import Any, BinaryIO

from models.checkpoints.pickles.arrays import checked_count, number_dtype, numbers_in
from models.checkpoints.pickles.budget import Budget
from models.checkpoints.pickles.stand_ins import Report, printable, shown
from models.checkpoints.pickles.window import Window
from models.checkpoints.sniff import NUMPY
from models.checkpoints.unpickle import read_pickle
from models.checkpoints.zip_directory import (
    DEFLATED,
    STORED,
    Member,
    check_sum,
    inflated,
    opened,
    read_directory,
)
from models.errors import UnsafeCheckpoint

_LONGEST_HEADER = 4096
_HEADER = re.compile(
    r"\{\s*'descr':\s*'([<>|=]?\w{1,4})',\s*'fortran_order':\s*(True|False),"
    r"\s*'shape':\s*\(((?:[0-9]+L?\s*(?:,\s*|(?=\))))*)\),?\s*\}\s*"
)
_PACKED = 64 << 20
"""Bytes that compressed members may have beyond the file's own size."""


def read_npy(window: Window, report: Report, budget: Budget) -> Any:
    """The array in an .npy file; objects come as they are pickled there.

    Raises:
        UnsafeCheckpoint: damaged, cut off, or neither numbers nor objects.
    """
    name, fortran, shape = _header(window)
    count = checked_count(shape)
    if name == "|O":
        return read_pickle(window, report, budget=budget)
    flat = numbers_in(window, number_dtype(name), count, budget)
    return flat.reshape(shape, order="F" if fortran else "C")


def read_npz(file: BinaryIO, size: int, report: Report) -> dict[str, Any]:
    """The arrays of an .npz file by name.

    Raises:
        UnsafeCheckpoint: as for `read_npy`; or members that unpack to far more than the file.
    """
    members = read_directory(file, size)
    unpacked = sum(member.size for member in members.values())
    if unpacked > size + _PACKED:
        raise UnsafeCheckpoint(f"its members unpack to {unpacked} bytes, the file has {size}")
    budget = Budget(size + _PACKED)
    return {
        name.removesuffix(".npy"): read_npy(_contents(file, size, member), report, budget)
        for name, member in members.items()
    }


def _contents(file: BinaryIO, size: int, member: Member) -> Window:
    """The bytes of a member, unpacked."""
    window = opened(file, size, member)
    if member.method == DEFLATED:
        return Window.of(inflated(window, member))
    if member.method != STORED or member.stored != member.size:
        raise UnsafeCheckpoint(f"member {printable(member.name)} is packed in an unknown way")
    check_sum(window.again(), member)
    return window


def _header(window: Window) -> tuple[str, bool, tuple[int, ...]]:
    """Dtype, order and shape out of the front of an .npy file."""
    if window.read(len(NUMPY)) != NUMPY:
        raise UnsafeCheckpoint("not a numpy array")
    major, _ = window.read(2)
    length = int.from_bytes(window.read(2 if major == 1 else 4), "little")
    if length > _LONGEST_HEADER:
        raise UnsafeCheckpoint(f"damaged numpy array: a header of {length} bytes")
    text = window.read(length).decode("latin1")
    match = _HEADER.fullmatch(text)
    if match is None:
        raise UnsafeCheckpoint(f"a numpy array of neither numbers nor objects: {shown(text)}")
    numbers = re.findall(r"[0-9]+", match[3])
    if not all(len(number) <= 20 for number in numbers):
        raise UnsafeCheckpoint(f"impossible array: shape ({printable(match[3])})")
    return match[1], match[2] == "True", tuple(map(int, numbers))
