"""Numpy's .npy files from strangers: plain numbers alone, of the size that the file really has.

A file is a magic number, a version, the length of a header, the header as a Python dictionary,
and the numbers. The header is matched, never evaluated, and nothing is allocated by its word.
"""

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidImage

MAGIC = b"\x93NUMPY"

_LONGEST_HEADER = 4096
_HEADER = re.compile(
    r"\{\s*'descr':\s*(.{1,64}?),\s*'fortran_order':\s*(True|False),"
    r"\s*'shape':\s*\((\d{0,9}(?:,\s?\d{1,9}){0,5}),?\s*\),?\s*\}\s*"
)
_NUMBERS = re.compile(r"'[<>|=]?(b1|[iu][1248]|f[248])'")


def read_npy(data: bytes, name: str, kinds: str) -> NDArray[Any]:
    """The array in an .npy file, read-only.

    Args:
        data: the whole file.
        name: what errors call it.
        kinds: which numbers are wanted, as letters of numpy's `dtype.kind`, e.g. "biu".

    Raises:
        InvalidImage: damaged, cut off, empty, or neither numbers nor of these kinds.
    """
    dtype, fortran, shape, start = _header(data, name)
    if dtype.kind not in kinds:
        wanted = "whole numbers" if "f" not in kinds else "floating-point numbers"
        raise InvalidImage(name, f"holds {dtype} numbers; save it as {wanted}")
    wanted_bytes, found_bytes = math.prod(shape) * dtype.itemsize, len(data) - start
    if wanted_bytes != found_bytes:
        sizes = f"has {found_bytes:,} bytes of numbers, but its shape {shape} takes"
        raise InvalidImage(name, f"is cut off or damaged: {sizes} {wanted_bytes:,}; save it again")
    if not wanted_bytes:
        raise InvalidImage(name, f"is empty: its shape is {shape}; save it again")
    numbers = np.frombuffer(data, dtype, offset=start)
    return numbers.reshape(shape, order="F" if fortran else "C")


def _header(data: bytes, name: str) -> tuple[np.dtype[Any], bool, tuple[int, ...], int]:
    """Dtype, order and shape out of a file's front, and where its numbers begin."""
    width = 2 if data[6:7] == b"\x01" else 4
    start = 8 + width + int.from_bytes(data[8 : 8 + width], "little")
    if not data.startswith(MAGIC) or len(data) < 8 + width:
        found = f"begins with {data[:8]!r}" if data else "is empty"
        raise InvalidImage(name, f"is no whole .npy file: it {found}; save it with numpy.save")
    if start > 8 + width + _LONGEST_HEADER:
        raise InvalidImage(name, f"is damaged: its header takes {start:,} bytes; save it again")
    match = _HEADER.fullmatch(data[8 + width : start].decode("latin1"))
    if match is None:
        raise InvalidImage(name, "is damaged: its header is not numpy's; save it again")
    if not _NUMBERS.fullmatch(match[1]):
        found = match[1].encode("unicode_escape").decode()
        raise InvalidImage(name, f"holds {found}, not plain numbers; save an array of numbers")
    shape = tuple(int(part) for part in match[3].split(",") if part)
    return np.dtype(match[1][1:-1]), match[2] == "True", shape, start
