"""The operations of pickle that put a number, a constant, a text or bytes on the stack."""

import codecs
import struct
from collections.abc import Callable, Mapping
from typing import Any

from models.checkpoints.pickles.budget import OPERATION
from models.checkpoints.pickles.machine import Machine
from models.checkpoints.pickles.stand_ins import LARGE, Blob, shown
from models.errors import UnsafeCheckpoint

Make = Callable[[Machine], Any]
"""Makes the object that an operation pushes."""

DIGITS = 256
"""Most characters of a number in text; also the most bytes of an integer."""

_LONGEST_TEXT = 16 << 20


def _signed(machine: Machine, count: int) -> int:
    """The next `count` bytes as a signed number."""
    if count > DIGITS:
        raise UnsafeCheckpoint(f"an integer of {count} bytes")
    return int.from_bytes(machine.window.read(count), "little", signed=True)


def _written_number(machine: Machine) -> int | bool:
    """A number in decimal digits, or a boolean as protocol 0 writes it."""
    line = machine.window.line(DIGITS)
    if line in (b"00", b"01"):
        return line == b"01"
    return int(line.removesuffix(b"L"))


def _binary_float(machine: Machine) -> float:
    number = struct.unpack(">d", machine.window.read(8))[0]
    assert isinstance(number, float)
    return number


def _text(machine: Machine, count: int) -> str | Blob:
    """A text of `count` bytes; what is not UTF-8 in it becomes U+FFFD, which can be printed."""
    if count > LARGE:
        return Blob(machine.window.cut(count), spelled=True)
    raw = machine.window.read(count)
    machine.budget.spend(count if raw.isascii() else 4 * count)  # bytes of a character in memory
    return raw.decode("utf-8", errors="replace")


def _octets(machine: Machine, count: int) -> bytes | Blob:
    """A byte string of `count` bytes."""
    if count > LARGE:
        return Blob(machine.window.cut(count))
    machine.budget.spend(count)
    return machine.window.read(count)


def _old_text(machine: Machine, count: int) -> str | Blob:
    """A byte string of Python 2: text, where each byte is the character of its number."""
    found = _octets(machine, count)
    return found if isinstance(found, Blob) else found.decode("latin1")


def _quoted(machine: Machine) -> str:
    """A string in quotes with backslashes, as protocol 0 writes byte strings."""
    line = machine.window.line(_LONGEST_TEXT).strip()
    if len(line) < 2 or line[:1] not in b"'\"" or line[-1:] != line[:1]:
        raise UnsafeCheckpoint(f"damaged pickle: a string without quotes: {shown(line)}")
    machine.budget.spend(len(line))
    return str(codecs.escape_decode(line[1:-1])[0], "latin1")


def _escaped(machine: Machine) -> str:
    """Text of protocol 0, with escapes for what is not Latin-1."""
    line = machine.window.line(_LONGEST_TEXT)
    machine.budget.spend(4 * len(line))
    text = line.decode("raw-unicode-escape")
    return text.encode("utf-8", errors="replace").decode("utf-8")


LITERALS: Mapping[bytes, tuple[int, Make]] = {
    b"N": (OPERATION, lambda _: None),
    b"\x88": (OPERATION, lambda _: True),
    b"\x89": (OPERATION, lambda _: False),
    b"K": (OPERATION, lambda m: m.number(1)),
    b"M": (OPERATION, lambda m: m.number(2)),
    b"J": (OPERATION, lambda m: _signed(m, 4)),
    b"\x8a": (OPERATION + DIGITS, lambda m: _signed(m, m.number(1))),
    b"\x8b": (OPERATION + DIGITS, lambda m: _signed(m, m.number(4))),
    b"G": (OPERATION, _binary_float),
    b"I": (OPERATION + DIGITS, _written_number),
    b"L": (OPERATION + DIGITS, _written_number),
    b"F": (OPERATION, lambda m: float(m.window.line(DIGITS))),
    b"\x8c": (OPERATION, lambda m: _text(m, m.number(1))),
    b"X": (OPERATION, lambda m: _text(m, m.number(4))),
    b"\x8d": (OPERATION, lambda m: _text(m, m.number(8))),
    b"C": (OPERATION, lambda m: _octets(m, m.number(1))),
    b"B": (OPERATION, lambda m: _octets(m, m.number(4))),
    b"\x8e": (OPERATION, lambda m: _octets(m, m.number(8))),
    b"\x96": (OPERATION, lambda m: _octets(m, m.number(8))),
    b"U": (OPERATION, lambda m: _old_text(m, m.number(1))),
    b"T": (OPERATION, lambda m: _old_text(m, m.number(4))),
    b"S": (OPERATION, _quoted),
    b"V": (OPERATION, _escaped),
}
"""Of each code, the price in bytes and what makes its object."""
