"""Which files of strangers are let in: by their names, their number and their sizes.

Sizes are claims of whoever wrote them, so bytes are counted as they come out. Knows neither zip
nor tar: each of them says what its entries are, and reads them in pieces.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Generic, TypeVar

from models.data.problems import Problems
from models.errors import InvalidDataset, InvalidImage

PIECE = 2**16
"""Bytes that are read at once."""

FREE = 2**20
"""Bytes of a file up to which it may compress as well as it likes: small flat masks do."""

_NESTED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_JUNK = (".ds_store", "thumbs.db", "desktop.ini")

T = TypeVar("T")


@dataclass(frozen=True)
class ArchiveLimits:
    """How much an archive or a folder may hold.

    Attributes:
        members: entries, folders and junk included.
        directory_bytes: size of a zip's table of contents, which is read at once.
        file_bytes, total_bytes: uncompressed bytes of one file, and of all together.
        ratio: uncompressed by compressed bytes of a file (of a tar.gz: of the whole); judged
            above 1 MiB only.
    """

    members: int = 20_000
    directory_bytes: int = 8 * 2**20
    file_bytes: int = 128 * 2**20
    total_bytes: int = 16 * 2**30
    ratio: int = 200


@dataclass(frozen=True)
class Entry(Generic[T]):
    """What an archive says about one of its entries.

    Attributes:
        path: `/`-separated.
        is_folder: a folder, of which nothing is read.
        problem: why it cannot be accepted whatever its name is, if so.
        place: how the archive finds it again.
    """

    path: str
    is_folder: bool
    problem: str | None
    place: T


def admitted(entries: Iterable[Entry[T]], name: str, limits: ArchiveLimits) -> dict[str, T]:
    """The files worth reading: path -> place, without folders and junk.

    Args:
        entries: asked for one by one, and no further than `limits.members`.
        name: what errors call the archive as a whole.
        limits: how many there may be.

    Raises:
        InvalidDataset: with every entry that is not acceptable, or there are too many.
    """
    problems, members = Problems(), dict[str, T]()
    for count, entry in enumerate(entries, 1):
        if count > limits.members:
            too_many = f"holds more than {limits.members:,} entries; split the dataset"
            raise InvalidDataset([(name, too_many)])
        problem = _problem_of_name(entry.path) or entry.problem or _nested(entry.path)
        if problem:
            problems.add(repr(entry.path)[1:-1], problem)
        elif not entry.is_folder and not is_junk(entry.path):
            if entry.path in members:
                problems.add(entry.path, "is in the archive twice; keep one of the two")
            members[entry.path] = entry.place
    problems.check()
    return members


def is_junk(path: str) -> bool:
    """Whether it is one of the files that file managers leave behind."""
    parts = PurePosixPath(path).parts
    name = parts[-1].lower()
    return parts[0] == "__MACOSX" or name in _JUNK or name.startswith("._")


def _problem_of_name(path: str) -> str | None:
    parts = path.rstrip("/").split("/")
    if not path.isprintable():
        return "has control characters in its name; rename it"
    if parts[0].endswith(":") or any(part in ("", ".", "..") for part in parts):
        return "points outside of the archive; paths must be plain, as in images/a.png"
    return None


def _nested(path: str) -> str | None:
    if path.lower().endswith(_NESTED) and not is_junk(path):
        return "is an archive within the archive; unpack it first"
    return None


class Meter:
    """Counts what comes out of an archive: of each file, and of all together."""

    def __init__(self, name: str, limits: ArchiveLimits) -> None:
        """Begin at nothing; `name` is what errors call the archive as a whole."""
        self._name = name
        self._limits = limits
        self._total = 0

    def gather(self, file: str, pieces: Iterable[bytes], packed: int | None = None) -> bytes:
        """The content of one file.

        Args:
            file: what errors call it.
            pieces: its content in small pieces; no more of them are taken than the limits allow.
            packed: compressed size in bytes, where it is compressed.

        Raises:
            InvalidImage: the file is too large.
            InvalidDataset: with it the whole has given more bytes than it may.
        """
        limits, content = self._limits, io.BytesIO()
        for piece in pieces:
            content.write(piece)
            self._total += len(piece)
            if content.tell() > limits.file_bytes:
                raise InvalidImage(file, f"is larger than {limits.file_bytes:,} bytes; shrink it")
            if packed is not None and is_bomb(content.tell(), packed, limits):
                raise InvalidImage(file, f"unpacks to over {limits.ratio} times its size; store it")
            if self._total > limits.total_bytes:
                problem = f"unpacks to more than {limits.total_bytes:,} bytes; split the dataset"
                # What else there is to find is never known.
                raise InvalidDataset([(self._name, problem)], complete=False)
        return content.getvalue()  # Without a copy, unlike the bytes of a bytearray.


def is_bomb(size: int, packed: int, limits: ArchiveLimits) -> bool:
    """Whether `size` bytes are too many to come out of `packed` compressed ones."""
    return size > FREE and size > limits.ratio * max(1, packed)
