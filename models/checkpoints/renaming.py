"""Families whose files spell our tensors otherwise: renaming, and the description from shapes.

A family gives a spelling: from a part of the generator to the name it has there. All the rest is
the same for all of them. Knows no file format.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from torch import Tensor

from models.checkpoints.memory import check_own_numbers
from models.checkpoints.notes import Notes
from models.checkpoints.nvidia import STANDARD_FIR, separable_taps
from models.checkpoints.parts import Part, parts
from models.errors import CheckpointError
from models.stylegan2.config import MAX_BLOCKS, MAX_TAPS, Architecture, GeneratorConfig

LR_MULTIPLIER = 0.01
"""Of the mapping, in every known training; state dictionaries do not hold it."""

Spelling = Callable[[Part], str]


def renamed(
    state: Mapping[str, Tensor], blocks: int, depth: int, spelling: Spelling, source: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Tensors under our keys, without axes of 1 that we do not keep; and what is left over.

    Raises:
        CheckpointError: more resolutions than any network has.
    """
    if blocks > MAX_BLOCKS:
        raise CheckpointError(f"{source}: {blocks} resolutions are more than StyleGAN2 has")
    left, found = dict(state), {}
    for part in parts(blocks, depth):
        tensor = left.pop(spelling(part), None)
        if tensor is not None:
            found[part.key] = _trimmed(tensor, part.ndim)
    return found, left


def _trimmed(tensor: Tensor, ndim: int) -> Tensor:
    """`tensor` less leading, then trailing axes of 1, until it has `ndim` axes or none is left."""
    while tensor.ndim > ndim and tensor.shape[0] == 1:
        tensor = tensor.squeeze(0)
    while tensor.ndim > ndim and tensor.shape[-1] == 1:
        tensor = tensor.squeeze(-1)
    return tensor


def count(state: Mapping[str, object], pattern: str) -> int:
    """How many keys match `pattern` from end to end."""
    return sum(bool(re.fullmatch(pattern, key)) for key in state)


def with_our_signs(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """TensorFlow's conventions undone: style biases less 1, enlarging kernels mirrored."""
    mirrored = re.compile(r".+\.(conv0|skip)\.weight")
    changed = dict(tensors)
    for key, tensor in tensors.items():
        if key.endswith(".affine.bias"):
            changed[key] = tensor + 1
        elif mirrored.fullmatch(key) and tensor.ndim == 4:
            changed[key] = tensor.flip(2, 3)
    return changed


def described(
    tensors: Mapping[str, Tensor],
    blocks: int,
    source: str,
    notes: Notes,
    kernel: Tensor | None = None,
    lr_multiplier: float | None = None,
) -> GeneratorConfig:
    """The network's description out of its tensors' shapes.

    Args:
        tensors: under our keys.
        blocks: resolutions from 4 pixels on.
        source: the file, for messages.
        notes: `inferred` receives what was found.
        kernel: the resampling filter [T, T], any scale; None for the one everybody uses.
        lr_multiplier: of the mapping; None where the file does not say.

    Raises:
        CheckpointError: a tensor that shapes are read from is missing, shapes contradict, or
            tensors repeat the same numbers.
    """
    check_own_numbers(tensors.values(), source)
    try:
        config = replace(
            _config(tensors, blocks),
            fir=_taps(kernel),
            mapping_lr_multiplier=lr_multiplier or LR_MULTIPLIER,
        )
    except KeyError as error:
        problem = f"{source}: not a whole StyleGAN2 generator, no {error.args[0]}"
        raise CheckpointError(problem) from error
    except (IndexError, ValueError) as error:
        raise CheckpointError(f"{source} is no StyleGAN2 generator: {error}") from error
    notes.inferred += [
        f"mapping depth: {len(config.mapping_widths)}, from the tensors",
        f"channels: {', '.join(map(str, config.channels))}, from the tensors",
    ]
    if kernel is None:
        notes.inferred.append("resampling filter: 1, 3, 3, 1, not in the file")
    if lr_multiplier is None:
        notes.inferred.append(f"mapping learning-rate multiplier: {LR_MULTIPLIER}, not in the file")
    return config


def _taps(kernel: Tensor | None) -> tuple[float, ...]:
    """The filter's taps, spelled 1, 3, 3, 1 where it is that."""
    if kernel is None:
        return STANDARD_FIR
    if kernel.ndim != 2 or not 0 < kernel.numel() <= MAX_TAPS**2:
        raise ValueError(f"the resampling filter is {list(kernel.shape)}")
    taps = separable_taps(kernel / kernel.sum())
    standard = [tap / sum(STANDARD_FIR) for tap in STANDARD_FIR]
    same = len(taps) == len(standard) and bool(np.allclose(taps, standard, atol=1e-6))
    return STANDARD_FIR if same else taps


def _config(tensors: Mapping[str, Tensor], blocks: int) -> GeneratorConfig:
    """All that shapes say."""
    depth = count(tensors, r"mapping\.layers\.\d+\.weight")
    widths = tuple(tensors[f"mapping.layers.{i}.weight"].shape[0] for i in range(depth))
    embed = tensors.get("mapping.embed.weight")
    embedded, labels = (0, 0) if embed is None else embed.shape
    sizes = [4 << block for block in range(blocks)]
    rows, columns = (n << (blocks - 1) for n in tensors["synthesis.constant"].shape[1:])
    rgb = tensors[f"synthesis.blocks.{sizes[-1]}.to_rgb.weight"]
    return GeneratorConfig(
        z_dim=tensors["mapping.layers.0.weight"].shape[1] - embedded,
        w_dim=widths[-1],
        image_shape=(rgb.shape[0], rows, columns),
        channels=tuple(tensors[f"synthesis.blocks.{r}.conv1.weight"].shape[0] for r in sizes),
        mapping_widths=widths,
        label_dim=labels,
        label_embed_dim=embedded,
        use_noise=count(tensors, r".*\.noise_strength") > 0,
        architecture=_architecture(tensors, blocks),
    )


def _architecture(tensors: Mapping[str, Tensor], blocks: int) -> Architecture:
    """By which image layers and shortcuts there are."""
    if count(tensors, r".*\.skip\.weight"):
        return Architecture.RESNET
    images = count(tensors, r".*\.to_rgb\.weight")
    return Architecture.ORIG if images == 1 < blocks else Architecture.SKIP
