"""The ReStyle loop (Alaluf et al., ICCV 2021): look at a picture beside its reconstruction, again.

    w_{t+1} = w_t + E(x, G(w_t)),   w_0 the mean code                                    (eq. 1-2)

An encoder that looks at the picture alone is the same with one iteration. Noise stays at the
generator's constants. Knows nothing of files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from models.stylegan2.networks import Generator

if TYPE_CHECKING:
    from models.encoders.encoder import Encoder


@dataclass(frozen=True)
class Step:
    """Where the loop stands after an iteration.

    Attributes:
        latents: float32 [N, num_ws, w_dim].
        generator: what draws them.
    """

    latents: Tensor
    generator: Generator

    @cached_property
    @torch.no_grad()
    def images(self) -> Tensor:
        """float32 [N, C, H, W], unclipped; drawn when first asked for."""
        return self.generator.synthesize(self.latents)


@torch.no_grad()
def refine(
    encoder: "Encoder",
    generator: Generator,
    images: Tensor,
    iterations: int | None = None,
    start: Tensor | None = None,
) -> Sequence[Step]:
    """Every step of the loop; the last is the result.

    Encoder bootstrapping is two calls: one iteration of the first encoder, its latents then the
    `start` of the second.

    Args:
        encoder: of any family.
        generator: on the encoder's device.
        images: [N, 3, H, W] in [-1, 1], as in `Encoder.encode`.
        iterations: at least 1; None for the encoder's own.
        start: float32 [N, num_ws, w_dim] for ReStyle to begin with instead of the mean code.

    Raises:
        ValueError: an encoder that looks once is to iterate, or shapes that do not fit.
    """
    config = encoder.config
    iterations = config.iterations if iterations is None else iterations
    if not config.restyle and (iterations != 1 or start is not None):
        raise ValueError("this encoder looks once: no start, 1 iteration")
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, got {iterations}")
    _check_generator(encoder, generator)
    seen = framed(encoder, images)
    mean = encoder.mean_codes(generator).expand(len(seen), -1, -1)
    step = Step(mean if start is None else start, generator)
    steps = []
    for _ in range(iterations):
        x = torch.cat([seen, framed(encoder, step.images)], dim=1) if config.restyle else seen
        step = Step(step.latents + fitted(encoder(x), generator.num_ws), generator)
        steps.append(step)
    return steps


def framed(encoder: "Encoder", images: Tensor) -> Tensor:
    """Pictures as the encoder sees them: averaged down to its input size.

    An encoder whose input is wider than high sees only the middle rows of higher pictures: cars
    are drawn with bars above and below, and 192 x 256 inputs see rows 64 to 447 of 512.

    Args:
        encoder: says what it wants, and where.
        images: [N, C, H, W] of any size.

    Returns:
        float32 [N, C, *input_size] on the encoder's device.

    Raises:
        ValueError: another number of channels.
    """
    channels = encoder.config.picture_channels
    if images.ndim != 4 or images.shape[1] != channels:
        raise ValueError(f"images must be [N, {channels}, H, W], got {list(images.shape)}")
    height, width = encoder.config.input_size
    rows, columns = images.shape[2:]
    kept = min(rows, round(columns * height / width)) if height < width else rows
    top = (rows - kept) // 2
    middle = images[:, :, top : top + kept].to(encoder.latent_avg)
    return F.adaptive_avg_pool2d(middle, (height, width))


def fitted(codes: Tensor, num_ws: int) -> Tensor:
    """Codes [N, n, w_dim] as [N, num_ws, w_dim]: one repeated, or the first so many."""
    return codes.expand(-1, num_ws, -1) if codes.shape[1] == 1 else codes[:, :num_ws]


def _check_generator(encoder: "Encoder", generator: Generator) -> None:
    if generator.num_ws > encoder.num_ws or generator.w_dim != encoder.w_dim:
        gives = f"{encoder.num_ws} codes of width {encoder.w_dim}"
        takes = f"{generator.num_ws} of width {generator.w_dim}"
        raise ValueError(f"the encoder gives {gives}, the generator takes {takes}")
    if encoder.config.restyle and generator.image_shape[0] != encoder.config.picture_channels:
        raise ValueError(f"ReStyle needs colour images, not {generator.image_shape[0]} channels")
