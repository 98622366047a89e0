"""A reader of pickles that builds containers, numbers and tensors, and never runs anything.

A pickle is a program that names functions to call. Here a name is looked up in a short table
of our own functions; every other name becomes an `Inert` object that keeps what it was given
and does nothing. Nothing named in a file is imported, and the source text that NVIDIA's files
carry is dropped unread. `torch.storage._load_from_bytes` is not the original either: that one
would run any pickle hidden in a tensor's bytes. What a reading may cost is bounded by the
file's size.

The parts are in `models.checkpoints.pickles`; this is their front door.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models.checkpoints.pickles.admitted import Checkpoint
from models.checkpoints.pickles.budget import Budget
from models.checkpoints.pickles.legacy import read_stream
from models.checkpoints.pickles.machine import Machine
from models.checkpoints.pickles.opcodes import execute
from models.checkpoints.pickles.stand_ins import Blob, Inert, PersistedObject, Report, printable
from models.checkpoints.pickles.tensors import Storage, StorageSource
from models.checkpoints.pickles.walk import check_walkable
from models.checkpoints.pickles.window import Window
from models.errors import UnsafeCheckpoint

__all__ = [
    "Blob",
    "Inert",
    "PersistedObject",
    "Report",
    "Storage",
    "StorageSource",
    "read_legacy",
    "read_pickle",
]


def read_pickle(
    window: Window,
    report: Report,
    storages: StorageSource | None = None,
    budget: Budget | None = None,
) -> Any:
    """The next pickle of `window`, safely.

    Args:
        window: at the start of a pickle; afterwards behind it.
        report: receives what was made inert.
        storages: answers a torch file's references to data.
        budget: of the file; by default one for what is left of the window.

    Raises:
        UnsafeCheckpoint: damaged, too dear, or asks for what is never given.
    """
    budget = budget or Budget(window.remaining)
    with _any_failure_is_damage():
        root = execute(Machine(window, budget, Checkpoint(report, budget, storages)))
        check_walkable(root)
        return root


def read_legacy(window: Window, report: Report) -> Any:
    """The object of a torch file of the time before 1.6.

    Args:
        window: the whole stream; storages may not claim more than it has.
        report: receives what was made inert.

    Raises:
        UnsafeCheckpoint: damaged, too dear, or asks for what is never given.
    """
    budget = Budget(window.remaining)

    def next_pickle(window: Window, storages: StorageSource | None) -> Any:
        return execute(Machine(window, budget, Checkpoint(report, budget, storages)))

    with _any_failure_is_damage():
        root = read_stream(window, budget, next_pickle)
        check_walkable(root)
        return root


@contextmanager
def _any_failure_is_damage() -> Iterator[None]:
    """A hostile stream can make Python, numpy or torch raise anything."""
    try:
        yield
    except UnsafeCheckpoint:
        raise
    except Exception as error:
        problem = printable(f"{type(error).__name__}: {error}")
        raise UnsafeCheckpoint(f"damaged pickle: {problem}") from error
