"""The pictures that an inversion is to reach, and how near others come to them.

Part of a picture may be padding, as above and below cars. A mask says what is content; the rest is
taken to be as the generator's mean image, in the picture and in what is compared with it, so what
lies there has no part in anything.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.perceptual import Distance, reduced
from models.stylegan2.networks import Generator


@dataclass(frozen=True)
class Wanted:
    """N pictures to be reconstructed.

    Attributes:
        images: float32 [N, 3, H, W] in [-1, 1].
        features: of the images, from `distance`; computed once.
        distance: how pictures are compared.
        masks: bool [N, 1, H, W], True where the images have content; None for everywhere.
    """

    images: Tensor
    features: list[Tensor]
    distance: Distance
    masks: Tensor | None = None

    @classmethod
    @torch.no_grad()
    def of(cls, images: Tensor, distance: Distance, masks: Tensor | None = None) -> "Wanted":
        """Pictures as they are to be compared; arguments as the attributes."""
        return cls(images, distance.targets(images), distance, masks)

    def distance_to(self, drawn: Tensor) -> Tensor:
        """Of each picture to the one of `drawn` [N, 3, H, W]: float32 [N]."""
        return self.distance(self._framed(drawn), self.features)

    def mse_to(self, drawn: Tensor) -> Tensor:
        """Mean square differences over content pixels, images in [0, 1]: float32 [N]."""
        difference = reduced(self._framed(drawn)) - reduced(self.images)
        mse = (difference / 2).square().mean(dim=(1, 2, 3))
        return mse if self.masks is None else mse / self.masks.float().mean(dim=(1, 2, 3))

    def _framed(self, drawn: Tensor) -> Tensor:
        """What was drawn, with the wanted pictures around the content."""
        return drawn if self.masks is None else torch.where(self.masks, drawn, self.images)


@torch.no_grad()
def filled(generator: Generator, images: Tensor, masks: Tensor) -> Tensor:
    """Pictures with the generator's mean image where they have no content.

    Args:
        generator: on any device.
        images: float32 [N, 3, H, W] in [-1, 1].
        masks: bool [N, 1, H, W], on the images' device.
    """
    mean = generator.synthesize(generator.w_avg.expand(1, generator.num_ws, -1))
    return torch.where(masks, images, mean.clamp(-1, 1).to(images.device))


def checked_masks(masks: Tensor, images: Tensor) -> Tensor:
    """Masks [N, H, W], bool or float (content above 0.5), as bool [N, 1, H, W].

    Raises:
        ValueError: another shape than the images', or one without any content.
    """
    if masks.shape != (len(images), *images.shape[2:]):
        wanted = [len(images), *images.shape[2:]]
        raise ValueError(f"masks must be {wanted}, got {list(masks.shape)}")
    content = (masks if masks.dtype is torch.bool else masks > 0.5)[:, None].to(images.device)
    empty = (~content.flatten(1).any(dim=1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"a mask must have content, but {empty[:3]} have none")
    return content
