"""A file that goes into the store while it is written. Knows nothing of what is in it.

The caller's thread writes to the disk, and waits for the store only when the file is complete; a
thread reads what lies there and puts it. An end of what it reads would make an object of it, so
there is none before the writer says so: where he gives up, reading fails.

The caller may be stopped between any two bytecodes, as in `models.overlap`; so the two threads
share a `SimpleQueue` and plain attributes, and no lock.
"""

import io
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, BinaryIO

import structlog

from workers.storage.base import ObjectStore

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

THREAD_NAME = "following"
"""What the thread is called."""

_LIMIT = 64 << 30  # Bytes. A larger file is put when it is complete, from the disk.
_log = structlog.get_logger(__name__)


class Abandoned(CancelledError):
    """The file will not be complete. Of this kind, for boto does not try it again then."""


class GrowingFile:
    """A file as a stream for another thread, which waits for what is not there yet.

    One thread calls `open`, writes, and calls `complete` after the file was closed, or `close`;
    another one reads.

    Attributes:
        closed: whether the writer has given up.
    """

    def __init__(self) -> None:
        self.closed = False
        self._news = SimpleQueue[int | None]()  # Bytes more; None where no more will come.
        self._source: BinaryIO | None = None
        self._grows = True
        self._unread = 0

    def open(self, path: Path) -> BinaryIO:
        """A new file at `path`, to be written in order; it may be renamed then."""
        target = io.BufferedWriter(_Told(path, self._news))
        self._source = path.open("rb", buffering=0)
        return target

    def complete(self) -> None:
        """All has been written, and the file closed."""
        self._news.put(None)

    def close(self) -> None:
        """Nobody wants it any more: from now on, reading fails."""
        self.closed = True
        self._news.put(None)

    def release(self) -> None:
        """Let go of the file; it is not read any more."""
        if self._source is not None:
            self._source.close()

    def read(self, size: int = -1, /) -> bytes:
        """The next `size` bytes, fewer only at the end; all that are left for -1. Waits for them.

        Raises:
            Abandoned: the writer has given up.
            EOFError: the file has become shorter than it was.
        """
        while self._grows and (size < 0 or size > self._unread):
            more = self._news.get()
            self._grows = more is not None
            self._unread += more or 0
        if self.closed:
            raise Abandoned("the file was given up while it was uploaded")
        wanted = self._unread if size < 0 else min(size, self._unread)
        data = self._source.read(wanted) if self._source else b""
        if len(data) < wanted:
            raise EOFError(f"{wanted:,} bytes were written, {len(data):,} of them are there")
        self._unread -= wanted
        return data


class Following:
    """A file on its way into the store.

    Attributes:
        file: what is uploaded; to be opened and written by the caller.
    """

    def __init__(self, store: ObjectStore, key: str, content_type: str) -> None:
        self.file = GrowingFile()
        self._store = store
        self._key = key
        self._content_type = content_type
        self._outcome = SimpleQueue[int | str]()  # The object's size, or what went wrong.

    def finish(self, path: Path, size: int) -> None:
        """See that the object is there, now that the file is complete; waits for it.

        Where the upload has failed, at whatever time, the file is put as it lies there.

        Args:
            path: where the file is now.
            size: of the file, in bytes.

        Raises:
            StorageError: that fails, too.
        """
        self.file.complete()
        outcome = self._outcome.get()
        if outcome != size:
            _log.warning("could not follow a file; it is put again", key=self._key, why=outcome)
            self._store.put_file(self._key, path, self._content_type)

    def put(self) -> None:
        """Upload what is written; in a thread of its own."""
        try:
            stored = self._store.put_stream(self._key, self.file, _LIMIT, self._content_type)
            self._outcome.put(stored)
        except BaseException as error:  # Whatever it was, whoever waits must hear of it.
            self._outcome.put(repr(error))
        finally:
            self.file.release()


@contextmanager
def following(store: ObjectStore, key: str, content_type: str) -> Iterator[Following]:
    """Put a file into the store while it is written; `finish` has to be called at its end.

    Without that, no object is made, and nothing is left of what was uploaded. Leaving waits for
    the thread, which may hang in the network; whoever is torn out of that wait, too, leaves it
    to end on its own, as it does when the network lets go.
    """
    upload = Following(store, key, content_type)
    thread = Thread(target=upload.put, name=THREAD_NAME, daemon=True)
    try:
        thread.start()
        yield upload
    finally:
        upload.file.close()
        if thread.is_alive():  # It may just be starting; then it ends at once.
            thread.join()
        upload.file.release()


class _Told(io.FileIO):
    """A file that tells how many bytes have been written to it, each time."""

    def __init__(self, path: Path, news: "SimpleQueue[int | None]") -> None:
        super().__init__(path, "wb")
        self._news = news

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write as many bytes as possible; how many."""
        count = super().write(data)
        self._news.put(count)
        return count
