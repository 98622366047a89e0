"""What an encoder learns from: samples whose codes are known, and unlabelled images.

Step s of seed e draws its samples from streams of their own and picks images by another, and by
nothing else, so training can stop and go on anywhere. Knows no losses.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.configs import EncoderTrainingConfig
from models.latents import mapped
from models.seeding import philox
from models.stylegan2.networks import Generator

_AT_ONCE = 16


@dataclass(frozen=True)
class Batch:
    """Pictures to be encoded, those with known codes first.

    Attributes:
        images: float32 [N, 3, H, W], nominally in [-1, 1].
        ws: float32 [n, num_ws, w_dim], n <= N: of the first n images.
    """

    images: Tensor
    ws: Tensor


@dataclass(frozen=True)
class Batches:
    """The batch of every step.

    Attributes:
        generator: what draws the samples, on the device to compute on.
        config: sizes, seed and precision.
        reals: what `reals_of` gives; None for samples alone.
    """

    generator: Generator
    config: EncoderTrainingConfig
    reals: Tensor | None

    def at(self, step: int, samples_only: bool) -> Batch:
        """What step `step` learns from."""
        config = self.config
        mixed = self.reals is not None and not samples_only
        count = round(config.real_share * config.batch) if mixed else 0
        streams = [philox(config.seed, "sample", step, i) for i in range(config.batch - count)]
        ws = mapped(self.generator, streams) if streams else self._no_codes()
        images = [drawn(self.generator, ws, config.precision)] if streams else []
        if mixed and count:
            images.append(self._picked(step, count))
        return Batch(torch.cat(images), ws)

    def _no_codes(self) -> Tensor:
        return self.generator.w_avg.new_empty(0, self.generator.num_ws, self.generator.w_dim)

    def _picked(self, step: int, count: int) -> Tensor:
        """`count` of the unlabelled images, with replacement."""
        assert self.reals is not None
        chosen = philox(self.config.seed, "reals", step).integers(len(self.reals), size=count)
        return scaled(self.reals[torch.from_numpy(chosen)]).to(self.generator.w_avg.device)


def validation_batch(generator: Generator, config: EncoderTrainingConfig) -> Batch:
    """Samples for the curve; no step learns from them."""
    streams = [philox(config.seed, "validation", i) for i in range(config.validation_samples)]
    ws = mapped(generator, streams)
    return Batch(torch.cat([drawn(generator, some) for some in torch.split(ws, _AT_ONCE)]), ws)


@torch.no_grad()
def drawn(generator: Generator, ws: Tensor, precision: str = "float32") -> Tensor:
    """Images float32 [N, C, H, W] of ws [N, num_ws, w_dim]."""
    return generator.synthesize(ws, dtype=dtype_of(precision))


def dtype_of(precision: str) -> torch.dtype | None:
    """What `Generator.synthesize` is asked for: None leaves it the choice."""
    return torch.bfloat16 if precision == "bfloat16" else None


def scaled(images: Tensor) -> Tensor:
    """uint8 0 .. 255 to float32 in [-1, 1]; floats as they are."""
    return images.float() / 127.5 - 1 if images.dtype == torch.uint8 else images.float()


def checked(reals: Tensor | None, generator: Generator) -> Tensor | None:
    """Unlabelled images that fit the generator, as they were given.

    Raises:
        ValueError: there are none, or they have another shape than the generator's images, or are
            neither uint8 nor floats.
    """
    if reals is None:
        return None
    wanted = list(generator.image_shape)
    if reals.ndim != 4 or list(reals.shape[1:]) != wanted or not len(reals):
        raise ValueError(f"reals must be [N, {wanted}], N > 0, got {list(reals.shape)}")
    if reals.dtype != torch.uint8 and not reals.is_floating_point():
        raise ValueError(f"reals must be uint8 or floats in [-1, 1], got {reals.dtype}")
    return reals
