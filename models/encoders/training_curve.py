"""How good an encoder is on samples that it never learnt from: the points of its curve."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from models.configs import EncoderTrainingConfig
from models.encoders.encoder import Encoder
from models.encoders.training_data import Batch, drawn, validation_batch
from models.latent_spaces import Space
from models.perceptual import Distance
from models.stylegan2.networks import Generator

_AT_ONCE = 16


@dataclass(frozen=True)
class Point:
    """Means over the validation samples, after the last pass.

    Attributes:
        step: how long the encoder has learnt.
        distance: of the reconstructions.
        l2: mean square error of the reconstructions, images in [-1, 1].
        latent: mean square error of the codes, whitened.
    """

    step: int
    distance: float
    l2: float
    latent: float


class Examination:
    """The fixed samples, and what is measured on them."""

    def __init__(
        self, generator: Generator, distance: Distance, config: EncoderTrainingConfig, space: Space
    ) -> None:
        self._generator, self._distance, self._space = generator, distance, space
        self._passes = config.restyle_iterations
        batch = validation_batch(generator, config)
        pairs = zip(
            torch.split(batch.images, _AT_ONCE), torch.split(batch.ws, _AT_ONCE), strict=True
        )
        self._parts = [Batch(images, ws) for images, ws in pairs]

    def of(self, encoder: Encoder, step: int) -> Point:
        """The point of an encoder that learnt for `step` steps; with its own generator's W."""
        return self._point(step, lambda x: encoder.encode(x, self._generator, self._passes))

    def of_mean(self) -> Point:
        """What the mean code alone would get."""
        w, codes = self._generator.w_avg, self._generator.num_ws
        return self._point(0, lambda x: w.expand(len(x), codes, -1))

    @torch.no_grad()
    def _point(self, step: int, encode: Callable[[Tensor], Tensor]) -> Point:
        figures = torch.cat([self._figures(part, encode(part.images)) for part in self._parts])
        distance, l2, latent = figures.double().mean(dim=0).tolist()
        return Point(step, distance, l2, latent)

    def _figures(self, part: Batch, ws: Tensor) -> Tensor:
        """float32 [N, 3]: distance, L2 and latent error of each sample."""
        images = drawn(self._generator, ws)
        distance = self._distance(images, self._distance.targets(part.images))
        l2 = (images - part.images).square().mean(dim=(1, 2, 3))
        latent = (self._space.of(ws) - self._space.of(part.ws)).square().mean(dim=(1, 2))
        return torch.stack([distance, l2, latent], dim=1)
