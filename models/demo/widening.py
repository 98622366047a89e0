"""A generator with more features that draws what a narrower one does: where a training goes on.

Net2Net (Chen et al., ICLR 2016, section 2) with fresh features instead of doubled ones: they
compute something from the first step, and nothing reads them yet, so pictures stay as they are
until training finds a use for them. Knows tensors of a generator, no files.
"""

import dataclasses
import math

import torch
from torch import Tensor

from models.stylegan2.config import GeneratorConfig
from models.stylegan2.networks import Generator


@torch.no_grad()
def widened(narrow: Generator, config: GeneratorConfig) -> Generator:
    """A generator of `config` whose pictures are those of `narrow`, up to rounding.

    Weights of new features are drawn from torch's global stream.

    Args:
        narrow: what to begin from.
        config: the same but for `channels`, none of them smaller.

    Raises:
        ValueError: `config` differs in more, or is narrower somewhere.
    """
    _check(narrow.config, config)
    wide = Generator(config)
    given = narrow.state_dict()
    for name, tensor in wide.state_dict().items():
        _copy(given[name], tensor, name)
    return wide


def _check(narrow: GeneratorConfig, wide: GeneratorConfig) -> None:
    """Refuses what cannot hold the narrow generator."""
    if dataclasses.replace(narrow, channels=wide.channels) != wide:
        raise ValueError(f"only channels may differ, but {narrow} is to become {wide}")
    if any(new < old for old, new in zip(narrow.channels, wide.channels, strict=True)):
        raise ValueError(f"channels {narrow.channels} do not fit into {wide.channels}")


def _copy(old: Tensor, new: Tensor, name: str) -> None:
    """Puts `old` into the first rows and columns of `new`; old rows do not read new columns."""
    if old.shape == new.shape:
        new.copy_(old)
        return
    first = tuple(slice(size) for size in old.shape)
    if ".conv" in name and name.endswith("weight") and "affine" not in name:
        new[: old.shape[0]] = 0.0
    if "to_rgb.weight" in name:
        new.zero_()
        # Not demodulated: its gain falls with the square root of its width.
        old = old * math.sqrt(new.shape[1] / old.shape[1])
    new[first] = old
