"""What a tar holds and where, by its headers alone: POSIX ustar and pax, GNU and old tars.

A tar is a chain of blocks of 512 bytes: a header, then its file's content filled up to whole
blocks; the end is a block of zeros. A header of type `x` (pax) or `L` (GNU) says more about the
next one.

Written out, because the reader of the standard library can be made to loop by what a header says
(CVE-2024-6232, CVE-2025-8194) and takes a damaged header in the middle for the end.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO

BLOCK = 512

_LONGEST = 2**20
_ALL_EXTENSIONS = 2**26
"""Bytes of one extension header, and of all: far more than names and attributes need."""

_FILES = (b"0", b"\0", b"7")
_FOLDER = b"5"
_PAX, _PAX_OF_ALL, _GNU_NAME, _GNU_LINK = b"x", b"g", b"L", b"K"
_EXTENSIONS = (_PAX, _PAX_OF_ALL, _GNU_NAME, _GNU_LINK)
_GNU_SPARSE = b"S"
_WITHOUT_CONTENT = (b"1", b"2", b"3", b"4", _FOLDER, b"6")
"""Links, devices, folders, pipes: some programs give them a size, and none a content."""

_SPARSE = "holds a file without its holes; pack it without --sparse"


class DamagedTar(Exception):
    """The chain of headers breaks; the message says where."""


@dataclass(frozen=True)
class TarEntry:
    """One entry of a tar.

    Attributes:
        path: as stored, without `./` in front; empty for the folder that was packed itself.
        is_file, is_folder: neither for links, devices and pipes.
        offset, size: where its content lies, in bytes.
    """

    path: str
    is_file: bool
    is_folder: bool
    offset: int
    size: int


@dataclass(frozen=True)
class _Header:
    path: str
    kind: bytes
    size: int


def read_entries(source: IO[bytes]) -> Iterator[TarEntry]:
    """The entries of a tar, in their order; memory does not grow with them.

    Args:
        source: a whole plain tar, that can be sought in.

    Raises:
        DamagedTar: it is none, is damaged, or breaks off before its end.
    """
    end = source.seek(0, 2)
    position = extensions = 0
    more: dict[str, str] = {}
    while (header := _header_at(source, position)) is not None:
        content = position + BLOCK
        size = _content_size(header, more, position)
        if content + size > end:
            raise DamagedTar(f"breaks off within the entry at byte {position:,}")
        if header.kind in _EXTENSIONS:
            extensions += BLOCK + size
            _check_extension(size, extensions, position)
            more |= _extension(header.kind, source.read(size), position)
        else:
            yield _entry(header, more, content, size)
            more = {}
        position = content + -(-size // BLOCK) * BLOCK


def begins_a_tar(block: bytes) -> bool:
    """Whether the first 512 bytes of a file are those of a tar."""
    return len(block) == BLOCK and (not any(block) or _checksum_holds(block))


def _header_at(source: IO[bytes], position: int) -> _Header | None:
    """The header at a byte of the file; None where it is the end."""
    source.seek(position)
    block = source.read(BLOCK)
    if len(block) < BLOCK:
        raise DamagedTar(f"breaks off at byte {position:,}, before its end")
    if not any(block):
        return None
    if not _checksum_holds(block):
        raise DamagedTar(f"has a damaged header at byte {position:,}")
    path = _text(block[:100])
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    return _Header(f"{prefix}/{path}" if prefix else path, block[156:157], _size(block, position))


def _checksum_holds(block: bytes) -> bool:
    """Whether the sum of a header's bytes is what it says, its own field taken as blanks."""
    return _octal(block[148:156]) == sum(block[:148]) + 8 * ord(" ") + sum(block[156:])


def _octal(field: bytes) -> int | None:
    """A number in octal digits among blanks and NULs; None where it is none."""
    digits = field.strip(b" \0")
    return int(digits, 8) if digits and not digits.strip(b"01234567") else None


def _size(block: bytes, position: int) -> int:
    """The size field: octal digits, or GNU's binary where they do not suffice."""
    field = block[124:136]
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    size = _octal(field) if field.strip(b" \0") else 0
    if size is None:
        raise DamagedTar(f"has no size in the header at byte {position:,}")
    return size


def _content_size(header: _Header, more: Mapping[str, str], position: int) -> int:
    """Bytes that follow a header, which an extension may correct."""
    if header.kind in _WITHOUT_CONTENT:
        return 0
    if "size" not in more or header.kind in _EXTENSIONS:
        return header.size
    digits = more["size"]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        raise DamagedTar(f"has no size in the extension before byte {position:,}")
    return int(digits)


def _text(field: bytes) -> str:
    """A name up to its NUL; bytes that are no UTF-8 become characters that are not printable."""
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _check_extension(size: int, together: int, position: int) -> None:
    if size > _LONGEST or together > _ALL_EXTENSIONS:
        raise DamagedTar(f"has an extension that is too large at byte {position:,}")


def _extension(kind: bytes, data: bytes, position: int) -> Mapping[str, str]:
    """What an extension header says of the next entry: its path, its size."""
    if kind == _GNU_NAME:
        return {"path": _text(data)}
    # What is said of all entries can neither name nor measure them: nothing that we need.
    return _pax(data, position) if kind == _PAX else {}


def _pax(data: bytes, position: int) -> Mapping[str, str]:
    """The records that matter to us of those in a pax header.

    Each is `LENGTH KEY=VALUE` and a line end; LENGTH counts the whole of it, itself included.
    """
    found: dict[str, str] = {}
    start = 0
    while start < len(data):
        digits = data[start : start + 20].partition(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        record = data[start : start + length]
        key, equals, value = record[len(digits) + 1 : -1].partition(b"=")
        if not (equals and record.endswith(b"\n") and len(record) == length):
            raise DamagedTar(f"has a damaged extension at byte {position:,}")
        if key in (b"path", b"size"):
            found[key.decode()] = value.decode("utf-8", "surrogateescape")
        elif key.startswith(b"GNU.sparse."):
            raise DamagedTar(_SPARSE)
        start += length
    return found


def _entry(header: _Header, more: Mapping[str, str], offset: int, size: int) -> TarEntry:
    path = more.get("path", header.path)
    if header.kind == _GNU_SPARSE:
        raise DamagedTar(_SPARSE)
    # Before ustar, a slash at the end was all that told a folder.
    is_file = header.kind in _FILES and not path.endswith("/")
    return TarEntry(
        path=path.removeprefix("./"),
        is_file=is_file,
        is_folder=header.kind == _FOLDER or (header.kind in _FILES and not is_file),
        offset=offset,
        size=size,
    )
