"""safetensors files of one network and its description, written whole or not at all.

What a file holds is said by its metadata: `schema_version`, `kind` and `config`, the network's
description as JSON. Every kind is one `Format`.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.errors import CheckpointError

C = TypeVar("C")


@dataclass(frozen=True)
class Format(Generic[C]):
    """One kind of file.

    Attributes:
        kind: what the file holds.
        version: of its schema; no other is read.
        parse: the description out of its JSON; a ValueError says what is wrong with it.
    """

    kind: str
    version: str
    parse: Callable[[str], C]

    def header(self, config: str) -> dict[str, str]:
        """The metadata of a file whose network has the description `config`, as JSON."""
        return {"schema_version": self.version, "kind": self.kind, "config": config}

    def config(self, header: Mapping[str, str], path: str | Path) -> C:
        """The network's description out of a file's metadata.

        Raises:
            CheckpointError: another kind or schema, or a description that makes no sense.
        """
        kind, version = header.get("kind"), header.get("schema_version")
        if kind != self.kind:
            raise CheckpointError(f"{path} holds {kind or 'no kind'!r}, not {self.kind!r}")
        if version != self.version:
            raise CheckpointError(
                f"{path} has schema_version {version!r}; this program reads {self.version!r}"
            )
        try:
            return self.parse(header.get("config", ""))
        except ValueError as error:
            raise CheckpointError(f"{path}: {error}") from error


def write_tensors(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    header: Mapping[str, str],
    metadata: Mapping[str, str] | None = None,
    *,
    half: bool = False,
) -> None:
    """A safetensors file of `tensors` in float32, or in float16, written whole or not at all.

    Equal input gives equal bytes, which the library's own writer does not: the order of its
    header's keys is random. Nor does it do without two copies of everything.

    Args:
        path: the file; replaced if it exists.
        tensors: on any device.
        header: the metadata of the format.
        metadata: more strings to keep.
        half: in float16, for half the size; readers make float32 of it again.

    Raises:
        ValueError: `metadata` uses a key of `header`, or a number is too large for float16.
    """
    if taken := sorted(set(metadata or ()) & set(header)):
        raise ValueError(f"metadata keys are reserved: {taken}")
    ordered = dict(sorted(tensors.items()))
    temporary = Path(f"{path}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(_header_of(ordered, {**header, **(metadata or {})}, half))
            for key, tensor in ordered.items():
                file.write(_numbers(key, tensor, half).numpy().data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _numbers(key: str, tensor: Tensor, half: bool) -> Tensor:
    """What a file holds of `tensor`, on the CPU."""
    numbers = tensor.detach().float().cpu().contiguous()
    if not half:
        return numbers
    if numbers.numel() and numbers.abs().max() > torch.finfo(torch.float16).max:
        raise ValueError(f"{key} has numbers that are too large for float16")
    return numbers.half()


def _header_of(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], half: bool) -> bytes:
    """What stands before the numbers, which follow in the order of `tensors`.

    The format is the header's length as little-endian uint64, then the header as JSON padded with
    spaces to a multiple of 8.
    """
    entries: dict[str, object] = {"__metadata__": metadata}
    end = 0
    for key, tensor in tensors.items():
        start, end = end, end + (2 if half else 4) * tensor.numel()
        entries[key] = {
            "dtype": "F16" if half else "F32",
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(entries, sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def read_tensors(path: str | Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The metadata and the tensors of a safetensors file, or a `CheckpointError`."""
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
            return header, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}") from error


def read_metadata(path: str | Path) -> dict[str, str]:
    """All metadata strings of a neutral file, without its tensors."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}") from error


def check_tensors(
    shapes: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor], source: str
) -> None:
    """Raises a `CheckpointError` that names the first tensors missing, unknown or misshapen.

    Weights are floats of 16 bits or more: others would be far larger in memory than in the file.
    """
    problems = [f"missing {key} {list(shapes[key])}" for key in shapes if key not in tensors]
    problems += [f"unknown {key}" for key in tensors if key not in shapes]
    problems += [
        f"{key} is {list(tensors[key].shape)}, expected {list(shape)}"
        for key, shape in shapes.items()
        if key in tensors and tuple(tensors[key].shape) != shape
    ]
    problems += [
        f"{key} is of {tensor.dtype}"
        for key, tensor in tensors.items()
        if not tensor.is_floating_point() or tensor.itemsize < 2
    ]
    if problems:
        more = f" and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise CheckpointError(f"{source}: {'; '.join(problems[:8])}{more}")
