"""From a checkpoint file to the objects in it: one small reader per container format."""

import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from models.checkpoints.numpy_files import read_npy, read_npz
from models.checkpoints.pickles.budget import Budget
from models.checkpoints.pickles.stand_ins import Report, printable
from models.checkpoints.pickles.tensors import Storage, empty_storage, fill, raw_bytes
from models.checkpoints.pickles.window import Window
from models.checkpoints.sniff import FileKind, sniff
from models.checkpoints.unpickle import read_legacy, read_pickle
from models.checkpoints.zip_directory import (
    STORED,
    Member,
    check_sum,
    compare_sums,
    opened,
    read_directory,
)
from models.errors import CheckpointError, UnsafeCheckpoint


@dataclass(frozen=True)
class Contents:
    """The objects of one file.

    Attributes:
        root: what the file holds: containers, numbers, tensors, arrays, `PersistedObject`,
            `Inert`. Nothing in it contains itself, and walking it as a tree comes to an end.
        inert: the names that were not imported and not run.
    """

    root: Any
    inert: frozenset[str]


def read_contents(path: Path) -> Contents:
    """The objects of a pickle, a torch file or a numpy file.

    Raises:
        CheckpointError: not such a file.
        UnsafeCheckpoint: damaged, or asks for what is never given.
    """
    kind = sniff(path)
    if kind not in _READERS:
        raise CheckpointError(f"{path} is a {kind} file, which holds no Python objects")
    report = Report()
    try:
        with path.open("rb") as file:
            root = _READERS[kind](file, os.fstat(file.fileno()).st_size, report)
    except UnsafeCheckpoint as error:
        raise UnsafeCheckpoint(f"{path} ({kind}): {error}") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    return Contents(root, frozenset(report.inert))


def _read_plain(file: BinaryIO, size: int, report: Report) -> Any:
    return read_pickle(Window(file, 0, size), report)


def _read_legacy(file: BinaryIO, size: int, report: Report) -> Any:
    return read_legacy(Window(file, 0, size), report)


def _read_npy(file: BinaryIO, size: int, report: Report) -> Any:
    return read_npy(Window(file, 0, size), report, Budget(size))


def _read_zip(file: BinaryIO, size: int, report: Report) -> Any:
    """A torch file since 1.6: `*/data.pkl` and one uncompressed `*/data/{key}` per storage."""
    members = read_directory(file, size)
    pickles = [name for name in members if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise UnsafeCheckpoint(f"a torch zip has one data.pkl, this has {len(pickles)}")
    budget = Budget(size)
    source = _ZipStorages(file, size, members, pickles[0].removesuffix("data.pkl"), budget)
    window, member = source.member("data.pkl")
    check_sum(window.again(), member)
    return read_pickle(window, report, source, budget)


class _ZipStorages:
    """Storages of a torch zip, each read once."""

    def __init__(
        self,
        file: BinaryIO,
        size: int,
        members: Mapping[str, Member],
        prefix: str,
        budget: Budget,
    ) -> None:
        self._file, self._size, self._budget = file, size, budget
        self._members, self._prefix = members, prefix
        self._found: dict[str, Storage] = {}
        if f"{prefix}byteorder" in members:
            order, _ = self.member("byteorder")
            if order.read(min(order.remaining, 16)) != b"little":
                raise UnsafeCheckpoint("big-endian torch files are not supported")

    def member(self, name: str) -> tuple[Window, Member]:
        """The bytes of one member, stored as they are."""
        member = self._members.get(self._prefix + name)
        if member is None:
            raise UnsafeCheckpoint(f"the zip file has no member {printable(self._prefix + name)}")
        if member.method != STORED or member.stored != member.size:
            shown = printable(member.name)
            raise UnsafeCheckpoint(f"member {shown} is compressed, torch never does that")
        return opened(self._file, self._size, member), member

    def __call__(self, key: str, dtype: torch.dtype, numel: int) -> Storage:
        """The storage `key`."""
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._read(key, dtype, numel)
        if found.data.dtype is not dtype or found.data.numel() != numel:
            raise UnsafeCheckpoint(f"storage {printable(key)} is described in two ways")
        return found

    def _read(self, key: str, dtype: torch.dtype, numel: int) -> Storage:
        """The storage `key`, out of the file."""
        window, member = self.member(f"data/{key}")
        if window.remaining != numel * dtype.itemsize:
            raise UnsafeCheckpoint(
                f"storage {printable(key)} has {window.remaining} bytes, not {numel} numbers"
            )
        storage = empty_storage(dtype, numel, self._budget)
        fill(storage, window)
        compare_sums(zlib.crc32(raw_bytes(storage.data)), member)
        return storage


_READERS: Mapping[FileKind, Callable[[BinaryIO, int, Report], Any]] = {
    FileKind.PICKLE: _read_plain,
    FileKind.TORCH_LEGACY: _read_legacy,
    FileKind.TORCH_ZIP: _read_zip,
    FileKind.NPY: _read_npy,
    FileKind.NPZ: lambda file, size, report: read_npz(file, size, report),
}
