"""What kind of file a checkpoint is, from its bytes: names and extensions lie.

Knows neither torch nor networks, and reads no more than the ends of a file.
"""

import os
import re
import stat
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from models.checkpoints.signatures import described
from models.checkpoints.zip_directory import Member, read_directory
from models.errors import CheckpointError

LEGACY_TORCH = bytes.fromhex("8a0a6cfc9c46f9206aa850192e")
"""The magic number 0x1950a86a20f9469cfc6c as a pickle, less its two protocol bytes."""

NUMPY = b"\x93NUMPY"

LONGEST_HEADER = 8 << 20
"""Bytes of a safetensors header; a large network's has 100 kB."""

_HEAD = 512
_EARLY_PICKLE = re.compile(rb"[(\]}]|c[\w.]+\n[\w.]+\n")


class FileKind(StrEnum):
    """Container formats a network or latents come in."""

    SAFETENSORS = "safetensors"
    TORCH_ZIP = "torch-zip"
    TORCH_LEGACY = "torch-legacy"
    PICKLE = "pickle"
    NPY = "npy"
    NPZ = "npz"


def sniff(path: Path) -> FileKind:
    """The container format of `path`.

    Raises:
        CheckpointError: not there, no file, or none of the formats; the message says what it
            looks like and what to do.
    """
    try:
        # A pipe would keep us waiting for its other end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise CheckpointError(f"{path} is not a file: a folder, a pipe or a device")
        with path.open("rb") as file:
            return sniff_open(file)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except CheckpointError as error:
        if str(error).startswith(str(path)):
            raise
        raise type(error)(f"{path} is not a checkpoint: {error}") from error


def sniff_open(file: BinaryIO) -> FileKind:
    """The container format of a file that is open; see `sniff`."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(_HEAD)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _kind_of_zip(read_directory(file, size))
    if head.startswith(NUMPY):
        return FileKind.NPY
    if head[:1] == b"\x80" and LEGACY_TORCH in head[2:32]:
        return FileKind.TORCH_LEGACY
    if head[:1] == b"\x80" and head[1:2] in (b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"):
        return FileKind.PICKLE
    if head[8:9] == b"{":
        return _checked_safetensors(int.from_bytes(head[:8], "little"), size)
    if _EARLY_PICKLE.match(head) and _last_byte(file, size) == b".":
        return FileKind.PICKLE
    raise CheckpointError(described(head))


def _kind_of_zip(members: Mapping[str, Member]) -> FileKind:
    """What a zip file is, from the names in it."""
    names = [name.rpartition("/")[2] for name in members]
    if "data.pkl" in names and "constants.pkl" in names:
        raise CheckpointError(
            "it is a TorchScript program, not the tensors of a network; give the checkpoint "
            "that it was made from"
        )
    if "data.pkl" in names:
        return FileKind.TORCH_ZIP
    if members and all(name.endswith(".npy") for name in names):
        return FileKind.NPZ
    raise CheckpointError(
        f"it is a zip archive of {len(names)} files, none of them torch's data.pkl; unpack it "
        "and give the checkpoint inside"
    )


def _checked_safetensors(header: int, size: int) -> FileKind:
    """Safetensors, if its header can be."""
    if header > LONGEST_HEADER:
        raise CheckpointError(
            f"it looks like safetensors with a header of {header} bytes, of which at most "
            f"{LONGEST_HEADER} are read: damaged"
        )
    if header + 8 > size:
        raise CheckpointError(
            f"it looks like safetensors cut off in its header, after {size} bytes: fetch it again"
        )
    return FileKind.SAFETENSORS


def _last_byte(file: BinaryIO, size: int) -> bytes:
    file.seek(size - 1)
    return file.read(1)
