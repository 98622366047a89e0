"""What every object store does for us; nothing about how. Pure.

Keys are `/`-separated, without leading slash, `..` or empty parts. A put is atomic: readers see
the old object or the new one, never half of one. A key is never also a folder: with `a/b` there
is no object `a` (S3 would allow it, a folder on a disk cannot).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

MAX_KEY_BYTES = 900  # S3 allows 1024, and a bucket's prefix comes before.
MAX_PART_BYTES = 200  # File systems allow 255, and a temporary name is longer.
LEFT_OVER_SECONDS = 24 * 3600.0  # No write takes that long: its writer was killed.


@dataclass(frozen=True)
class ObjectInfo:
    """An object as a listing shows it: its key and its size in bytes."""

    key: str
    size: int


@dataclass(frozen=True)
class UploadTarget:
    """Where a client may PUT bytes: an absolute URL, and the headers it must send."""

    url: str
    headers: dict[str, str]


class Source(Protocol):
    """A stream as a store reads it: once, and in order."""

    @property
    def closed(self) -> bool:
        """Whether nobody wants the object any more, which another thread may decide."""

    def read(self, size: int = -1, /) -> bytes:
        """The next `size` bytes, fewer only at the end; all that are left for -1."""


class ObjectStore(Protocol):
    """A bucket.

    Every method raises `StorageUnavailable` when the store cannot be reached, `ObjectNotFound`
    (naming the key) when there is no such object, `ValueError` for a malformed key.
    """

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Write an object, replacing what was there."""

    def put_if_absent(self, key: str, data: bytes, content_type: str = "application/json") -> bool:
        """Write an object unless one is there; whether it was written."""

    def put_file(
        self, key: str, source: Path, content_type: str = "application/octet-stream"
    ) -> None:
        """Write an object from a file, without holding it in memory."""

    def put_stream(
        self, key: str, source: Source, limit: int, content_type: str = "application/octet-stream"
    ) -> int:
        """Write an object from a stream of unknown length; its size in bytes.

        Where it raises, nothing is left behind. What reading the source raises, it raises too.

        Raises:
            ValueError: the stream holds more than `limit` bytes.
            CancelledError: the source was closed before the object was written; a store that is
                done with it as soon as it has been read may not notice.
        """

    def get(self, key: str) -> bytes:
        """A whole object."""

    def get_file(self, key: str, target: Path) -> None:
        """Copy an object to a file (complete or not there at all)."""

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes [start, end) of an object in chunks; it is opened before the first is asked."""

    def size(self, key: str) -> int | None:
        """An object's size in bytes; None if there is no such object."""

    def tag(self, key: str) -> str | None:
        """A name for an object's bytes, told without reading them: other bytes, another name.

        The same bytes may be called otherwise when they are written again. None where only the
        bytes themselves can tell (a local folder), or there is no such object.
        """

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key starts with `prefix`, in key order."""

    def folders(self, prefix: str) -> Iterator[str]:
        """The names directly below `prefix` (empty, or ending in `/`) that have objects below."""

    def delete(self, key: str) -> None:
        """Remove an object; none being there is no error."""

    def upload_target(self, key: str, expires_seconds: int) -> UploadTarget | None:
        """Where a client may PUT the object itself; None if only through the service."""

    def download_url(self, key: str, expires_seconds: int, filename: str) -> str | None:
        """Where a client may GET the object itself; None if only through the service."""

    def remove_left_over(self, seconds: float = LEFT_OVER_SECONDS) -> int:
        """Remove what writers that were killed left, and that is no object; how many pieces.

        Args:
            seconds: what is younger may still be written.
        """

    def free_bytes(self) -> int | None:
        """Room left, where that can be known (a local folder); else None."""

    def check(self) -> None:
        """Raise `StorageUnavailable` or `StorageError` unless the bucket can be used."""


def check_key(key: str) -> str:
    """The key itself, if it is well-formed.

    Raises:
        ValueError: it is not; the message says why.
    """
    problem = _problem(key)
    if problem:
        raise ValueError(f"malformed object key {key[:200]!r}: {problem}")
    return key


def check_prefix(prefix: str) -> str:
    """The prefix itself, if keys can begin with it: empty, or a key, perhaps with `/` behind.

    Raises:
        ValueError: no key can begin so.
    """
    if prefix:
        check_key(prefix.removesuffix("/"))
    return prefix


def _problem(key: str) -> str | None:
    if not key or len(key.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES:
        return f"it must have 1 to {MAX_KEY_BYTES} bytes"
    if not key.isprintable() or "\\" in key:
        return "control characters and backslashes are not allowed"
    if key.startswith("."):
        return "it must not begin with a dot"
    for part in key.split("/"):
        if part in ("", ".", ".."):
            return "its parts must not be empty, '.' or '..'"
        if len(part.encode()) > MAX_PART_BYTES:
            return f"its parts must have at most {MAX_PART_BYTES} bytes"
    return None
