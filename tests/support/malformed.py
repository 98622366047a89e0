"""Files that no dataset should hold: broken, lying, disguised, or made to exhaust a reader.

Built in code. `CASES` lists each with what it is sent as; the families are in
`malformed_pictures`, `malformed_labels`, `malformed_archives` and `malformed_requests`.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Malformed:
    """One such file.

    Attributes:
        name: of the case.
        sent_as: `image`, `label` (a mask), `depth` or `keypoints` of an item, `archive`, or
            `body` of a request.
        make: makes its bytes; lazily, for some are large.
        says: pattern that the refusal matches; of an archive, the refusal of one of its files.
        is_fine: odd, but can be read: then it is, and nothing strange of it is kept.
    """

    name: str
    sent_as: str
    make: Callable[[], bytes]
    says: str = ""
    is_fine: bool = False


def case(name: str, sent_as: str, data: bytes | Callable[[], bytes], says: str = "") -> Malformed:
    """A case that must be refused."""
    return Malformed(name, sent_as, (lambda: data) if isinstance(data, bytes) else data, says)


def fine(name: str, sent_as: str, data: bytes) -> Malformed:
    """A case that must be read."""
    return Malformed(name, sent_as, lambda: data, is_fine=True)


def cut(name: str, sent_as: str, data: bytes, *places: float) -> list[Malformed]:
    """A file that breaks off after these shares of it."""
    return [
        case(f"{name}-cut-at-{100 * place:g}%", sent_as, data[: int(len(data) * place)])
        for place in places
    ]


def flipped(name: str, sent_as: str, data: bytes, *places: float) -> list[Malformed]:
    """A file of which one byte at these shares of it is another."""
    found = []
    for place in places:
        broken = bytearray(data)
        broken[int(len(data) * place)] ^= 0xFF
        found.append(case(f"{name}-other-byte-at-{100 * place:g}%", sent_as, bytes(broken)))
    return found
