"""A reader of pickles that builds containers, numbers and tensors, and never runs anything.

A pickle is a program that names functions to call. Here a name is looked up in a short table
of our own functions; every other name becomes an `Inert` object that keeps what it was given
and does nothing. Nothing named in a file is imported, and the source text that NVIDIA's files
carry is dropped unread. `torch.storage._load_from_bytes` is not the original either: that one
would run any pickle hidden in a tensor's bytes.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from models.errors import UnsafeCheckpoint

STORAGE_DTYPES: Mapping[str, torch.dtype] = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001


class _Sealed(type):
    """Classes a pickle can reach, but whose attributes it cannot change."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise UnsafeCheckpoint(f"the file tries to change {cls.__name__}.{name}")


class Inert(metaclass=_Sealed):
    """Stands for an object of a class or function that was not imported."""

    name = "?"

    def __init__(self, *arguments: object, **named: object) -> None:
        self.arguments, self.named = arguments, named
        self.state: object = None
        self.items: list[object] = []

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        self.items.append((key, value))

    def append(self, item: object) -> None:
        """Keeps an item of what was a list."""
        self.items.append(item)

    def __hash__(self) -> int:
        return id(self)


class PlainDict(dict[Any, Any], metaclass=_Sealed):
    """A dictionary subclass of a file (dnnlib's EasyDict) as a plain dictionary."""


@dataclass(frozen=True)
class PersistedObject:
    """An object whose class the file carries as source text: the state without the text."""

    class_name: str
    state: Mapping[str, Any]


@dataclass
class Storage:
    """The numbers behind tensors: `data` is a flat tensor, filled at once or later."""

    data: Tensor


class _NumpyDtype(metaclass=_Sealed):
    """A numpy dtype as pickles build one: name and flags, then a state with the byte order."""

    def __init__(self, name: str, *_: object) -> None:
        self.name, self.big_endian = str(name), False

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.big_endian = state[1] == ">"

    def dtype(self) -> np.dtype[Any]:
        """The real dtype, numbers only."""
        dtype = np.dtype(self.name).newbyteorder(">" if self.big_endian else "<")
        if dtype.kind not in "biuf":
            raise UnsafeCheckpoint(f"numpy dtype {self.name!r} is not a number")
        return dtype


class StorageSource(Protocol):
    """Where the storages that a pickle names by key come from."""

    def __call__(self, key: str, dtype: torch.dtype, numel: int) -> Storage:
        """The storage `key` of `numel` numbers."""


@dataclass
class Report:
    """What a reading had to make harmless."""

    inert: set[str] = field(default_factory=set)


