"""How good the latents of an inversion are, image by image, beside what the search measures."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.latent_spaces import whitened
from models.metrics.images import WINDOW, ssim
from models.stylegan2.networks import Generator


def similarities(images: Tensor, reconstructions: Tensor) -> list[float | None]:
    """SSIM of each image to its reconstruction, both float32 [N, 3, H, W] in [-1, 1].

    None for images that are smaller than its window.
    """
    pairs = zip(_in_unit_range(images), _in_unit_range(reconstructions), strict=True)
    return [ssim(*pair) if min(pair[0].shape[:2]) >= WINDOW else None for pair in pairs]


def _in_unit_range(images: Tensor) -> Iterator[NDArray[np.float32]]:
    """float32 [N, 3, H, W] in [-1, 1] -> [H, W, 3] in [0, 1], one after the other."""
    for image in images:
        yield (image.permute(1, 2, 0).cpu().numpy() + 1) / 2


def latent_distances(generator: Generator, latents: Tensor, seed: int) -> list[float]:
    """How far codes are from the mean one, in units of the generator's own spread.

    The root mean square over layers and directions of the whitened codes
    (`models.latent_spaces`): about 1, or less, for the generator's own samples. A code far beyond
    them lies where the generator never was, and labels learnt there hardly hold for its samples.

    Args:
        generator: on any device.
        latents: float32 [N, num_ws, w_dim].
        seed: of the samples whose spread is the unit.
    """
    coordinates = whitened(generator, seed).of(latents.to(generator.w_avg.device))
    distances: list[float] = coordinates.square().mean(dim=(1, 2)).sqrt().tolist()
    return distances
