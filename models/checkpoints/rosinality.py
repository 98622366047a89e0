"""Generators as rosinality's stylegan2-pytorch writes them, the layout of most conversions.

The same function as NVIDIA's: tensors carry leading axes of 1 and other names, the resampling
filter is stored times 4, and the mean w stands beside the network as `latent_avg`.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.checkpoints.neutral import build_generator
from models.checkpoints.nvidia import separable_taps
from models.errors import CheckpointError
from models.stylegan2.config import GeneratorConfig
from models.stylegan2.networks import Generator

NETWORKS = ("g_ema", "g")
SIGNATURE = ("style.1.weight", "input.input", "conv1.conv.weight", "to_rgb1.conv.weight")
LR_MULTIPLIER = 0.01
W_AVG_SAMPLES = 10_000

LAYER = {
    "conv.weight": "weight",
    "activate.bias": "bias",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "bias": "bias",
}
"""Names inside a convolution or image layer, theirs to ours."""


def recognises(root: Any) -> bool:
    """Whether `root` is a training snapshot, a converted file or a bare state dict of theirs."""
    return _state(root) is not None


def build(root: Any, source: str) -> Generator:
    """The averaged generator.

    Without `latent_avg` the mean w is estimated from 10,000 fixed z. Files without stored
    noise get none in "const" mode.

    Raises:
        CheckpointError: weights that are not a whole generator; the message names a key.
    """
    state = _state(root)
    assert state is not None
    try:
        tensors, config = _renamed(state), _config(state)
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(f"{source}: {type(error).__name__}: {error}") from error
    for name, shape in _noise_shapes(config).items():
        tensors.setdefault(name, torch.zeros(shape))
    average = root.get("latent_avg")
    tensors["mapping.w_avg"] = torch.zeros(config.w_dim)
    if isinstance(average, Tensor):
        tensors["mapping.w_avg"] = average.reshape(-1, config.w_dim)[0]
    generator = build_generator(config, tensors, source)
    if not isinstance(average, Tensor):
        _estimate_w_avg(generator)
    return generator


def _state(root: Any) -> dict[str, Tensor] | None:
    """Their state dict inside `root`."""
    if not isinstance(root, dict):
        return None
    for candidate in (*(root.get(name) for name in NETWORKS), root):
        if isinstance(candidate, dict) and all(key in candidate for key in SIGNATURE):
            return {k: v for k, v in candidate.items() if isinstance(v, Tensor)}
    return None


def _blocks(state: Mapping[str, Tensor]) -> int:
    """Resolutions from 4 pixels on."""
    return 1 + sum(bool(re.fullmatch(r"to_rgbs\.\d+\.bias", key)) for key in state)


def _config(state: Mapping[str, Tensor]) -> GeneratorConfig:
    """The settings, from shapes: these files store none."""
    blocks = _blocks(state)
    depth = sum(bool(re.fullmatch(r"style\.\d+\.weight", key)) for key in state)
    rows, columns = state["input.input"].shape[2:]
    scale = 2 ** (blocks - 1)
    outputs = [state["conv1.conv.weight"]]
    outputs += [state[f"convs.{2 * j + 1}.conv.weight"] for j in range(blocks - 1)]
    kernel = state.get("convs.0.conv.blur.kernel")
    fir = (1.0, 3.0, 3.0, 1.0) if kernel is None else separable_taps(kernel / 4)
    return GeneratorConfig(
        z_dim=state["style.1.weight"].shape[1],
        w_dim=state[f"style.{depth}.weight"].shape[0],
        image_shape=(state["to_rgb1.conv.weight"].shape[1], rows * scale, columns * scale),
        channels=tuple(weight.shape[1] for weight in outputs),
        mapping_widths=tuple(state[f"style.{i + 1}.weight"].shape[0] for i in range(depth)),
        mapping_lr_multiplier=LR_MULTIPLIER,
        fir=fir,
    )


def _noise_shapes(config: GeneratorConfig) -> dict[str, tuple[int, int]]:
    """Our keys of the stored noise, with their shapes."""
    shapes = {}
    for index, size in enumerate(config.resolutions):
        for conv in ("conv0", "conv1")[index == 0 :]:
            shapes[f"synthesis.blocks.{size[0]}.{conv}.noise_const"] = size
    return shapes


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every tensor under our key, without the leading axes of 1."""
    tensors = {"synthesis.constant": state["input.input"][0]}
    for key, tensor in state.items():
        if key.endswith(".kernel") or key == "input.input":
            continue
        if match := re.fullmatch(r"style\.(\d+)\.(weight|bias)", key):
            tensors[f"mapping.layers.{int(match[1]) - 1}.{match[2]}"] = tensor
        elif match := re.fullmatch(r"noises\.noise_(\d+)", key):
            tensors[f"{_layer_of_conv(int(match[1]))}.noise_const"] = tensor[0, 0]
        elif match := re.fullmatch(r"(conv1|convs\.(\d+)|to_rgb1|to_rgbs\.(\d+))\.(.+)", key):
            tensors[f"{_layer(match)}.{LAYER.get(match[4], match[4])}"] = _squeezed(match, tensor)
        else:
            tensors[key] = tensor  # reported as unknown
    return tensors


def _layer(match: re.Match[str]) -> str:
    """Our name of the layer in a match of their key."""
    if match[1] == "conv1":
        return _layer_of_conv(0)
    if match[2] is not None:
        return _layer_of_conv(int(match[2]) + 1)
    block = 0 if match[3] is None else int(match[3]) + 1
    return f"synthesis.blocks.{4 << block}.to_rgb"


def _layer_of_conv(n: int) -> str:
    """Our name of styled convolution n, counted from the one at 4 pixels."""
    return f"synthesis.blocks.{4 << (n + 1) // 2}.conv{1 - n % 2}"


def _squeezed(match: re.Match[str], tensor: Tensor) -> Tensor:
    """Shapes as ours: weights [1, O, I, k, k], image biases [1, C, 1, 1], strengths [1]."""
    if match[4] == "conv.weight":
        return tensor[0]
    if match[4] == "bias":
        return tensor[0, :, 0, 0]
    return tensor[0] if match[4] == "noise.weight" else tensor


def _estimate_w_avg(generator: Generator) -> None:
    """Sets the mean w from fixed samples."""
    stream = torch.Generator().manual_seed(0)
    z = torch.randn(W_AVG_SAMPLES, generator.z_dim, generator=stream)
    generator.w_avg.copy_(generator.mapping(z).mean(dim=0))
