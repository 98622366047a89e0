"""Tar files from strangers, plain or gzipped: read by name, within limits, never unpacked.

A tar.gz cannot be read at any place but its start, so it is first written out as a plain tar, to
a file beside it that has no name and goes when it is closed. Knows no layout.
"""

import gzip
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from models.data.admission import PIECE, ArchiveLimits, Entry, Meter, admitted, is_bomb
from models.data.tar_headers import DamagedTar, TarEntry, read_entries
from models.errors import InvalidDataset, InvalidImage

GZIP = b"\x1f\x8b"
"""What gzipped files begin with."""


class TarArchive:
    """The files of a tar or tar.gz that are worth reading, by their paths.

    Attributes:
        name: what errors call the tar as a whole.
        names: paths of the files, `/`-separated, sorted; without folders and junk.
    """

    def __init__(
        self, path: Path, name: str = "archive", limits: ArchiveLimits | None = None
    ) -> None:
        """Open a tar and judge its headers.

        Raises:
            InvalidDataset: it is no tar, is damaged or hostile, or holds too much.
        """
        limits = limits or ArchiveLimits()
        self.name = name
        self._meter = Meter(name, limits)
        self._source = _plain(path, name, limits)
        try:
            self._members = admitted(_entries(self._source), name, limits)
        except DamagedTar as error:
            self._source.close()
            problem = f"is not a readable tar: it {error}"
            raise InvalidDataset([(name, problem)]) from error
        except InvalidDataset:
            self._source.close()
            raise
        self.names: Sequence[str] = tuple(sorted(self._members))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._source.close()

    def read(self, name: str) -> bytes:
        """A file's content.

        Args:
            name: one of `names`.

        Raises:
            InvalidImage: this file is too large, or the tar was cut since it was opened.
            InvalidDataset: with it the whole tar has given more bytes than it may.
        """
        return self._meter.gather(name, self._pieces(self._members[name], name))

    def _pieces(self, entry: TarEntry, name: str) -> Iterator[bytes]:
        self._source.seek(entry.offset)
        left = entry.size
        while left:
            piece = self._source.read(min(PIECE, left))
            if not piece:
                raise InvalidImage(name, "is cut off in the tar; pack it again")
            left -= len(piece)
            yield piece


def _entries(source: IO[bytes]) -> Iterator[Entry[TarEntry]]:
    for entry in read_entries(source):
        if entry.is_folder and entry.path in ("", "."):
            continue  # The folder that was packed itself.
        is_known = entry.is_file or entry.is_folder
        problem = None if is_known else "is a link or a device; put the file itself into the tar"
        yield Entry(entry.path, entry.is_folder, problem, entry)


def _plain(path: Path, name: str, limits: ArchiveLimits) -> IO[bytes]:
    """The tar as a file that can be sought in; unpacked first if it is gzipped."""
    source = path.open("rb")
    if source.read(len(GZIP)) != GZIP:
        return source
    with source:
        source.seek(0)
        target = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 (it is handed on)
        try:
            for piece in _unzipped(source, name, path.stat().st_size, limits):
                target.write(piece)
        except BaseException:
            target.close()
            raise
    return target


def _unzipped(source: IO[bytes], name: str, packed: int, limits: ArchiveLimits) -> Iterator[bytes]:
    """The content of a gzip file of `packed` bytes in pieces, no more than the limits allow."""
    size = 0
    with gzip.GzipFile(fileobj=source) as unzipped:
        while piece := _piece(unzipped, name):
            size += len(piece)
            if is_bomb(size, packed, limits):
                problem = f"unpacks to over {limits.ratio} times its size; send the plain tar"
                raise InvalidDataset([(name, problem)])
            if size > limits.total_bytes:
                problem = f"unpacks to more than {limits.total_bytes:,} bytes; split the dataset"
                raise InvalidDataset([(name, problem)])
            yield piece


def _piece(unzipped: gzip.GzipFile, name: str) -> bytes:
    try:
        return unzipped.read(PIECE)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidDataset(
            [(name, f"is a damaged gzip file ({error}); pack it again")]
        ) from error
