"""From a checkpoint file to the objects in it: one small reader per container format."""

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from models.checkpoints.sniff import FileKind, sniff
from models.checkpoints.unpickle import Report, Storage, read_legacy, read_pickle
from models.errors import CheckpointError, UnsafeCheckpoint


@dataclass(frozen=True)
class Contents:
    """The objects of one file.

    Attributes:
        root: what the file holds: containers, numbers, tensors, `PersistedObject`, `Inert`.
        inert: the names that were not imported and not run.
    """

    root: Any
    inert: frozenset[str]


def read_contents(path: Path) -> Contents:
    """The objects of a pickle or torch file.

    Raises:
        CheckpointError: not such a file.
        UnsafeCheckpoint: damaged, or asks for what is never given.
    """
    kind = sniff(path)
    if kind not in _READERS:
        raise CheckpointError(f"{path} is a {kind} file, which holds no Python objects")
    report = Report()
    try:
        root = _READERS[kind](path, report)
    except UnsafeCheckpoint as error:
        raise UnsafeCheckpoint(f"{path}: {error}") from error
    return Contents(root, frozenset(report.inert))


def _read_plain(path: Path, report: Report) -> Any:
    with path.open("rb") as file:
        return read_pickle(file, report)


def _read_legacy(path: Path, report: Report) -> Any:
    with path.open("rb") as file:
        return read_legacy(file, path.stat().st_size, report)


def _read_zip(path: Path, report: Report) -> Any:
    """A torch file since 1.6: `*/data.pkl` and one uncompressed `*/data/{key}` per storage."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            pickles = [name for name in members if name.endswith("data.pkl")]
            if len(pickles) != 1:
                raise UnsafeCheckpoint(f"a torch zip has one data.pkl, this has {len(pickles)}")
            prefix = pickles[0].removesuffix("data.pkl")
            source = _ZipStorages(archive, members, prefix)
            data = source.read("data.pkl")
            return read_pickle(io.BytesIO(data), report, source)
    except zipfile.BadZipFile as error:
        raise UnsafeCheckpoint(f"damaged zip file: {error}") from error


class _ZipStorages:
    """Storages of a torch zip, each read once."""

    def __init__(
        self, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], prefix: str
    ) -> None:
        self._archive, self._members, self._prefix = archive, members, prefix
        self._found: dict[str, Storage] = {}
        if f"{prefix}byteorder" in members and self.read("byteorder") != b"little":
            raise UnsafeCheckpoint("big-endian torch files are not supported")

    def read(self, name: str) -> bytes:
        """The bytes of one member, stored as they are."""
        info = self._members.get(self._prefix + name)
        if info is None:
            raise UnsafeCheckpoint(f"the zip file has no member {self._prefix + name}")
        if info.compress_type != zipfile.ZIP_STORED:
            raise UnsafeCheckpoint(f"member {info.filename} is compressed, torch never does that")
        return self._archive.read(info)

    def __call__(self, key: str, dtype: torch.dtype, numel: int) -> Storage:
        """The storage `key`."""
        if key not in self._found:
            raw = self.read(f"data/{key}")
            if len(raw) != numel * dtype.itemsize:
                raise UnsafeCheckpoint(f"storage {key} has {len(raw)} bytes, not {numel} numbers")
            data = torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.empty(0)
            self._found[key] = Storage(data.to(dtype))
        return self._found[key]


_READERS: Mapping[FileKind, Callable[[Path, Report], Any]] = {
    FileKind.PICKLE: _read_plain,
    FileKind.TORCH_LEGACY: _read_legacy,
    FileKind.TORCH_ZIP: _read_zip,
}
