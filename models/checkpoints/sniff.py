"""What kind of file a checkpoint is, from its first bytes: names and extensions lie.

Pure: knows neither torch nor networks.
"""

from enum import StrEnum
from pathlib import Path

from models.errors import CheckpointError

LEGACY_TORCH = bytes.fromhex("8a0a6cfc9c46f9206aa850192e")
"""The magic number 0x1950a86a20f9469cfc6c as a pickle, less its two protocol bytes."""


class FileKind(StrEnum):
    """Container formats a generator comes in."""

    SAFETENSORS = "safetensors"
    TORCH_ZIP = "torch-zip"
    TORCH_LEGACY = "torch-legacy"
    PICKLE = "pickle"


def sniff(path: Path) -> FileKind:
    """The container format of `path`.

    Raises:
        CheckpointError: not there, or none of the formats; the message says what it looks like.
    """
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    if head.startswith(b"PK\x03\x04"):
        return FileKind.TORCH_ZIP
    if head[:1] == b"\x80" and head[2:].startswith(LEGACY_TORCH):
        return FileKind.TORCH_LEGACY
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return FileKind.PICKLE
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100 * 2**20:
        return FileKind.SAFETENSORS
    raise CheckpointError(f"{path} is not a checkpoint: {_looks_like(head)}")


def _looks_like(head: bytes) -> str:
    """A guess at what a file that is no checkpoint is."""
    if not head:
        return "it is empty"
    if head.startswith(b"\x93NUMPY"):
        return "it is a numpy array, perhaps latents"
    if head.lstrip()[:1] == b"<":
        return "it is a web page, perhaps from a failed download"
    return f"it starts with {head[:8]!r}"
