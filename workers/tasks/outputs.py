"""Writes files of the resource that a compute task makes, and says what they are."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.data.images import encode_png
from workers.tasks.context import TaskContext

T = TypeVar("T")


def in_portions(things: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """The things in order, `most` at a time; the last portion may hold fewer."""
    for first in range(0, len(things), most):
        yield things[first : first + most]


def attempt_path(context: TaskContext, name: str) -> str:
    """Where a result that is not bit-reproducible goes: each attempt has a folder."""
    return f"attempts/{context.attempt}/{name}"


def publish(context: TaskContext, source: Path, path: str) -> dict[str, str]:
    """Put a file into the resource: its path and sha256, as final documents name it."""
    with source.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    context.store.put_file(context.key(path), source)
    return {"path": path, "sha256": digest}


def publish_picture(context: TaskContext, picture: NDArray[np.uint8], path: str) -> str:
    """Put a picture uint8 [H, W, 3] into the resource as a PNG; its path."""
    context.store.put(context.key(path), encode_png(picture), "image/png")
    return path
