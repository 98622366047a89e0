"""GAN inversion: latents in W+ whose images are the given ones (HandsOff, section 3.1).

From a start that an encoder guesses for each image, or else `models.starts`, `models.latent_search`
goes on. Noise stays at the generator's constants. Losses are per image, so optimising images
together or alone is the same.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.configs import InversionConfig
from models.encoders.encoder import Encoder
from models.errors import InvalidImage
from models.latent_search import Objective, search
from models.latent_spaces import Plain, whitened
from models.perceptual import Distance
from models.progress import Report
from models.starts import best_starts, fit_encoder
from models.stylegan2.networks import Generator

RATIO_TOLERANCE = 0.02
"""How much a picture's height : width may differ from the generator's; it is then stretched."""

_PIXELS_AT_ONCE = 2**18
"""Pictures optimised together hold about this many pixels: 64 of 64 x 64, one of 512 x 512."""


@dataclass(frozen=True)
class Inversion:
    """Latents of N images and how good they are.

    Attributes:
        latents: float32 [N, num_ws, w_dim], on the CPU.
        reconstructions: float32 [N, 3, H, W] in [-1, 1], on the CPU.
        distance_start, distance: float32 [N], of the starts and of the latents.
        mse: float32 [N], images in [0, 1].
        seconds: for all of it.
    """

    latents: Tensor
    reconstructions: Tensor
    distance_start: Tensor
    distance: Tensor
    mse: Tensor
    seconds: float

    @property
    def psnr(self) -> Tensor:
        """float32 [N], dB: -10 log10 of the mean square error."""
        return -10 * self.mse.clamp(min=1e-12).log10()


def invert(
    generator: Generator,
    images: Tensor,
    distance: Distance,
    config: InversionConfig,
    report: Report,
    encoder: Encoder | None = None,
) -> Inversion:
    """Latents for `images`.

    Args:
        generator: on the device to compute on.
        images: float32 [N, 3, H, W] in [-1, 1], of the generator's image shape.
        distance: on the same device.
        config: how.
        report: told phases `searching` (samples; without an encoder) and `optimising` (steps).
        encoder: on the same device; its guesses are the starts, of ReStyle those of the whole
            loop. Without one, starts come from a linear encoder fitted on samples.

    Raises:
        ValueError: the images' shape is not the generator's, or the encoder's codes do not fit.
    """
    if images.ndim != 4 or images.shape[1:] != generator.image_shape or not len(images):
        wanted = list(generator.image_shape)
        raise ValueError(f"images must be [N, {wanted}], N > 0, got {list(images.shape)}")
    began = time.perf_counter()
    device = generator.w_avg.device
    chunk = max(1, _PIXELS_AT_ONCE // (images.shape[2] * images.shape[3]))
    chunks = [part.to(device) for part in torch.split(images, chunk)]
    starts = _starts(generator, distance, config, report, encoder)
    space = whitened(generator, config.seed) if config.space == "whitened" else Plain()
    found = []
    for index, part in enumerate(chunks):
        start = starts(part)
        objective = Objective(generator, part, distance.targets(part), distance, config)
        tell = partial(_tell, report, index * config.steps, len(chunks) * config.steps)
        found.append(_quality(objective, start, search(objective, start, space, tell)))
    return _joined(found, began)


def _starts(
    generator: Generator,
    distance: Distance,
    config: InversionConfig,
    report: Report,
    encoder: Encoder | None,
) -> Callable[[Tensor], Tensor]:
    """What finds a start for each of some images: [N, 3, H, W] -> ws [N, num_ws, w_dim]."""
    if encoder is None:
        fitted = fit_encoder(generator, distance, config.starts, config.seed, report)
        return partial(best_starts, generator, fitted, distance)
    iterations = config.restyle_iterations if encoder.config.restyle else 1
    return partial(encoder.encode, generator=generator, iterations=iterations)


def _tell(report: Report, before: int, total: int, step: int) -> None:
    report("optimising", before + step, total, "steps")


def measured(
    generator: Generator, images: Tensor, latents: Tensor, distance: Distance
) -> Inversion:
    """Latents that were found elsewhere, and how good they are; arguments as in `invert`."""
    began = time.perf_counter()
    device = generator.w_avg.device
    found = []
    for part, ws in zip(torch.split(images, 1), torch.split(latents, 1), strict=True):
        image, codes = part.to(device), ws.to(device)
        targets = distance.targets(image)
        objective = Objective(generator, image, targets, distance, InversionConfig())
        found.append(_quality(objective, codes, codes))
    return _joined(found, began)


def prepared(images: Sequence[np.ndarray], names: Sequence[str], size: tuple[int, int]) -> Tensor:
    """Pictures as the targets of an inversion.

    Args:
        images: uint8 [h, w, 3], of any size but of the generator's shape.
        names: what errors call them.
        size: (H, W) of the generator's images.

    Returns:
        float32 [N, 3, H, W] in [-1, 1].

    Raises:
        InvalidImage: a picture's sides have another ratio than the generator's.
    """
    return torch.stack(
        [_prepared(image, name, size) for image, name in zip(images, names, strict=True)]
    )


def _prepared(image: np.ndarray, name: str, size: tuple[int, int]) -> Tensor:
    height, width = image.shape[:2]
    if abs(height * size[1] / (width * size[0]) - 1) > RATIO_TOLERANCE:
        raise InvalidImage(
            name,
            f"has {height} x {width} pixels (height x width), but the generator draws "
            f"{size[0]} x {size[1]}; crop or pad it to that shape, framed like its images",
        )
    picture = Image.fromarray(image)
    if (height, width) != size:
        picture = picture.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 127.5 - 1


@torch.no_grad()
def _quality(objective: Objective, start: Tensor, latents: Tensor) -> Inversion:
    """How good latents are, and the start they come from."""
    terms = objective.terms(latents)
    return Inversion(
        latents=latents.cpu(),
        reconstructions=terms.images.clamp(-1, 1).cpu(),
        distance_start=objective.terms(start).distance.cpu(),
        distance=terms.distance.cpu(),
        mse=terms.mse.cpu(),
        seconds=0.0,
    )


def _joined(parts: list[Inversion], began: float) -> Inversion:
    return Inversion(
        latents=torch.cat([p.latents for p in parts]),
        reconstructions=torch.cat([p.reconstructions for p in parts]),
        distance_start=torch.cat([p.distance_start for p in parts]),
        distance=torch.cat([p.distance for p in parts]),
        mse=torch.cat([p.mse for p in parts]),
        seconds=time.perf_counter() - began,
    )
