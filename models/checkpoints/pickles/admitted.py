"""The whole list of names that mean something in a file; every other name becomes inert."""

from typing import Any

from torch import Tensor

from models.checkpoints.pickles import arrays
from models.checkpoints.pickles.budget import ITEM, Budget
from models.checkpoints.pickles.keys import fit_key
from models.checkpoints.pickles.legacy import read_stream
from models.checkpoints.pickles.machine import Machine
from models.checkpoints.pickles.opcodes import execute
from models.checkpoints.pickles.stand_ins import (
    Admitted,
    Blob,
    PersistedObject,
    Report,
    shown,
)
from models.checkpoints.pickles.tensors import (
    STORAGE_DTYPES,
    Storage,
    StorageSource,
    stored,
    tensor_in,
)
from models.checkpoints.pickles.window import Window
from models.errors import UnsafeCheckpoint

_LONGEST_SIZE = 64


class Bare:
    """A world with torch's storage types and nothing else: that of a single storage's stream.

    Args:
        report: receives what was made inert.
        storages: answers references; None where a pickle has no business with any.
    """

    def __init__(self, report: Report, storages: StorageSource | None) -> None:
        self._report, self._storages = report, storages
        self._known: dict[tuple[str, str], Any] = {}

    def find(self, module: str, name: str) -> Any:
        """A storage type's dtype, an admitted function, or a stand-in; never an import."""
        if (module, name) in self._known:
            return self._known[module, name]
        if module in ("torch", "torch.cuda") and name in STORAGE_DTYPES:
            return STORAGE_DTYPES[name]
        return self._report.stand_in(module, name)

    def refer(self, reference: Any) -> Storage:
        """The storage that a torch file names."""
        if self._storages is None:
            raise UnsafeCheckpoint(f"a plain pickle refers to data outside it: {shown(reference)}")
        return stored(reference, self._storages)


class Checkpoint(Bare):
    """The world of a checkpoint's main pickle."""

    def __init__(
        self, report: Report, budget: Budget, storages: StorageSource | None = None
    ) -> None:
        super().__init__(report, storages)
        self._budget = budget
        self._known = {
            ("torch_utils.persistence", "_reconstruct_persistent_obj"): self._persisted,
            ("torch._utils", "_rebuild_tensor"): self._tensor,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): self._parameter,
            ("torch._utils", "_rebuild_parameter_with_state"): self._parameter,
            ("torch.storage", "_load_from_bytes"): self._storage,
            ("torch", "Size"): self._size,
            ("collections", "OrderedDict"): self._dict,
            ("dnnlib.util", "EasyDict"): self._dict,
            ("_codecs", "encode"): self._encode,
            ("numpy", "dtype"): arrays.dtype_named,
            ("numpy", "ndarray"): self._array,  # only ever an argument of `_reconstruct`
        }
        for builtins in ("builtins", "__builtin__"):
            self._known[builtins, "set"] = self._set
            self._known[builtins, "bytes"] = self._known[builtins, "bytearray"] = self._bytes
        for core in ("numpy.core", "numpy._core"):
            self._known[f"{core}.multiarray", "scalar"] = self._scalar
            self._known[f"{core}.multiarray", "_reconstruct"] = self._array
            self._known[f"{core}.numeric", "_frombuffer"] = self._array_from_buffer
        for (module, name), function in self._known.items():
            self._known[module, name] = Admitted(f"{module}.{name}", function)

    def _persisted(self, meta: Any) -> PersistedObject:
        """A network object of NVIDIA's: its state, without the source text beside it."""
        if not isinstance(meta, dict) or not isinstance(meta.get("state"), dict):
            raise UnsafeCheckpoint(f"a persistent object made of {shown(meta)} has no state")
        name = meta.get("class_name")
        if not isinstance(name, str):
            raise UnsafeCheckpoint(f"the class of a persistent object is {shown(name)}")
        return PersistedObject(name, meta["state"])

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
        return tensor_in(storage, offset, size, stride, self._budget)

    def _parameter(self, data: Any, *_: Any) -> Tensor:
        if not isinstance(data, Tensor):
            raise UnsafeCheckpoint(f"a parameter made of {shown(data)}")
        return data

    def _storage(self, data: Any) -> Storage:
        """The storage in a tensor's bytes: a legacy stream, the original of this would run it."""
        found = read_stream(arrays.raw_window(data, self._budget), self._budget, self._inner)
        if not isinstance(found, Storage):
            raise UnsafeCheckpoint(f"a tensor's bytes hold a {shown(found)}")
        return found

    def _inner(self, window: Window, storages: StorageSource | None) -> Any:
        """The next pickle of a storage's stream."""
        return execute(Machine(window, self._budget, Bare(self._report, storages)))

    def _size(self, numbers: Any = ()) -> tuple[int, ...]:
        if not isinstance(numbers, tuple | list) or len(numbers) > _LONGEST_SIZE:
            raise UnsafeCheckpoint(f"a size made of {shown(numbers)}")
        return tuple(numbers)

    def _dict(self, pairs: Any = ()) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        if isinstance(pairs, dict):
            pairs = list(pairs.items())
        if not isinstance(pairs, list | tuple):
            raise UnsafeCheckpoint(f"a dictionary made of {shown(pairs)}")
        for pair in pairs:
            self._budget.spend(ITEM)
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                raise UnsafeCheckpoint(f"a dictionary entry made of {shown(pair)}")
            made[fit_key(pair[0], self._budget)] = pair[1]
        return made

    def _set(self, items: Any = ()) -> set[Any]:
        if not isinstance(items, list | tuple | set | frozenset):
            raise UnsafeCheckpoint(f"a set made of {shown(items)}")
        self._budget.spend(ITEM * len(items))
        return {fit_key(item, self._budget) for item in items}

    def _encode(self, text: Any, encoding: Any = "latin1") -> bytes | Blob:
        """Bytes that protocol 2 spells as text."""
        if encoding not in ("latin1", "latin-1"):
            raise UnsafeCheckpoint(f"text encoded as {shown(encoding)}")
        if isinstance(text, Blob):
            return text
        if not isinstance(text, str):
            raise UnsafeCheckpoint(f"{shown(text)} encoded as text")
        self._budget.spend(len(text))
        return text.encode("latin1")

    def _bytes(self, data: Any = b"") -> bytes | Blob:
        """Empty bytes as protocol 2 spells them, or a byte array as protocol 4 does."""
        if not isinstance(data, bytes | Blob):
            raise UnsafeCheckpoint(f"bytes made of {shown(data)}")
        return data

    def _array(self, *_: Any) -> arrays.PendingArray:
        return arrays.PendingArray()

    def _array_from_buffer(self, data: Any, dtype: Any, shape: Any, order: Any) -> Any:
        return arrays.array_of(shape, dtype, order, data, self._budget)

    def _scalar(self, dtype: Any, data: Any) -> float | int | bool:
        return arrays.scalar(dtype, data, self._budget)
