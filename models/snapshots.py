"""Where a long computation leaves its state, so that one that is killed goes on.

Knows neither what is kept nor where: files, a bucket, or a dictionary in a test.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Protocol

import torch
from torch import Tensor


class Keeper(Protocol):
    """Keeps states by name; a later one takes the place of the one before."""

    def load(self, name: str) -> dict[str, Tensor] | None:
        """The state last saved under `name`, on the CPU; None where there is none."""
        ...

    def save(self, name: str, state: Mapping[str, Tensor]) -> None:
        """Keep `state`, whole or not at all; its tensors may change once this returns."""
        ...


def fingerprint(words: Iterable[str], tensors: Iterable[Tensor]) -> Tensor:
    """What a state was made for: SHA-256 of words and tensors as uint8 [32], on the CPU."""
    digest = hashlib.sha256("\n".join(words).encode())
    for tensor in tensors:
        values = tensor.detach().cpu().contiguous()
        digest.update(f"\n{values.dtype} {list(values.shape)}\n".encode())
        digest.update(values.flatten().view(torch.uint8).numpy().data)
    return torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8)
