"""Zip files from strangers: read in memory, within limits, and never unpacked to a disk.

Sizes in a zip are claims of whoever wrote it, so bytes are counted as they come out. Knows no
layout: what the files mean is for `formats/` to say.
"""

import io
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from models.data.problems import Problems
from models.errors import InvalidDataset, InvalidImage

_CHUNK = 2**16
_NESTED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_JUNK = (".ds_store", "thumbs.db", "desktop.ini")
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


@dataclass(frozen=True)
class ArchiveLimits:
    """How much a zip may hold.

    Attributes:
        members: entries, folders and junk included.
        directory_bytes: size of the zip's table of contents, which is read at once.
        file_bytes, total_bytes: uncompressed bytes of one file, and of all together.
        ratio: uncompressed by compressed bytes of a file; judged above 1 MiB only, for small
            flat masks compress well.
    """

    members: int = 20_000
    directory_bytes: int = 8 * 2**20
    file_bytes: int = 128 * 2**20
    total_bytes: int = 16 * 2**30
    ratio: int = 200


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
        self.name = name
        self._limits = limits or ArchiveLimits()
        self._read_bytes = 0
        source = _Guarded(path, self._limits.directory_bytes)
        try:
            self._zip = zipfile.ZipFile(source)
            self._members = _members(self._zip.infolist(), name, self._limits)
        except (*_DAMAGE, _TooMuch) as error:
            source.close()
            raise InvalidDataset([(name, f"is not a readable zip ({error})")]) from error
        except InvalidDataset:
            source.close()
            raise
        self._source = source
        self.names = tuple(sorted(self._members))

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
        member, content = self._members[name], bytearray()
        try:
            with self._zip.open(member) as source:
                while chunk := source.read(_CHUNK):
                    content += chunk
                    self._count(member, name, len(content), len(chunk))
        except _DAMAGE as error:
            raise InvalidImage(name, f"is damaged in the zip ({error}); pack it again") from error
        return bytes(content)

    def _count(self, member: zipfile.ZipInfo, name: str, size: int, more: int) -> None:
        """Judge what has come out so far: `size` bytes of this file, `more` of them new."""
        limits = self._limits
        self._read_bytes += more
        if size > limits.file_bytes:
            raise InvalidImage(name, f"is larger than {limits.file_bytes:,} bytes; shrink it")
        if size > 2**20 and size > limits.ratio * max(1, member.compress_size):
            raise InvalidImage(name, f"unpacks to over {limits.ratio} times its size; store it")
        if self._read_bytes > limits.total_bytes:
            problem = f"unpacks to more than {limits.total_bytes:,} bytes; split the dataset"
            raise InvalidDataset([(self.name, problem)])


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


def _members(
    entries: list[zipfile.ZipInfo], name: str, limits: ArchiveLimits
) -> dict[str, zipfile.ZipInfo]:
    """The files worth reading, by path; every unacceptable one is reported at once."""
    problems = Problems()
    if len(entries) > limits.members:
        found = f"holds {len(entries):,} entries, over {limits.members:,}"
        problems.add(name, f"{found}; split the dataset")
        problems.check()
    members: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        path = entry.filename.replace("\\", "/")
        if problem := _problem(entry, path):
            problems.add(repr(path)[1:-1], problem)
        elif not entry.is_dir() and not _is_junk(path):
            if path in members:
                problems.add(path, "is in the zip twice; keep one of the two")
            members[path] = entry
    problems.check()
    return members


def _problem(entry: zipfile.ZipInfo, path: str) -> str | None:
    """Why this entry is not accepted, if it is not."""
    parts = path.rstrip("/").split("/")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if "\0" in entry.orig_filename or not path.isprintable():
        return "has control characters in its name; rename it"
    if parts[0].endswith(":") or any(part in ("", ".", "..") for part in parts):
        return "points outside of the archive; paths must be plain, as in images/a.png"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device; put the file itself into the zip"
    if entry.flag_bits & 0x1:
        return "is encrypted; pack it without a password"
    if entry.compress_type not in _METHODS:
        return f"is compressed by method {entry.compress_type}; use deflate or store"
    if path.lower().endswith(_NESTED) and not _is_junk(path):
        return "is an archive within the archive; unpack it first"
    return None


def _is_junk(path: str) -> bool:
    """What file managers leave in zips."""
    parts = PurePosixPath(path).parts
    name = parts[-1].lower()
    return parts[0] == "__MACOSX" or name in _JUNK or name.startswith("._")
