"""Noise of a generator as the search of an inversion moves it: offsets from the stored constants.

All maps of an image lie in one row, coarse to fine, so that a search holds them as it holds codes.
Labels are learnt on the constants, as samples are drawn with them: offsets take up grain that codes
need not, and are forgotten when the search ends.
"""

import torch
from torch import Tensor

from models.stylegan2.networks import Generator


def length(generator: Generator) -> int:
    """S, the pixels of all noise maps together."""
    return sum(constant.numel() for constant in generator.noise_constants)


def maps(generator: Generator, offsets: Tensor) -> list[Tensor]:
    """Offsets float32 [N, S] -> noise of each styled convolution, [N, 1, h, w] each.

    In units of the constants, whose deviation is about 1; each layer has its own strength.
    """
    constants = generator.noise_constants
    rows = torch.split(offsets, [constant.numel() for constant in constants], dim=1)
    return [
        constant + row.view(-1, 1, *constant.shape)
        for constant, row in zip(constants, rows, strict=True)
    ]
