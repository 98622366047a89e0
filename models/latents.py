"""Latents that belong to samples: each is drawn from the sample's own random stream."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.class_mix import Shares, chosen, shares_of
from models.stylegan2.networks import Generator


@dataclass(frozen=True)
class Codes:
    """Style codes of N samples.

    Attributes:
        ws: float32 [N, num_ws, w_dim], on the generator's device.
        classes: the class of each sample; None where the network knows none.
    """

    ws: Tensor
    classes: tuple[int, ...] | None


def drawn_codes(
    generator: Generator,
    streams: Sequence[np.random.Generator],
    psi: float = 1.0,
    shares: Shares = (),
) -> Codes:
    """Style codes of one sample per stream.

    Each stream gives z from N(0, I) and then, where the network knows classes, one of them.

    Args:
        generator: on any device.
        streams: N of them, e.g. from `models.seeding.philox`.
        psi: truncation of all layers; 1 is none.
        shares: how often each class is drawn, as `class_mix.shares_of` says; empty for all
            equally often.
    """
    z = np.stack([s.standard_normal(generator.z_dim, dtype=np.float32) for s in streams])
    shares = shares or shares_of(None, generator.label_dim)
    classes = tuple(chosen(stream, shares) for stream in streams) if shares else None
    device = generator.w_avg.device
    labels = None if classes is None else _one_hot(classes, generator.label_dim).to(device)
    with torch.no_grad():
        return Codes(generator.map(torch.from_numpy(z).to(device), labels, psi=psi), classes)


def mapped(
    generator: Generator, streams: Sequence[np.random.Generator], psi: float = 1.0
) -> Tensor:
    """The codes alone, of all classes equally often: ws float32 [N, num_ws, w_dim]."""
    return drawn_codes(generator, streams, psi).ws


def _one_hot(classes: Sequence[int], count: int) -> Tensor:
    """float32 [N, count], a one in each row."""
    return torch.nn.functional.one_hot(torch.tensor(classes), count).float()
