"""Generators as rosinality's stylegan2-pytorch writes them, the layout of most conversions.

The same function as NVIDIA's: tensors carry leading axes of 1 and other names, the resampling
filter is stored times 4, and the mean w stands beside the network as `latent_avg`. Labels,
clamps and other architectures than "skip" cannot be said in this layout.
"""

from typing import Any

from torch import Tensor

from models.checkpoints.completion import complete
from models.checkpoints.neutral import build_generator
from models.checkpoints.notes import Notes
from models.checkpoints.parts import Part, Role
from models.checkpoints.refusals import SWAGAN
from models.checkpoints.renaming import count, described, renamed
from models.checkpoints.state_dicts import find, note_ignored
from models.errors import CheckpointError
from models.stylegan2.networks import Generator

NETWORKS = ("g_ema", "params_ema", "g", "params", "generator", "state_dict", "model")
SIGNATURE = ("style.1.weight", "input.input", "conv1.conv.weight", "to_rgb1.conv.weight")
AVERAGE = "latent_avg"
WAVELET_CHANNELS = 12
KERNEL = "convs.0.conv.blur.kernel"

IN_LAYER = {
    "weight": "conv.weight",
    "bias": "activate.bias",
    "affine.weight": "conv.modulation.weight",
    "affine.bias": "conv.modulation.bias",
    "noise_strength": "noise.weight",
}
"""Names inside a styled convolution, ours to theirs."""


def recognises(root: Any) -> bool:
    """Whether `root` is a training snapshot, a converted file or a bare state dict of theirs."""
    return find(root, NETWORKS, SIGNATURE) is not None


def build(root: Any, source: str, notes: Notes) -> Generator:
    """The averaged generator; a missing `latent_avg` and missing noise constants are made.

    Raises:
        CheckpointError: weights that are not a whole generator; the message names a key.
    """
    found = find(root, NETWORKS, SIGNATURE)
    assert found is not None
    name, state = found
    blocks, depth = 1 + count(state, r"to_rgbs\.\d+\.bias"), count(state, r"style\.\d+\.weight")
    tensors, left = renamed(state, blocks, depth, spelling, source)
    config = described(tensors, blocks, source, notes, state.get(KERNEL))
    if config.image_shape[0] == WAVELET_CHANNELS:
        raise CheckpointError(f"{source} holds {SWAGAN}")
    tensors |= {k: t for k, t in left.items() if not k.endswith(".kernel") and k != AVERAGE}
    if isinstance(average := root.get(AVERAGE), Tensor):
        tensors["mapping.w_avg"] = central_w(average, config.w_dim, source)
    if name:
        note_ignored(root, (name, AVERAGE), notes)
    return build_generator(config, complete(config, tensors, notes), source)


def spelling(part: Part) -> str:
    """Their name of a part; a name that is in no file for what they do not have."""
    match part.role:
        case Role.MAPPING:
            return f"style.{part.index + 1}.{part.kind}"
        case Role.CONSTANT:
            return "input.input"
        case Role.CONV if part.kind == "noise_const":
            return f"noises.noise_{part.index}"
        case Role.CONV:
            return f"{_layer('conv1', 'convs', part.index)}.{IN_LAYER[part.kind]}"
        case Role.RGB:
            kind = "bias" if part.kind == "bias" else IN_LAYER[part.kind]
            return f"{_layer('to_rgb1', 'to_rgbs', part.index)}.{kind}"
        case _:
            return f"(none) {part.key}"


def _layer(first: str, others: str, index: int) -> str:
    """Layers are counted from 0 after the first, which has a name of its own."""
    return f"{others}.{index - 1}" if index else first


def central_w(average: Tensor, w_dim: int, source: str) -> Tensor:
    """float32 [w_dim] of an average stored once or for each layer: [w], [1, w], [num_ws, w].

    Raises:
        CheckpointError: it is of another width.
    """
    if average.numel() == 0 or average.shape[-1:] != (w_dim,):
        shape = list(average.shape)
        raise CheckpointError(f"{source}: latent_avg is {shape}, expected [{w_dim}]")
    rows = average.reshape(-1, w_dim).float()
    return rows[0] if (rows == rows[0]).all() else rows.mean(dim=0)
