"""Which objects may be keys. A key's hash must be quick, and others' hashes hard to meet.

Hashes of texts are keyed by the process. Those of long integers and of tuples are not: a file
can make a million equal ones, and a dictionary of them takes hours. A tuple in a tuple in a
tuple hashes by recursion in C, without a bound.
"""

from typing import Any

import torch

from models.checkpoints.pickles.budget import Budget
from models.checkpoints.pickles.stand_ins import Inert, shown
from models.errors import UnsafeCheckpoint

_LONGEST_TUPLE = 16


def fit_key(key: Any, budget: Budget) -> Any:
    """`key`, if it may be one; else an `UnsafeCheckpoint`."""
    if _is_simple(key) or isinstance(key, Inert | torch.dtype):
        return key
    if isinstance(key, tuple) and len(key) <= _LONGEST_TUPLE and all(map(_is_simple, key)):
        budget.compound_key()
        return key
    raise UnsafeCheckpoint(f"the file uses a {shown(key)} as a key")


def _is_simple(key: Any) -> bool:
    """Whether `key` is a scalar; integers up to 64 bits."""
    if isinstance(key, int):
        return -(2**63) <= key < 2**64
    return key is None or isinstance(key, str | bytes | float)
