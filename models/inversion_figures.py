"""How good the latents of an inversion are, image by image, beside what the search measures."""

import math
from collections.abc import Iterable
from itertools import repeat

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.data.images import Pixels
from models.latent_spaces import whitened
from models.metrics.images import WINDOW, ssim
from models.stylegan2.networks import Generator


def similarities(
    images: Pixels, others: Pixels, content: NDArray[np.bool_] | None = None
) -> list[float | None]:
    """SSIM of each image to another, both uint8 [N, H, W, 3], over `content` bool [N, H, W].

    None for images that are smaller than its window, or whose content is at their edge alone.
    """
    if min(images.shape[1:3]) < WINDOW:
        return [None] * len(images)
    masks: Iterable[NDArray[np.bool_] | None] = repeat(None) if content is None else content
    values = [
        ssim(image / 255, other / 255, mask)
        for image, other, mask in zip(images, others, masks, strict=False)
    ]
    return [None if math.isnan(value) else value for value in values]


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
