"""Zip files from strangers: read in memory, within limits, and never unpacked to a disk.

Knows no layout: what the files mean is for `formats/` to say.
"""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from models.data.admission import PIECE, ArchiveLimits, Entry, Meter, admitted
from models.errors import InvalidDataset, InvalidImage

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

# What `zipfile` raises on damaged files; OSError where an offset points before the file.
_DAMAGE = (
    zipfile.BadZipFile,
    NotImplementedError,
    EOFError,
    OSError,
    ValueError,
    struct.error,
    zlib.error,
)


class Archive:
    """The files of a zip that are worth reading, by their paths.

    Attributes:
        name: what errors call the zip as a whole.
        names: paths of the files, `/`-separated, sorted; without folders and junk.
    """

    def __init__(
        self, path: Path, name: str = "archive", limits: ArchiveLimits | None = None
    ) -> None:
        """Open a zip and judge its table of contents.

        Raises:
            InvalidDataset: it is no zip, is encrypted or hostile, or holds too much.
        """
        limits = limits or ArchiveLimits()
        self.name = name
        self._meter = Meter(name, limits)
        source = _Guarded(path, limits.directory_bytes)
        try:
            self._zip = zipfile.ZipFile(source)
            self._members = admitted(map(_entry, self._zip.infolist()), name, limits)
        except (*_DAMAGE, _TooMuch) as error:
            source.close()
            raise InvalidDataset([(name, f"is not a readable zip ({error})")]) from error
        except InvalidDataset:
            source.close()
            raise
        self._source = source
        self.names: Sequence[str] = tuple(sorted(self._members))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._zip.close()
        self._source.close()

    def read(self, name: str) -> bytes:
        """A file's content.

        Args:
            name: one of `names`.

        Raises:
            InvalidImage: this file is damaged or too large.
            InvalidDataset: with it the whole zip has given more bytes than it may.
        """
        member = self._members[name]
        return self._meter.gather(name, self._pieces(member, name), member.compress_size)

    def _pieces(self, member: zipfile.ZipInfo, name: str) -> Iterator[bytes]:
        try:
            with self._zip.open(member) as source:
                while piece := source.read(PIECE):
                    yield piece
        except _DAMAGE as error:
            raise InvalidImage(name, f"is damaged in the zip ({error}); pack it again") from error


class _TooMuch(Exception):
    """The zip asked for more memory than its table of contents may take."""


class _Guarded(io.FileIO):
    """A file that refuses large reads: `zipfile` reads a whole table of contents at once."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(path)
        self._limit = limit

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._limit:
            raise _TooMuch(f"its table of contents takes {size:,} bytes, over {self._limit:,}")
        return super().read(-1 if size is None else size) or b""


def _entry(entry: zipfile.ZipInfo) -> Entry[zipfile.ZipInfo]:
    path = entry.filename.replace("\\", "/")
    return Entry(path, entry.is_dir(), _problem(entry), entry)


def _problem(entry: zipfile.ZipInfo) -> str | None:
    """Why this entry is not accepted whatever its path, if it is not."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if "\0" in entry.orig_filename:
        return "has control characters in its name; rename it"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device; put the file itself into the zip"
    if entry.flag_bits & 0x1:
        return "is encrypted; pack it without a password"
    if entry.compress_type not in _METHODS:
        return f"is compressed by method {entry.compress_type}; use deflate or store"
    return None
