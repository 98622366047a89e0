"""Latents that belong to samples: each is drawn from the sample's own random stream."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models.stylegan2.networks import Generator


def mapped(
    generator: Generator, streams: Sequence[np.random.Generator], psi: float = 1.0
) -> Tensor:
    """Style codes of one sample per stream.

    Each stream gives z from N(0, I) and then, where the network knows classes, one of them, all
    equally likely.

    Args:
        generator: on any device.
        streams: N of them, e.g. from `models.seeding.philox`.
        psi: truncation of all layers; 1 is none.

    Returns:
        ws float32 [N, num_ws, w_dim] on the generator's device.
    """
    z = np.stack([s.standard_normal(generator.z_dim, dtype=np.float32) for s in streams])
    labels = _one_hot(streams, generator.label_dim) if generator.label_dim else None
    device = generator.w_avg.device
    with torch.no_grad():
        return generator.map(
            torch.from_numpy(z).to(device), None if labels is None else labels.to(device), psi=psi
        )


def _one_hot(streams: Sequence[np.random.Generator], classes: int) -> Tensor:
    """float32 [N, classes], a one in each row."""
    chosen = torch.tensor([int(stream.integers(classes)) for stream in streams])
    return torch.nn.functional.one_hot(chosen, classes).float()
