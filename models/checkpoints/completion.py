"""What a checkpoint lacks and can be made again: the mean w and the noise constants.

Both come from streams that are named, so a file completed twice gives the same generator; each
is said in `notes.estimated`. Weights are never made up.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from models.checkpoints.notes import Notes
from models.checkpoints.parts import shapes_of
from models.seeding import philox
from models.stylegan2.config import GeneratorConfig
from models.stylegan2.networks import Mapping as MappingNetwork

W_AVG_SAMPLES = 10_000
_W_AVG = "mapping.w_avg"
_PORTION_NUMBERS = 2**20


def complete(
    config: GeneratorConfig, tensors: Mapping[str, Tensor], notes: Notes
) -> dict[str, Tensor]:
    """`tensors` and whatever of w_avg and noise constants was missing.

    Args:
        config: of the network.
        tensors: keyed as `Generator.state_dict()`. Where mapping weights are missing or do not
            fit, no mean is made: `build_generator` then names them all.
        notes: `estimated` receives what was made.

    Returns:
        A new dictionary. Noise constant n, counted from 4 pixels on, is drawn from
        philox("noise", n); w_avg is the mean over 10,000 mapped z from philox("w_avg", 0),
        with labels from philox("w_avg", 1), all equally likely, where the network knows labels.
    """
    shapes = shapes_of(config)
    completed = dict(tensors)
    noises = [key for key in shapes if key.endswith(".noise_const")]
    missing = [(index, key) for index, key in enumerate(noises) if key not in tensors]
    for index, key in missing:
        drawn = philox("noise", index).standard_normal(shapes[key], dtype=np.float32)
        completed[key] = torch.from_numpy(drawn)
    if missing:
        notes.estimated.append(
            f"noise constants: {len(missing)} of {len(noises)} drawn from a fixed seed"
        )
    if _W_AVG not in tensors and _mapping_fits(shapes, tensors):
        completed[_W_AVG] = estimated_w_avg(config, tensors)
        notes.estimated.append(f"w_avg: mean of {W_AVG_SAMPLES:,} mapped z from a fixed seed")
    return completed


def estimated_w_avg(config: GeneratorConfig, tensors: Mapping[str, Tensor]) -> Tensor:
    """float32 [w_dim]: the mean of 10,000 mapped z; `tensors` hold all of the mapping."""
    mapping = MappingNetwork(config)
    own = {k.removeprefix("mapping."): t.float() for k, t in tensors.items() if _is_weight(k)}
    mapping.load_state_dict({**own, "w_avg": torch.zeros(config.w_dim)})
    total = torch.zeros(config.w_dim, dtype=torch.float64)
    with torch.no_grad():
        for z, labels in _inputs(config):
            total += mapping(z, labels).double().sum(dim=0)
    return (total / W_AVG_SAMPLES).float()


def _inputs(config: GeneratorConfig) -> Iterator[tuple[Tensor, Tensor | None]]:
    """z and labels of all samples, in portions that keep every activation small."""
    latents, labels = philox("w_avg", 0), philox("w_avg", 1)
    widest = max(config.z_dim, config.label_dim, config.label_embed_dim, *config.mapping_widths)
    portion = max(1, _PORTION_NUMBERS // widest)
    for start in range(0, W_AVG_SAMPLES, portion):
        size = min(portion, W_AVG_SAMPLES - start)
        z = torch.from_numpy(latents.standard_normal((size, config.z_dim), dtype=np.float32))
        if not config.label_dim:
            yield z, None
            continue
        chosen = torch.from_numpy(labels.integers(config.label_dim, size=size))
        yield z, torch.nn.functional.one_hot(chosen, config.label_dim).float()


def _is_weight(key: str) -> bool:
    """Whether `key` is a learned tensor of the mapping."""
    return key.startswith("mapping.") and key != _W_AVG


def _mapping_fits(shapes: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor]) -> bool:
    """Whether `tensors` hold the mapping's weights, all of them in their shapes."""
    wanted = {key: shape for key, shape in shapes.items() if _is_weight(key)}
    given = {
        key: tuple(tensor.shape)
        for key, tensor in tensors.items()
        if _is_weight(key) and tensor.is_floating_point()
    }
    return wanted == given
