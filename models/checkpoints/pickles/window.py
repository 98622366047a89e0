"""A stretch of a file, read forward; several stretches may share one file. Knows no format."""

import io
from typing import BinaryIO

from models.errors import UnsafeCheckpoint

_CHUNK = 1 << 16
_CUT = "it ends too early: cut off, perhaps by a failed download; fetch it again"


class Window:
    """The bytes [start, end) of a seekable file.

    Args:
        file: shared with other windows; its position is nobody's.
        start: of the stretch, in bytes from the file's beginning.
        end: one past its last byte; may not lie behind the file's end.
    """

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file, self._next, self._end = file, start, end
        self._chunk, self._at = b"", 0

    @classmethod
    def of(cls, data: bytes) -> "Window":
        """A window on bytes in memory."""
        return cls(io.BytesIO(data), 0, len(data))

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return self._end - self._next + len(self._chunk) - self._at

    def read(self, count: int) -> bytes:
        """The next `count` bytes, all of them or an `UnsafeCheckpoint`."""
        end = self._at + count
        if end > len(self._chunk):
            return self._refilled(count)
        piece = self._chunk[self._at : end]
        self._at = end
        return piece

    def line(self, limit: int) -> bytes:
        """The next line without its end; at most `limit` bytes."""
        line, end = b"", -1
        while end < 0:
            if self._at == len(self._chunk):
                self._refilled(1)
                self._at = 0
            end = self._chunk.find(b"\n", self._at)
            line += self._chunk[self._at : end if end >= 0 else None]
            self._at = end + 1 if end >= 0 else len(self._chunk)
            if len(line) > limit:
                raise UnsafeCheckpoint(f"damaged: a line is longer than {limit} bytes")
        return line

    def fill(self, buffer: memoryview) -> None:
        """Reads as many bytes as `buffer` has, into it."""
        at = self._claim(len(buffer))
        self._file.seek(at)
        done = 0
        while done < len(buffer):
            got = self._file.readinto(buffer[done:])  # type: ignore[attr-defined]
            if not got:
                raise UnsafeCheckpoint(_CUT)
            done += got

    def cut(self, count: int) -> "Window":
        """The next `count` bytes as a window of their own, passed over here."""
        at = self._claim(count)
        return Window(self._file, at, at + count)

    def again(self) -> "Window":
        """The same unread bytes once more."""
        return Window(self._file, self._position(), self._end)

    def _position(self) -> int:
        """Where the next unread byte lies in the file."""
        return self._next - len(self._chunk) + self._at

    def _claim(self, count: int) -> int:
        """Passes over `count` bytes; where they begin."""
        at = self._position()
        if count > self._end - at:
            raise UnsafeCheckpoint(f"{count} bytes are announced and {self._end - at} left; {_CUT}")
        self._next, self._chunk, self._at = at + count, b"", 0
        return at

    def _refilled(self, count: int) -> bytes:
        """The next `count` bytes when they are not in the chunk."""
        at = self._claim(count)
        self._file.seek(at)
        self._chunk = self._file.read(min(max(count, _CHUNK), self._end - at))
        if len(self._chunk) < count:
            raise UnsafeCheckpoint(_CUT)
        self._next, self._at = at + len(self._chunk), count
        return self._chunk[:count]
