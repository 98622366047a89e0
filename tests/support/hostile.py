"""Files made to run code, to exhaust memory or time, or to crash a checkpoint reader.

Built in code, byte by byte where no library would write them. Each case says what it tries and
how it must end: refused with a message, or read with the named parts inert. The cases are in
`hostile_code`, `hostile_sizes`, `hostile_files`, `hostile_networks`; here are the parts they are
made of.
"""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

COMMAND = "touch HACKED"
"""What the files try to run; the reader runs in a folder of its own."""


SYSTEM_INFO = {"little_endian": True}


@dataclass(frozen=True)
class Case:
    """One hostile file.

    Attributes:
        name: of the file.
        tries: what it tries, in words.
        data: its bytes, or what makes something else than a file at a path.
        refused: pattern of the message; None if it must be read.
        inert: names that the reading must have reported.
        unfit: of what must be read, pattern of the message that refuses it as a network or as
            latents; None if that does not matter.
    """

    name: str
    tries: str
    data: bytes | Callable[[Path], None]
    refused: str | None = None
    inert: frozenset[str] = frozenset()
    unfit: str | None = None


def bad(name: str, tries: str, data: bytes | Callable[[Path], None], refused: str) -> Case:
    """A case that must be refused."""
    return Case(name, tries, data, refused)


def tame(name: str, tries: str, data: bytes, *inert: str) -> Case:
    """A case that must be read, with these names inert."""
    return Case(name, tries, data, None, frozenset(inert))


def swollen(name: str, tries: str, data: bytes, unfit: str, *inert: str) -> Case:
    """A case that can be read, and of which no network or latents may be made."""
    return Case(name, tries, data, None, frozenset(inert), unfit)


def part(value: object) -> bytes:
    """The operations that put a plain value on the stack."""
    return pickle.dumps(value, 2)[2:-1]


def name(module: str, attribute: str) -> bytes:
    """The operation that puts `module.attribute` on the stack."""
    return f"c{module}\n{attribute}\n".encode()


def stacked(module: str, attribute: str) -> bytes:
    """The same with both names from the stack, as protocol 4 has it."""
    return part(module) + part(attribute) + b"\x93"


def call(function: bytes, *arguments: object) -> bytes:
    """The operations of a call; arguments are values, or operations if they are bytearrays."""
    pushed = b"".join(bytes(a) if isinstance(a, bytearray) else part(a) for a in arguments)
    return function + b"(" + pushed + b"tR"


def whole(operations: bytes, protocol: int = 4) -> bytes:
    """A pickle of these operations."""
    return bytes([0x80, protocol]) + operations + b"."


def octets(data: bytes) -> bytes:
    """The operation that puts bytes on the stack."""
    return b"B" + struct.pack("<I", len(data)) + data


def stream(found: bytes, numbers: bytes = b"", keys: tuple[str, ...] = ()) -> bytes:
    """A legacy torch stream whose object is the pickle `found`."""
    head = (0x1950A86A20F9469CFC6C, 1001, SYSTEM_INFO)
    return (
        b"".join(pickle.dumps(value, 2) for value in head)
        + found
        + pickle.dumps(list(keys), 2)
        + numbers
    )


def reference(key: str, numel: int) -> bytes:
    """The operations that refer to a storage of `numel` floats."""
    front = part("storage") + name("torch", "FloatStorage")
    return b"(" + front + part(key) + part("cpu") + part(numel) + b"NtQ"


def storage(*numbers: float) -> bytes:
    """The operations that put a storage on the stack as plain pickles have it."""
    raw = struct.pack(f"<q{len(numbers)}f", len(numbers), *numbers)
    inner = stream(whole(reference("0", len(numbers)), 2), raw, ("0",))
    return name("torch.storage", "_load_from_bytes") + octets(inner) + b"\x85R"


def tensor(found: bytes, offset: object, size: object, stride: object) -> bytes:
    """The operations that put a view of a storage on the stack."""
    view = part(offset) + part(size) + part(stride)
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + found + view + b"\x89}tR"


def array(dtype: str, shape: object, data: bytes) -> bytes:
    """The operations that put a numpy array on the stack; `data` are operations."""
    made = call(
        name("numpy.core.multiarray", "_reconstruct"),
        bytearray(name("numpy", "ndarray")),
        (0,),
        b"b",
    )
    kind = call(name("numpy", "dtype"), dtype, False, True)
    return made + b"(K\1" + part(shape) + kind + b"\x89" + data + b"tb"


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for title, data in members.items():
            archive.writestr(zipfile.ZipInfo(title), data, method)
    return buffer.getvalue()


def torch_zip(operations: bytes, **storages: bytes) -> bytes:
    """A torch file; storages are called s0, s1, ..."""
    members = {"archive/data.pkl": whole(operations, 2)}
    return zipped(members | {f"archive/data/{key}": data for key, data in storages.items()})
