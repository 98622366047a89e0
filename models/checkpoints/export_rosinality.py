"""Our generators as rosinality's layout, which most other programs read.

The file is {g_ema, latent_avg}, what their own converter writes. Reading it back gives the same
tensors, bit by bit.
"""

import os
from pathlib import Path

import torch
from torch import Tensor

from models.checkpoints.parts import Part, Role, parts
from models.checkpoints.renaming import LR_MULTIPLIER
from models.checkpoints.rosinality import AVERAGE, spelling
from models.errors import CheckpointError
from models.stylegan2 import ops
from models.stylegan2.config import Architecture, GeneratorConfig
from models.stylegan2.networks import Generator


def write_rosinality(generator: Generator, path: str | Path) -> None:
    """Writes `generator` to `path` as a torch file, whole or not at all.

    Args:
        generator: on any device.
        path: the file; replaced if it exists.

    Raises:
        CheckpointError: the layout cannot express this generator; the message says why.
    """
    if problems := inexpressible(generator.config):
        raise CheckpointError(f"rosinality's layout cannot express: {'; '.join(problems)}")
    temporary = Path(f"{path}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:  # given a name, torch would write it into the file
            torch.save(rosinality_objects(generator), file)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def inexpressible(config: GeneratorConfig) -> list[str]:
    """What of a generator rosinality's network has no place for."""
    widths = {config.z_dim, *config.mapping_widths}
    multiplier = config.mapping_lr_multiplier
    checks = {
        f"{config.label_dim} labels": config.label_dim > 0,
        f"activations clipped at {config.conv_clamp}": config.conv_clamp is not None,
        f"architecture {config.architecture}": config.architecture is not Architecture.SKIP,
        f"images of {config.image_shape[0]} channels": config.image_shape[0] != 3,
        f"z and mapping layers of different widths {sorted(widths)}": len(widths) > 1,
        f"mapping learning-rate multiplier {multiplier}": multiplier != LR_MULTIPLIER,
        "convolutions without noise": not config.use_noise,
    }
    return [problem for problem, found in checks.items() if found]


def rosinality_objects(generator: Generator) -> dict[str, dict[str, Tensor] | Tensor]:
    """The file's objects; tensors share the generator's memory where it is on the CPU."""
    config = generator.config
    own = {key: tensor.detach().cpu() for key, tensor in generator.state_dict().items()}
    state = {
        spelling(part): _as_theirs(part, own[part.key])
        for part in parts(len(config.channels), len(config.mapping_widths))
        if part.key in own and part.role is not Role.AVERAGE
    }
    kernel = 4 * ops.fir_kernel(config.fir)
    for block in range(len(config.channels) - 1):
        state[f"convs.{2 * block}.conv.blur.kernel"] = kernel
        state[f"to_rgbs.{block}.upsample.kernel"] = kernel
    return {"g_ema": state, AVERAGE: own["mapping.w_avg"]}


def _as_theirs(part: Part, tensor: Tensor) -> Tensor:
    """With the axes of 1 that they keep."""
    match part.role, part.kind:
        case Role.CONSTANT, _:
            return tensor[None]
        case ((Role.CONV | Role.RGB), "weight"):
            return tensor[None]
        case Role.CONV, "noise_const":
            return tensor[None, None]
        case Role.CONV, "noise_strength":
            return tensor[None]
        case Role.RGB, "bias":
            return tensor[None, :, None, None]
    return tensor
