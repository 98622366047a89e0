"""Whether tensors show numbers of their own, or the same ones many times over.

The tensors of a file are views of its storages, and one may stand under many names: ten megabytes
can spell a network of ten gigabytes. Whoever copies what a file shows asks here first.
"""

from collections.abc import Iterable

from torch import Tensor

from models.errors import UnsafeCheckpoint

SPARE = 64 << 20
"""Bytes that may be repeated: small tensors are, such as filters and averages for every layer."""


def check_own_numbers(tensors: Iterable[Tensor], source: str) -> None:
    """Refuses tensors that together need far more memory than the storages they are seen in.

    Raises:
        UnsafeCheckpoint: they do; the message has both sizes.
    """
    shown, held = 0, {}
    for tensor in tensors:
        shown += tensor.numel() * tensor.element_size()
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
    if shown > SPARE + sum(held.values()):
        raise UnsafeCheckpoint(
            f"{source}: its tensors repeat {sum(held.values()) >> 20} MB of numbers until they are "
            f"{shown >> 20} MB, which no checkpoint does: damaged or made to exhaust memory"
        )