class Reader(pickle.Unpickler):
    """Reads one pickle from `file`; see the module for what it admits."""

    def __init__(
        self, file: io.BufferedIOBase, report: Report, storages: StorageSource | None = None
    ) -> None:
        super().__init__(file, encoding="latin1")
        self._report, self._storages = report, storages
        self._table: Mapping[tuple[str, str], Callable[..., Any]] = {
            ("torch_utils.persistence", "_reconstruct_persistent_obj"): self._persisted,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): self._parameter,
            ("torch.storage", "_load_from_bytes"): self._storage_from_bytes,
            ("collections", "OrderedDict"): OrderedDict,
            ("dnnlib.util", "EasyDict"): PlainDict,
            ("builtins", "set"): set,
            ("__builtin__", "set"): set,
            ("_codecs", "encode"): self._encode,
            ("numpy", "dtype"): _NumpyDtype,
            ("numpy.core.multiarray", "scalar"): self._scalar,
            ("numpy._core.multiarray", "scalar"): self._scalar,
            ("torch", "Size"): self._size,
        }

    def find_class(self, module: str, name: str) -> Any:
        """Our own stand-in for `module.name`; never an import."""
        if (module, name) in self._table:
            return self._table[module, name]
        if module == "torch" and name in STORAGE_DTYPES:
            return STORAGE_DTYPES[name]
        self._report.inert.add(f"{module}.{name}")
        return _Sealed(name, (Inert,), {"name": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Storage:
        """The storage that a torch file names ('storage', dtype, key, location, numel, ..)."""
        if self._storages is None:
            raise UnsafeCheckpoint(f"a plain pickle refers to data outside it: {pid!r}")
        match pid:
            case ("storage", torch.dtype() as dtype, key, _, int(numel), *_) if numel >= 0:
                return self._storages(str(key), dtype, numel)
        raise UnsafeCheckpoint(f"unknown reference to data: {pid!r}")

    def _persisted(self, meta: Mapping[str, Any]) -> PersistedObject:
        state = meta["state"]
        if not isinstance(state, dict):
            raise UnsafeCheckpoint(f"state of {meta['class_name']!r} is a {type(state).__name__}")
        return PersistedObject(str(meta["class_name"]), state)

    def _tensor(self, storage: Storage, offset: int, size: Any, stride: Any, *_: object) -> Tensor:
        """A contiguous copy of storage[offset ...] seen with `size` and `stride`."""
        if not isinstance(storage, Storage):
            raise UnsafeCheckpoint(f"a tensor's storage is a {type(storage).__name__}")
        size, stride = tuple(map(int, size)), tuple(map(int, stride))
        if len(size) != len(stride) or min((offset, *size, *stride), default=0) < 0:
            raise UnsafeCheckpoint(f"impossible tensor: size {size}, stride {stride}")
        numel = int(np.prod(size, dtype=object)) if size else 1
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        total = storage.data.numel()
        if numel > total or (numel and last >= total):
            raise UnsafeCheckpoint(f"tensor of size {size} reaches past its {total} numbers")
        return torch.as_strided(storage.data, size, stride, offset)

    def _parameter(self, data: Tensor, *_: object) -> Tensor:
        return data

    def _storage_from_bytes(self, data: bytes) -> Storage:
        """The storage inside a tensor's bytes: a complete legacy torch stream."""
        found = read_legacy(io.BytesIO(data), len(data), self._report)
        if not isinstance(found, Storage):
            raise UnsafeCheckpoint(f"a tensor's bytes hold a {type(found).__name__}")
        return found

    def _scalar(self, dtype: _NumpyDtype, data: bytes | str) -> float | int | bool:
        if not isinstance(dtype, _NumpyDtype):
            raise UnsafeCheckpoint(f"a numpy scalar of type {dtype!r}")
        raw = data.encode("latin1") if isinstance(data, str) else data
        number = np.frombuffer(raw, dtype.dtype(), count=1)[0].item()
        assert isinstance(number, float | int | bool)
        return number

    def _encode(self, text: str, encoding: str = "latin1") -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise UnsafeCheckpoint(f"text encoded as {encoding!r}")
        return text.encode("latin1")

    def _size(self, numbers: Any) -> tuple[int, ...]:
        return tuple(map(int, numbers))


def read_pickle(
    file: io.BufferedIOBase, report: Report, storages: StorageSource | None = None
) -> Any:
    """The next pickle of `file`, safely.

    Raises:
        UnsafeCheckpoint: damaged, or asks for what is never given.
    """
    try:
        return Reader(file, report, storages).load()
    except UnsafeCheckpoint:
        raise
    except Exception as error:  # a hostile stream can make the unpickler raise anything
        raise UnsafeCheckpoint(f"damaged pickle: {type(error).__name__}: {error}") from error


def read_legacy(file: io.BufferedIOBase, size: int, report: Report) -> Any:
    """The object of a torch file of the time before 1.6.

    Five pickles (magic number, protocol, system, object, storage keys), then for each key the
    count as little-endian int64 and the raw numbers.

    Args:
        file: at the start of the stream.
        size: bytes of the stream; storages may not claim more.
        report: receives what was made inert.
    """
    magic, protocol, _ = (read_pickle(file, report) for _ in range(3))
    if (magic, protocol) != (LEGACY_MAGIC, LEGACY_PROTOCOL):
        raise UnsafeCheckpoint(f"not a legacy torch stream: {magic!r}, {protocol!r}")
    storages: dict[str, Storage] = {}
    claimed = 0

    def allocate(key: str, dtype: torch.dtype, numel: int) -> Storage:
        nonlocal claimed
        if key not in storages:
            claimed += numel * dtype.itemsize
            if claimed > size:
                raise UnsafeCheckpoint(f"storages claim {claimed} bytes of a {size} byte stream")
            storages[key] = Storage(torch.zeros(numel, dtype=dtype))
        return storages[key]

    found = read_pickle(file, report, allocate)
    keys = read_pickle(file, report)
    if not isinstance(keys, list) or {str(key) for key in keys} != set(storages):
        raise UnsafeCheckpoint("the list of storages does not match the storages in use")
    for key in keys:
        _fill(storages[str(key)], file)
    return found


def _fill(storage: Storage, file: io.BufferedIOBase) -> None:
    """Reads one storage's numbers."""
    numel = int.from_bytes(file.read(8), "little", signed=True)
    if numel != storage.data.numel():
        raise UnsafeCheckpoint(f"a storage of {storage.data.numel()} numbers says it has {numel}")
    raw = file.read(numel * storage.data.element_size())
    if len(raw) != numel * storage.data.element_size():
        raise UnsafeCheckpoint("the file ends inside a storage")
    if numel:
        storage.data.copy_(torch.frombuffer(bytearray(raw), dtype=storage.data.dtype))
