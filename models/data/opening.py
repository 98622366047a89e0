"""The one door to files of strangers: a zip, a tar, a tar.gz or a folder, told by content."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from models.data.admission import ArchiveLimits
from models.data.archives import Archive
from models.data.folders import Folder
from models.data.labelled import Files
from models.data.tar_archives import GZIP, TarArchive
from models.data.tar_headers import BLOCK, begins_a_tar
from models.errors import InvalidDataset

# What other programs pack, and what theirs begin with.
_OTHERS: Mapping[bytes, str] = {
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "rar",
}


class OpenFiles(Files, Protocol):
    """Files that are held open until the `with` ends."""

    def __enter__(self) -> Self:
        """Hold them open."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Let them go."""


def open_files(path: Path, name: str = "archive", limits: ArchiveLimits | None = None) -> OpenFiles:
    """The files of an archive or a folder, its table of contents judged already.

    Args:
        path: what to open; its name says nothing about what it is.
        name: what errors call the whole.
        limits: how much it may hold.

    Raises:
        InvalidDataset: it is none of these, is hostile, or holds too much.
    """
    if path.is_dir():
        return Folder(path, name, limits)
    with path.open("rb") as source:
        begin = source.read(BLOCK)
    if begin.startswith(GZIP) or begins_a_tar(begin):
        return TarArchive(path, name, limits)
    # A zip is known by its end: programs that unpack themselves stand in front of some.
    if begin.startswith(b"PK") or zipfile.is_zipfile(path):
        return Archive(path, name, limits)
    raise InvalidDataset([(name, f"{_found(begin)}; pack the dataset as zip, tar or tar.gz")])


def _found(begin: bytes) -> str:
    for magic, program in _OTHERS.items():
        if begin.startswith(magic):
            return f"is packed by {program}"
    return f"is no archive: it begins with {begin[:8]!r}" if begin else "is empty"
