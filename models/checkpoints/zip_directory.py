"""What is in a zip file and where, read from its directory with every claim checked.

Python's own `zipfile` makes an object for each of the millions of entries that a directory can
announce, and hands out members that overlap. Here the directory's size is bounded first, and
what is read is paid for by `Budget`. Knows neither torch nor numpy.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from models.checkpoints.pickles.stand_ins import printable
from models.checkpoints.pickles.window import Window
from models.errors import UnsafeCheckpoint

STORED, DEFLATED = 0, 8

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT, _MOST_BYTES, _ESCAPE = 65_535, 8 << 20, 0xFFFFFFFF
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Member:
    """One file in a zip file.

    Attributes:
        name: with slashes, as in the directory.
        method: `STORED`, `DEFLATED` or another.
        crc: checksum of the contents.
        stored: bytes in the zip file.
        size: bytes of the contents.
        header: where it begins.
    """

    name: str
    method: int
    crc: int
    stored: int
    size: int
    header: int


def read_directory(file: BinaryIO, size: int) -> Mapping[str, Member]:
    """The members of a zip file of `size` bytes by name.

    Raises:
        UnsafeCheckpoint: damaged, cut off, in several volumes, encrypted, or too many members.
    """
    start, length, count = _directory_place(file, size)
    if length > _MOST_BYTES:
        raise UnsafeCheckpoint(f"its directory has {length} bytes, over {_MOST_BYTES >> 20} MB")
    if start + length > size:
        raise UnsafeCheckpoint("damaged zip file: its directory lies outside it")
    window, members = Window(file, start, start + length), {}
    while window.remaining:
        member = _entry(window)
        if member.name in members:
            raise UnsafeCheckpoint(f"two members are called {printable(member.name)}")
        members[member.name] = member
    if len(members) != count:
        raise UnsafeCheckpoint(f"damaged zip file: {len(members)} members, announced {count}")
    return members


def opened(file: BinaryIO, size: int, member: Member) -> Window:
    """The bytes of a member as they are stored."""
    header = Window(file, min(member.header, size), size)
    signature, *_, name, extra = _LOCAL.unpack(header.read(_LOCAL.size))
    if signature != b"PK\x03\x04":
        raise UnsafeCheckpoint(f"damaged zip file: {printable(member.name)} is not where it says")
    header.cut(name + extra)
    return header.cut(member.stored)


def check_sum(window: Window, member: Member) -> None:
    """Refuses a stored member whose bytes have another checksum."""
    found = 0
    while window.remaining:
        found = zlib.crc32(window.read(min(_CHUNK, window.remaining)), found)
    compare_sums(found, member)


def compare_sums(found: int, member: Member) -> None:
    """Refuses a member if its contents' checksum is another than `found`."""
    if found != member.crc:
        raise UnsafeCheckpoint(f"damaged: the checksum of {printable(member.name)} is wrong")


def inflated(window: Window, member: Member) -> bytes:
    """The contents of a deflated member: `member.size` bytes, not one more is made."""
    decoder = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = decoder.decompress(window.read(window.remaining), member.size + 1)
    except zlib.error as error:
        raise UnsafeCheckpoint(f"damaged: {printable(member.name)}: {error}") from error
    if len(found) != member.size:
        raise UnsafeCheckpoint(f"{printable(member.name)} does not unpack to {member.size} bytes")
    compare_sums(zlib.crc32(found), member)
    return found


def _directory_place(file: BinaryIO, size: int) -> tuple[int, int, int]:
    """Start and length of the directory, and how many entries it announces."""
    reach = min(size, _END.size + _LONGEST_COMMENT)
    tail = Window(file, size - reach, size).read(reach)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > reach:
        raise UnsafeCheckpoint(
            "damaged zip file: its directory at the end is missing; cut off, perhaps by a failed "
            "download: fetch it again"
        )
    _, disk, first, here, count, length, start, _ = _END.unpack_from(tail, at)
    if _ESCAPE in (length, start) or count == 0xFFFF:
        return _directory_place64(file, size - reach + at)
    if disk or first or here != count:
        raise UnsafeCheckpoint("a zip file in several volumes")
    return start, length, count


def _directory_place64(file: BinaryIO, end: int) -> tuple[int, int, int]:
    """The same from the records for large files, which lie before the one at `end`."""
    window = Window(file, max(0, end - _END64_LOCATOR.size), end)
    signature, _, at, _ = _END64_LOCATOR.unpack(window.read(_END64_LOCATOR.size))
    if signature != b"PK\x06\x07" or at > end:
        raise UnsafeCheckpoint("damaged zip file: the large directory is not where it says")
    fields = _END64.unpack(Window(file, at, end).read(_END64.size))
    if fields[0] != b"PK\x06\x06":
        raise UnsafeCheckpoint("damaged zip file: the large directory is not where it says")
    *_, count, length, start = fields
    return start, length, count


def _entry(window: Window) -> Member:
    """The next entry of the directory."""
    fields = _ENTRY.unpack(window.read(_ENTRY.size))
    signature, _, _, flags, method, _, _, crc, stored, size, name, extra, comment, *_, header = (
        fields
    )
    if signature != b"PK\x01\x02":
        raise UnsafeCheckpoint("damaged zip file: an entry of its directory is broken")
    if flags & 1:
        raise UnsafeCheckpoint("an encrypted zip file")
    text = window.read(name).decode("utf-8", errors="replace")
    size, stored, header = _large(window.read(extra), size, stored, header)
    window.cut(comment)
    return Member(text, method, crc, stored, size, header)


def _large(extra: bytes, *values: int) -> tuple[int, ...]:
    """`values` with those that do not fit into 32 bits taken from the extra field."""
    wide = _extra_numbers(extra)
    return tuple(next(wide, value) if value == _ESCAPE else value for value in values)


def _extra_numbers(extra: bytes) -> Iterator[int]:
    """The 64-bit numbers of an entry."""
    window = Window.of(extra)
    while window.remaining >= 4:
        kind, length = struct.unpack("<2H", window.read(4))
        body = window.read(min(length, window.remaining))
        if kind == 1:
            yield from struct.unpack_from(f"<{len(body) // 8}Q", body)
