"""How many pieces a picture's file is made of: each costs its decoder time, however small it is.

A million empty chunks in a PNG, or a thousand scans over one JPEG, fit into a few megabytes and
keep a decoder busy for minutes. Counted before anything is decoded; knows no pixels.
"""

import re
from collections.abc import Iterator
from itertools import repeat

from models.errors import InvalidImage

MAX_PIECES = 20_000
"""Chunks of a PNG, or segments of a JPEG. libpng's own chunks of 8 KiB make 160 MB of these."""

MAX_SCANS = 32
"""Passes over the pixels of a progressive JPEG; encoders make some ten of them."""

# What begins a segment: not the escaped bytes of a scan, nor markers that stand alone.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
_END, _SCAN = b"\xd9", b"\xda"


def check_pieces(data: bytes, kind: str, name: str) -> None:
    """Refuse a file that is made of far more pieces than its pixels need.

    Args:
        data: the whole file.
        kind: PNG, JPEG, or another format, which is let through.
        name: what errors call it.

    Raises:
        InvalidImage: it has more than `MAX_PIECES` or `MAX_SCANS`.
    """
    scans = 0
    for pieces, piece in enumerate(_pieces(data, kind), 1):
        scans += piece == _SCAN
        if pieces > MAX_PIECES or scans > MAX_SCANS:
            too_many = f"{MAX_SCANS} scans" if scans > MAX_SCANS else f"{MAX_PIECES:,} pieces"
            raise InvalidImage(name, f"is made of more than {too_many}; save it anew")


def _pieces(data: bytes, kind: str) -> Iterator[bytes]:
    if kind == "PNG":
        return _chunks(data)
    return _segments(data) if kind == "JPEG" else iter(())


def _chunks(data: bytes) -> Iterator[bytes]:
    """The names of a PNG's chunks, as far as their lengths lead."""
    at = 8
    while at + 8 <= len(data):
        yield data[at + 4 : at + 8]
        at += 12 + int.from_bytes(data[at : at + 4], "big")


def _segments(data: bytes) -> Iterator[bytes]:
    """The markers of a JPEG's segments up to its end, and each byte that fills up its front."""
    at, is_scanned = 2, False
    while (marker := _MARKER.search(data, at)) and marker[1] != _END:
        if not is_scanned:
            yield from repeat(b"", marker.start() - at)
        is_scanned |= marker[1] == _SCAN
        yield marker[1]
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
