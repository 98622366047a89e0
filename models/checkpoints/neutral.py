"""The project's own generator file: one safetensors file, whatever the generator came from.

Tensors are `Generator.state_dict()`, noise constants included, in float32. The metadata holds
`schema_version`, `kind` = "stylegan2-generator", `config` (JSON of `GeneratorConfig`) and any
further strings the writer wants to keep. Times and hosts are not written: equal generators
give equal bytes.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from models.checkpoints.parts import shapes_of
from models.errors import CheckpointError
from models.stylegan2.config import GeneratorConfig
from models.stylegan2.networks import Generator

SCHEMA_VERSION = "1"
KIND = "stylegan2-generator"


def save_generator(
    generator: Generator, path: str | Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes `generator` to `path`, whole or not at all.

    Args:
        generator: on any device.
        path: the file; replaced if it exists.
        metadata: more strings to keep, such as where the weights came from.

    Raises:
        ValueError: `metadata` uses a key this format reserves.
    """
    header = {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "config": generator.config.to_json(),
    }
    write_tensors(path, generator.state_dict(), header, metadata)


def write_tensors(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    header: Mapping[str, str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """A safetensors file of `tensors`, written whole or not at all; equal input, equal bytes.

    Args:
        path: the file; replaced if it exists.
        tensors: on any device.
        header: the metadata of the format.
        metadata: more strings to keep.

    Raises:
        ValueError: `metadata` uses a key of `header`.
    """
    if taken := sorted(set(metadata or ()) & set(header)):
        raise ValueError(f"metadata keys are reserved: {taken}")
    plain = {key: t.detach().cpu().contiguous() for key, t in tensors.items()}
    pieces = _with_sorted_header(save(plain, metadata={**header, **(metadata or {})}))
    temporary = Path(f"{path}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.writelines(pieces)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _with_sorted_header(data: bytes) -> tuple[bytes | memoryview, ...]:
    """The same safetensors file with its header's keys in order: the library's order is random.

    The format is the header's length as little-endian uint64, the header as JSON padded with
    spaces to a multiple of 8, then the tensors, which are not copied.
    """
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little"), header, memoryview(data)[8 + length :]


def load_neutral(path: str | Path) -> Generator:
    """The generator that `save_generator` wrote, on the CPU, in eval mode.

    Raises:
        CheckpointError: not such a file, a newer schema, or a tensor missing, unknown or of
            another shape; the message names it.
    """
    header, tensors = read_tensors(path)
    return build_generator(read_config(header, path), tensors, source=str(path))


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


def read_config(header: Mapping[str, str], path: str | Path) -> GeneratorConfig:
    """The network's description out of a file's metadata, or a `CheckpointError`."""
    check_kind(header, KIND, SCHEMA_VERSION, path)
    try:
        return GeneratorConfig.from_json(header.get("config", ""))
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def check_kind(header: Mapping[str, str], kind: str, version: str, path: str | Path) -> None:
    """Raises a `CheckpointError` unless the file's metadata names this kind and schema."""
    if header.get("kind") != kind:
        raise CheckpointError(f"{path} holds {header.get('kind', 'no kind')!r}, not {kind!r}")
    if header.get("schema_version") != version:
        raise CheckpointError(
            f"{path} has schema_version {header.get('schema_version')!r}; "
            f"this program reads {version!r}"
        )


def build_generator(
    config: GeneratorConfig, tensors: Mapping[str, Tensor], source: str
) -> Generator:
    """A generator of `config` holding exactly `tensors`, keyed as its state dict.

    Raises:
        CheckpointError: a key missing, unknown, or with another shape than `config` asks for.
    """
    check_tensors(shapes_of(config), tensors, source)
    generator = Generator(config)
    generator.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    return generator.eval().requires_grad_(False)


def check_tensors(
    shapes: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor], source: str
) -> None:
    """Raises a `CheckpointError` that names the first tensors missing, unknown or misshapen."""
    problems = [f"missing {key} {list(shapes[key])}" for key in shapes if key not in tensors]
    problems += [f"unknown {key}" for key in tensors if key not in shapes]
    problems += [
        f"{key} is {list(tensors[key].shape)}, expected {list(shape)}"
        for key, shape in shapes.items()
        if key in tensors and tuple(tensors[key].shape) != shape
    ]
    if problems:
        more = f" and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise CheckpointError(f"{source}: {'; '.join(problems[:8])}{more}")
