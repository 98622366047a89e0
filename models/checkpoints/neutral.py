"""The project's own generator file: one safetensors file, whatever the generator came from.

Tensors are `Generator.state_dict()`, noise constants included, in float32. The metadata holds
`schema_version`, `kind` = "stylegan2-generator", `config` (JSON of `GeneratorConfig`) and any
further strings the writer wants to keep. Times and hosts are not written: equal generators
give equal bytes.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from models.blank import Blank
from models.checkpoints.memory import check_own_numbers
from models.checkpoints.parts import shapes_of
from models.checkpoints.tensor_files import Format, check_tensors, read_tensors, write_tensors
from models.stylegan2.config import GeneratorConfig
from models.stylegan2.networks import Generator

FORMAT = Format("stylegan2-generator", "1", GeneratorConfig.from_json)


def save_generator(
    generator: Generator,
    path: str | Path,
    metadata: Mapping[str, str] | None = None,
    *,
    half: bool = False,
) -> None:
    """Writes `generator` to `path`, whole or not at all.

    Args:
        generator: on any device.
        path: the file; replaced if it exists.
        metadata: more strings to keep, such as where the weights came from.
        half: in float16, for half the size; loading makes float32 of it again.

    Raises:
        ValueError: `metadata` uses a key this format reserves, or a weight is too large for
            float16.
    """
    header = FORMAT.header(generator.config.to_json())
    write_tensors(path, generator.state_dict(), header, metadata, half=half)


def load_neutral(path: str | Path) -> Generator:
    """The generator that `save_generator` wrote, on the CPU, in eval mode.

    Raises:
        CheckpointError: not such a file, a newer schema, or a tensor missing, unknown or of
            another shape; the message names it.
    """
    header, tensors = read_tensors(path)
    return build_generator(FORMAT.config(header, path), tensors, source=str(path))


def build_generator(
    config: GeneratorConfig, tensors: Mapping[str, Tensor], source: str
) -> Generator:
    """A generator of `config` holding exactly `tensors`, keyed as its state dict.

    Raises:
        CheckpointError: a key missing, unknown, or with another shape than `config` asks for; or
            tensors that repeat the same numbers.
    """
    check_tensors(shapes_of(config), tensors, source)
    check_own_numbers(tensors.values(), source)
    with Blank():
        generator = Generator(config)
    generator.load_state_dict(tensors)  # a copy in float32
    return generator.eval().requires_grad_(False)
