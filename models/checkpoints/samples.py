"""Pictures of what a generator draws, seed by seed, as the official scripts number them."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from models.data.pictures import contact_sheet
from models.drawing import batch_size
from models.pixels import as_pixels
from models.stylegan2.networks import Generator

COLUMNS, TILE = 8, 192


def sample_sheet(
    generator: Generator, seeds: Sequence[int], psi: float = 1.0, label: int | None = None
) -> NDArray[np.uint8]:
    """One picture per seed, side by side: uint8 [H, W, 3].

    Args:
        generator: on any device.
        seeds: 0 .. 2**32 - 1. z is `numpy.random.RandomState(seed).randn(z_dim)`, so a seed is
            the same picture as in NVIDIA's scripts with constant noise.
        psi: truncation of all layers; 1 is none.
        label: the class of all of them; classes take turns by seed when it is left out.

    Raises:
        ValueError: `label` is none of the generator's classes.
    """
    classes = generator.label_dim
    if label is not None and not 0 <= label < classes:
        known = f"it knows classes 0 to {classes - 1}" if classes else "it knows no classes"
        raise ValueError(f"class {label} is none of the generator's: {known}")
    size = generator.image_shape[1:]
    together = batch_size(generator.w_avg.device, size)
    pictures: list[NDArray[np.uint8]] = []
    for first in range(0, len(seeds), together):
        some = seeds[first : first + together]
        labels = [seed % classes if label is None else label for seed in some] if classes else []
        pictures += list(_drawn(generator, some, labels, psi))
    return contact_sheet(
        [pictures[row : row + COLUMNS] for row in range(0, len(pictures), COLUMNS)], tile=TILE
    )


@torch.no_grad()
def _drawn(
    generator: Generator, seeds: Sequence[int], labels: Sequence[int], psi: float
) -> NDArray[np.uint8]:
    """uint8 [N, H, W, 3]; a grey image has three equal channels."""
    device = generator.w_avg.device
    z = np.stack([np.random.RandomState(seed).randn(generator.z_dim) for seed in seeds])
    chosen = torch.eye(generator.label_dim, device=device)[list(labels)] if labels else None
    ws = generator.map(torch.from_numpy(z).float().to(device), chosen, psi=psi)
    images = generator.synthesize(ws)
    return as_pixels(images.expand(-1, 3, -1, -1), generator.image_shape[1:])
