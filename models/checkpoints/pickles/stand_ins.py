"""What stands in the result for objects that are not made. Knows no pickle and no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.checkpoints.pickles.window import Window
from models.errors import UnsafeCheckpoint

LARGE = 1 << 16
"""Bytes from which texts and byte strings stay in the file."""

_NOTHING: Mapping[str, Any] = {}
_LONGEST_SPELLED = 32 << 20
_BELOW_256 = bytes(range(0xC4))  # what UTF-8 spells such characters with
_LONGEST_NAME, _MOST_NAMES = 200, 1000


@dataclass(slots=True, eq=False, repr=False)
class Inert:
    """Stands for a class or function that was not imported, or for what it would have made.

    Attributes:
        name: "module.name", printable.
        arguments: what it was called with; None if it was only named.
        named: the same by keyword.
        state: what the object would have been filled with.
        items: what would have been put into it; (key, value) for keyed things.
    """

    name: str = "?"
    arguments: tuple[Any, ...] | None = None
    named: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    state: Any = None
    items: list[Any] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"Inert({self.name!r})"


@dataclass(frozen=True, eq=False, repr=False)
class Admitted:
    """A name of the file that means one of our functions.

    Attributes:
        name: "module.name".
        function: what a call of it calls.
    """

    name: str
    function: Callable[..., Any]

    def __repr__(self) -> str:
        return f"Admitted({self.name!r})"


@dataclass(frozen=True, repr=False)
class PersistedObject:
    """An object whose class the file carries as source text: the state without the text."""

    class_name: str
    state: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"PersistedObject({self.class_name!r})"


@dataclass(frozen=True, eq=False, repr=False)
class Blob:
    """A large text or byte string, left in the file.

    Attributes:
        contents: where it lies.
        spelled: whether the bytes are spelled as UTF-8 text of characters below 256.
    """

    contents: Window
    spelled: bool = False

    def __repr__(self) -> str:
        return f"Blob({self.contents.remaining} bytes)"

    def opened(self) -> Window:
        """The bytes, from their beginning."""
        if not self.spelled:
            return self.contents.again()
        if self.contents.remaining > _LONGEST_SPELLED:
            raise UnsafeCheckpoint(f"a text spells more than {_LONGEST_SPELLED >> 20} MB of bytes")
        raw = self.contents.again().read(self.contents.remaining)
        if raw.translate(None, _BELOW_256):  # seen before decoding: others take four times as much
            raise UnsafeCheckpoint("a text that should spell bytes has other characters")
        return Window.of(raw.decode("utf-8").encode("latin1"))


@dataclass
class Report:
    """What a reading had to make harmless.

    Attributes:
        inert: names, "module.name", of what was neither imported nor run; at most 1,000.
    """

    inert: set[str] = field(default_factory=set)

    def stand_in(self, module: str, name: str) -> Inert:
        """An `Inert` for `module.name`, listed here."""
        full = printable(f"{module}.{name}")
        self.inert.add(full if len(self.inert) < _MOST_NAMES else "...")
        return Inert(full)


def printable(text: str) -> str:
    """`text` on one line, without what would steer a terminal, cut at 200 characters."""
    plain = text if text.isprintable() else ascii(text)[1:-1]
    return plain if len(plain) <= _LONGEST_NAME else f"{plain[:_LONGEST_NAME]}..."


def shown(value: object) -> str:
    """A short description for messages: values of simple kinds, else the kind's name."""
    if isinstance(value, str | bytes):
        return printable(repr(value[:60]))
    if value is None or isinstance(value, int | float):
        return printable(repr(value))
    return value.name if isinstance(value, Inert | Admitted) else type(value).__name__
