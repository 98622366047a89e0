"""Downloads of whole resources: parallel, resumable, verified, the index last.

Knows paths, sizes and digests; nothing of what is inside the files. A folder in which the index
lies is complete: every file was compared with its sha256 before the index was put there.
"""

import hashlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from service.client._errors import ClientError, ConnectionFailed, CorruptDownload
from service.client._models import File
from service.client._transport import Transport
from service.client._uploads import OnBytes

PARTIAL = ".partial"
FRUITLESS = 5
"""Connections in a row that may bring no byte before a download gives up."""


@dataclass
class Download:
    """Files of one resource on their way into a folder.

    Attributes:
        url: what the files' paths are appended to.
        folder: where they go; made if it is not there.
        on_bytes: called, by one thread at a time, as bytes arrive or prove to be there already.
    """

    transport: Transport
    url: str
    folder: Path
    on_bytes: OnBytes | None = None
    parallel: int = 4
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)
    _total: int = 0
    _done: int = 0

    def run(self, files: Sequence[File]) -> None:
        """Bring every file; those that are there already, with the right bytes, stay.

        Raises:
            CorruptDownload: a file's bytes are not those of its digest, also when fetched anew.
            ConnectionFailed: the service is gone; run again to go on where it stopped.
            ClientError: a path leads out of the folder.
        """
        targets = [(file, inside(self.folder, file.path)) for file in files]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._total, self._done = sum(file.bytes or 0 for file in files), 0
        with ThreadPoolExecutor(self.parallel) as pool:
            try:
                waiting = [pool.submit(self._bring, *target) for target in targets]
                for future in as_completed(waiting):
                    future.result()
            except BaseException:  # Also Ctrl-C: threads stop at their next chunk.
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _bring(self, file: File, target: Path) -> None:
        if target.is_file() and file.sha256 and _is(target, file):
            self._count(target.stat().st_size)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + PARTIAL)
        if file.sha256 is None:  # Nothing would tell whether the rest belongs to the beginning.
            partial.unlink(missing_ok=True)
        self._stream(file, partial)
        if not _is(partial, file):  # Perhaps the rest of another version: once more, from scratch.
            self._count(-partial.stat().st_size)
            partial.unlink()
            self._stream(file, partial)
        if not _is(partial, file):
            partial.unlink()
            raise CorruptDownload(f"{file.path} came with other bytes than its sha256 promises")
        partial.replace(target)

    def _stream(self, file: File, partial: Path) -> None:
        """Append to the partial file until it is whole, over as many connections as it takes."""
        have = partial.stat().st_size if partial.exists() else 0
        self._count(have)
        fruitless = 0
        while True:
            try:
                self._connect(file, partial)
            except ConnectionFailed:
                size = partial.stat().st_size if partial.exists() else 0
                fruitless = 0 if size > have else fruitless + 1
                have = size
                if fruitless == FRUITLESS:
                    raise
                self.transport.sleep(0.5 * 2**fruitless)
            else:
                return

    def _connect(self, file: File, partial: Path) -> None:
        """One connection: what is missing, or all where the server does not serve ranges."""
        have = partial.stat().st_size if partial.exists() else 0
        if file.bytes is not None and have >= file.bytes > 0:
            return
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with self.transport.stream(f"{self.url}/{quote(file.path)}", headers=headers) as response:
            resumed = response.status_code == 206
            if have and not resumed:
                self._count(-have)
            with partial.open("ab" if resumed else "wb") as stream:
                for chunk in response.iter_bytes():
                    if self._stop.is_set():
                        raise ClientError("the download was stopped")
                    stream.write(chunk)
                    self._count(len(chunk))

    def _count(self, count: int) -> None:
        with self._lock:
            self._done += count
            if self.on_bytes:
                self.on_bytes(self._done, self._total)


def inside(folder: Path, path: str) -> Path:
    """Where a file goes, refusing paths that a hostile service could choose.

    Raises:
        ClientError: the path is absolute or climbs out of the folder.
    """
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or not parts.parts or "\\" in path:
        raise ClientError(f"the service names a file {path!r}, which is outside the folder")
    return folder.joinpath(*parts.parts)


def write_whole(path: Path, content: bytes) -> None:
    """Put a file in place in one step: there is never half of it."""
    partial = path.with_name(path.name + PARTIAL)
    with partial.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def _is(path: Path, file: File) -> bool:
    """Whether a file on disk is the one that the index describes."""
    if file.bytes is not None and path.stat().st_size != file.bytes:
        return False
    return file.sha256 is None or sha256_of(path) == file.sha256


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
