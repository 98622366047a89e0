"""A folder on disk, read as archives are: within limits, and never beyond itself."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from models.data.admission import PIECE, ArchiveLimits, Entry, Meter, admitted
from models.errors import InvalidImage


class Folder:
    """The files within a folder that are worth reading, by their paths.

    Links are followed to files within the folder, and refused where they lead out of it or to
    folders, which might hold themselves.

    Attributes:
        name: what errors call the folder as a whole.
        names: paths of the files, `/`-separated, sorted; without folders and junk.
    """

    def __init__(
        self, path: Path, name: str = "folder", limits: ArchiveLimits | None = None
    ) -> None:
        """List a folder.

        Raises:
            InvalidDataset: it holds links out of it, devices, or too much.
        """
        limits = limits or ArchiveLimits()
        self.name = name
        self._root = path.resolve()
        self._meter = Meter(name, limits)
        self._members = admitted(_entries(self._root, self._root), name, limits)
        self.names: Sequence[str] = tuple(sorted(self._members))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Nothing is kept open."""

    def read(self, name: str) -> bytes:
        """A file's content.

        Args:
            name: one of `names`.

        Raises:
            InvalidImage: this file is too large, or cannot be read any more.
            InvalidDataset: with it the whole folder has given more bytes than it may.
        """
        path = self._members[name]
        # Looked at again, for the folder may have changed since it was listed.
        if problem := _problem(path, self._root):
            raise InvalidImage(name, problem)
        return self._meter.gather(name, _pieces(path, name))


def _pieces(path: Path, name: str) -> Iterator[bytes]:
    try:
        with path.open("rb") as source:
            while piece := source.read(PIECE):
                yield piece
    except OSError as error:
        raise InvalidImage(name, f"cannot be read ({error.strerror})") from error


def _entries(folder: Path, root: Path) -> Iterator[Entry[Path]]:
    """All that lies in a folder and below it; what a link to a folder holds is not listed."""
    with os.scandir(folder) as listed:
        for found in listed:
            path = Path(found.path)
            is_folder = found.is_dir(follow_symlinks=False)
            problem = None if is_folder else _problem(path, root)
            yield Entry(path.relative_to(root).as_posix(), is_folder, problem, path)
            if is_folder:
                yield from _entries(path, root)


def _problem(path: Path, root: Path) -> str | None:
    """Why something that is no folder cannot be read as a file of `root`, if so."""
    try:
        target = path.resolve(strict=True)
        kind = target.stat().st_mode
    except (OSError, RuntimeError):
        return "is a link to nothing; remove it"
    if not target.is_relative_to(root):
        return "is a link out of the folder; put the file itself there"
    if not stat.S_ISREG(kind):
        return "is a device, or a link to a folder; put the files themselves there"
    return None
