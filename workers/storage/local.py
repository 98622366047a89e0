"""A folder as the bucket: for one machine, and for tests. Knows nothing of S3.

Objects are written beside the tree, flushed to the disk and then renamed (or, when nothing may be
replaced, linked) into it, so that a crash at any moment leaves whole objects only.
"""

import errno
import io
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from workers.errors import ObjectNotFound, StorageError, StorageFull, StorageUnavailable
from workers.storage.base import (
    LEFT_OVER_SECONDS,
    ObjectInfo,
    Source,
    UploadTarget,
    check_key,
    check_prefix,
)

_CHUNK = 1 << 20
_TEMPORARY = ".tmp"  # No key begins with a dot.


class LocalStore:
    """Objects as files below `root`, which is made if it is not there."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        with _translated(""):
            (self._root / _TEMPORARY).mkdir(parents=True, exist_ok=True)
        self.remove_left_over()

    # Content types are not kept, and there are no URLs: the service hands out the bytes.
    # ruff: noqa: ARG002

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """See `ObjectStore`."""
        with self._written(key, io.BytesIO(data)) as temporary:
            temporary.rename(self._path(key))

    def put_if_absent(self, key: str, data: bytes, content_type: str = "application/json") -> bool:
        """See `ObjectStore`: exactly one of any number of writers succeeds."""
        with self._written(key, io.BytesIO(data)) as temporary:
            try:
                self._path(key).hardlink_to(temporary)
            except FileExistsError:
                return False
        return True

    def put_file(
        self, key: str, source: Path, content_type: str = "application/octet-stream"
    ) -> None:
        """See `ObjectStore`."""
        with source.open("rb") as stream, self._written(key, stream) as temporary:
            temporary.rename(self._path(key))

    def put_stream(
        self, key: str, source: Source, limit: int, content_type: str = "application/octet-stream"
    ) -> int:
        """See `ObjectStore`."""
        with self._written(key, source, limit) as temporary:
            size = temporary.stat().st_size
            temporary.rename(self._path(key))
        return size

    def get(self, key: str) -> bytes:
        """See `ObjectStore`."""
        with _translated(key):
            return self._path(key).read_bytes()

    def get_file(self, key: str, target: Path) -> None:
        """See `ObjectStore`."""
        partial = target.with_name(f".{target.name}.partial")
        with _translated(key):
            try:
                shutil.copyfile(self._path(key), partial)
                partial.rename(target)
            finally:
                partial.unlink(missing_ok=True)

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See `ObjectStore`."""
        if start < 0 or (end is not None and end < 0):
            raise ValueError(f"a range begins and ends at 0 or later, got [{start}, {end})")
        with _translated(key):
            file = self._path(key).open("rb")
        file.seek(start)
        return _chunks(file, None if end is None else max(end - start, 0))

    def size(self, key: str) -> int | None:
        """See `ObjectStore`."""
        try:
            with _translated(key):
                path = self._path(key)
                return path.stat().st_size if path.is_file() else None
        except ObjectNotFound:
            return None

    def tag(self, key: str) -> str | None:
        """None: when bits of a file turn on their disk, nothing else of it changes."""
        check_key(key)
        return None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `ObjectStore`."""
        folder = check_prefix(prefix).rpartition("/")[0]
        for path in self._walk(self._root / folder, prefix):
            try:
                size = path.stat().st_size
            except FileNotFoundError:  # Deleted while we walked.
                continue
            yield ObjectInfo(self._key(path), size)

    def folders(self, prefix: str) -> Iterator[str]:
        """See `ObjectStore`."""
        folder = check_prefix(prefix).rpartition("/")[0]
        for entry in _entries(self._root / folder):
            is_ours = self._key(entry) != _TEMPORARY
            if is_ours and entry.is_dir() and next(self._walk(entry, ""), None):
                yield entry.name

    def delete(self, key: str) -> None:
        """See `ObjectStore`; empty folders are left, for a writer may be about to use one."""
        try:
            with _translated(key):
                self._path(key).unlink(missing_ok=True)
        except ObjectNotFound:
            return

    def upload_target(self, key: str, expires_seconds: int) -> UploadTarget | None:
        """None: only the service can write here."""
        check_key(key)
        return None

    def download_url(self, key: str, expires_seconds: int, filename: str) -> str | None:
        """None: only the service can read here."""
        check_key(key)
        return None

    def remove_left_over(self, seconds: float = LEFT_OVER_SECONDS) -> int:
        """See `ObjectStore`: the temporary files."""
        removed = 0
        with _translated(""):
            for path in (self._root / _TEMPORARY).iterdir():
                with suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > seconds:
                        path.unlink()
                        removed += 1
        return removed

    def free_bytes(self) -> int | None:
        """See `ObjectStore`."""
        with _translated(""):
            return shutil.disk_usage(self._root).free

    def check(self) -> None:
        """See `ObjectStore`: writes and removes an empty file."""
        with _translated(""), NamedTemporaryFile(dir=self._root / _TEMPORARY):
            pass

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    def _key(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _walk(self, folder: Path, prefix: str) -> Iterator[Path]:
        """The files below a folder whose key starts with `prefix`, in key order."""
        for entry in _entries(folder):
            key = self._key(entry)
            if key == _TEMPORARY or not (key.startswith(prefix) or prefix.startswith(key)):
                continue
            if entry.is_dir():
                yield from self._walk(entry, prefix)
            elif key.startswith(prefix):
                yield entry

    @contextmanager
    def _written(self, key: str, source: Source, limit: int | None = None) -> Iterator[Path]:
        """A temporary file with the source's bytes, on the disk; gone afterwards."""
        folder = self._path(key).parent
        temporary = self._root / _TEMPORARY / secrets.token_hex(16)
        with _translated(key, writing=True):
            _make_folder(folder)
        try:
            _copy(source, temporary, limit)
            with _translated(key, writing=True):
                yield temporary
                _flush_folder(folder)
        finally:
            temporary.unlink(missing_ok=True)


def _copy(source: Source, target: Path, limit: int | None) -> None:
    """Write a stream to a new file, and the file to the disk."""
    written = 0
    with _translated(target.name, writing=True):
        file = target.open("xb")
    with file:
        # What goes wrong with the source (a client that hangs up) is not the store's fault.
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if limit is not None and written > limit:
                raise ValueError(f"the stream holds more than the {limit} bytes allowed")
            with _translated(target.name, writing=True):
                file.write(chunk)
        with _translated(target.name, writing=True):
            file.flush()
            os.fsync(file.fileno())


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each on the disk."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    """Put the folder's list of names on the disk too, or a power cut takes the new one back."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entries(folder: Path) -> list[Path]:
    """What a folder holds, in the order of the keys below: `a-b` before `a/b` before `a0`."""
    try:
        entries = list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(entries, key=lambda entry: f"{entry.name}/" if entry.is_dir() else entry.name)


def _chunks(file: IO[bytes], left: int | None) -> Iterator[bytes]:
    with file:
        while left is None or left > 0:
            chunk = file.read(_CHUNK if left is None else min(_CHUNK, left))
            if not chunk:
                return
            left = None if left is None else left - len(chunk)
            yield chunk


@contextmanager
def _translated(key: str, *, writing: bool = False) -> Iterator[None]:
    """The file system's errors in our words."""
    try:
        yield
    except (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        if writing:
            raise StorageError(f"{key!r} cannot be written: an object is its folder") from error
        raise ObjectNotFound(f"there is no object {key!r}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f"no room left to write {key!r}; free some space") from error
        raise StorageUnavailable(f"the folder of the store cannot be used: {error}") from error
