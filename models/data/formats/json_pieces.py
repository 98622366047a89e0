"""A json that is too large to be parsed at once, in pieces: those that commas part.

Parsed, a json takes several times its size in memory. So it stays as it is, and one entry of its
lists is parsed at a time. Where entries end is told by brackets and quotes alone; whether a piece
is JSON is for the parser to say, and faults are told with the line and column of the whole. Knows
nothing of what the json means.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pydantic_core

MAX_PIECE = 2**20
"""Size in bytes of an entry at most. Nothing but brackets takes 80 times as much memory, parsed;
a polygon of 1 MiB has some 80,000 corners."""

MAX_DEPTH = 200
"""Levels of brackets, as many as the parser takes."""

Span = tuple[int, int]
"""First byte of a piece, and the one after its last: a comma, a closing bracket or the end."""

_WINDOW = 2**18
_BLANK = re.compile(rb"[ \t\r\n]*")
_LIST = re.compile(rb'[ \t\r\n]*"([^"\\]{1,99})"[ \t\r\n]*:[ \t\r\n]*(?=\[)')
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_PLACE = re.compile(r"(.*) at line (\d+) column (\d+)")

_QUOTE, _COMMA = b'",'
# By byte: whether it parts, opens or closes anything, and by how much it changes the depth.
_STEPS = np.zeros(256, dtype=np.int8)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1
_TELLS = (_STEPS != 0) | np.isin(np.arange(256), [_QUOTE, _COMMA])


class NotJson(ValueError):
    """What the parser says, and where in the file that is."""


class TooLarge(NotJson):
    """An entry is too large to be parsed, and may well be JSON."""


def beginning(data: bytes) -> int:
    """Where the first byte is that is no blank; a byte order mark is one."""
    found = _BLANK.match(data, 3 if data.startswith(b"\xef\xbb\xbf") else 0)
    assert found
    return found.end()


def parse(data: bytes, span: Span) -> Any:
    """What a piece says.

    Raises:
        NotJson: it is none.
    """
    return _parsed(data, span, b"", b"")


def lists(data: bytes, keys: Sequence[str]) -> dict[str, Span]:
    """Where lists of the outermost object are, by those of the keys that have one.

    Other members may be anything; above `MAX_PIECE` they are not even parsed.

    Args:
        data: the json, an object.
        keys: of the lists wanted; where one comes several times, the last counts.

    Raises:
        NotJson: the object is not closed, or something in it is no member.
    """
    found: dict[str, Span] = {}
    for begin, end in _pieces(data, (beginning(data), len(data))):
        opening = _LIST.match(data, begin, end)
        if opening and (key := opening[1].decode(errors="replace")) in keys:
            found[key] = opening.end(), end
            if end == len(data):  # It is not closed; why, its entries tell best.
                for entry in entries(data, found[key]):
                    parse(data, entry)
        elif end - begin <= MAX_PIECE:
            _parsed(data, (begin, end), b'{"":0,', b"}")
    return found


def entries(data: bytes, span: Span) -> Iterator[Span]:
    """The entries of a list; they may yet be no JSON.

    Raises:
        TooLarge: an entry is over `MAX_PIECE`.
        NotJson: after the last one, if the list is not closed as it should be.
    """
    for begin, end in _pieces(data, span):
        if end - begin > MAX_PIECE:
            raise _why_so_large(data, begin, end)
        yield begin, end


def _pieces(data: bytes, span: Span) -> Iterator[Span]:
    """What commas part in the brackets that a span begins with.

    Raises:
        NotJson: after the last one, if it is a comma, if no bracket of that kind closes them, or
            if more follows.
    """
    opening, limit = span
    closes = data[opening] + 2  # As ASCII has its brackets.
    begin = opening + 1
    for place in _marks(data, begin, limit):
        is_last = data[place] != _COMMA
        is_empty = is_last and _BLANK.fullmatch(data, begin, place)
        if is_empty and begin > opening + 1:
            raise _fault(data, place, "trailing comma")
        if not is_empty:
            yield begin, place
        if is_last and data[place] != closes:
            raise _fault(data, place, f"expected `{chr(closes)}`")
        if is_last and not _BLANK.fullmatch(data, place + 1, limit):
            raise _fault(data, place + 1, "trailing characters")
        if is_last:
            return
        begin = place + 1
    yield begin, limit
    raise _fault(data, limit, "EOF while parsing a list or an object")


def _marks(data: bytes, start: int, limit: int) -> Iterator[int]:
    """Places of the commas that no bracket encloses from `start` on, then of one that closes.

    What follows that one has no meaning.
    """
    depth, in_string, is_escaped = 0, False, False
    for begin in range(start, limit, _WINDOW):
        window, is_escaped = _without_escapes(data[begin : min(begin + _WINDOW, limit)], is_escaped)
        codes = np.frombuffer(window, dtype=np.uint8)
        places = np.flatnonzero(_TELLS[codes])
        codes = codes[places]
        within = (np.cumsum(codes == _QUOTE) + in_string) % 2 == 1
        depths = depth + np.cumsum(np.where(within, 0, _STEPS[codes]))
        if not places.size:
            continue
        if depths.max() > MAX_DEPTH:
            place = begin + int(places[depths.argmax()])
            raise _fault(data, place, "recursion limit exceeded")
        is_mark = ~within & (depths <= 0) & ((codes == _COMMA) | (depths < 0))
        yield from (begin + places[is_mark]).tolist()
        depth, in_string = int(depths[-1]), bool(within[-1])


def _without_escapes(window: bytes, is_escaped: bool) -> tuple[bytes, bool]:
    """The bytes with blanks for backslashes and what they escape, and whether they escape more.

    Args:
        window: part of a json.
        is_escaped: whether the byte before it escapes its first one.
    """
    if is_escaped:
        window = b" " + window[1:]
    if b"\\" not in window:
        return window, False
    window = _ESCAPE.sub(b"  ", window)
    return window, window.endswith(b"\\")


def _parsed(data: bytes, span: Span, before: bytes, after: bytes) -> Any:
    """A piece between what makes it a json of its own."""
    begin, end = span
    try:
        return pydantic_core.from_json(before + data[begin:end] + after)
    except ValueError as error:
        found = _PLACE.fullmatch(str(error))
        what, line, column = found.groups() if found else (str(error), "1", "1")
        raise _fault(data, begin, what, int(line), int(column) - len(before)) from error


def _why_so_large(data: bytes, begin: int, end: int) -> NotJson:
    """What is wrong with a piece that goes on and on: most often, it lacks a bracket."""
    try:
        parse(data, (begin, begin + MAX_PIECE))
    except NotJson as error:
        if not str(error).startswith("EOF"):
            return error
    what = f"an entry of {end - begin:,} bytes, over {MAX_PIECE:,},"
    return TooLarge(str(_fault(data, begin, what)))


def _fault(data: bytes, place: int, what: str, line: int = 1, column: int = 1) -> NotJson:
    """What is wrong at a line and column, both from 1, that are counted from a place."""
    if line == 1:
        column += place - (data.rfind(b"\n", 0, place) + 1)
    line += data.count(b"\n", 0, place)
    return NotJson(f"{what} at line {line} column {column}")
