"""What faces are painted on: class, colour mix, light and depth of every sub-pixel.

A class has two colours; a sub-pixel is `light * (first + mix * (second - first))`. So a
layer costs four one-channel writes however many colours it shows, and the mask cannot
disagree with the image: both come from `part`. Knows nothing of faces.
"""

from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

FAR = 3.0
"""Depth of the background, in metres."""


class Part(IntEnum):
    """The classes of a mask."""

    BACKGROUND = 0
    SKIN = 1
    HAIR = 2
    EYES = 3
    BROWS = 4
    NOSE = 5
    MOUTH = 6
    NECK = 7
    CLOTHES = 8


@dataclass
class Canvas:
    """Sub-pixels of N faces. Every map is [N, R, R]."""

    part: Tensor
    """uint8, a `Part`."""
    mix: Tensor
    """float32 in [0, 1]: from the part's first colour to its second."""
    light: Tensor
    """float32, 0 for black, 1 for the colours as they are."""
    depth: Tensor
    """float32, metres."""

    @classmethod
    def blank(cls, n: int, size: int, device: torch.device) -> "Canvas":
        """N pictures of `size` x `size` sub-pixels, all background."""
        shape = (n, size, size)
        return cls(
            part=torch.zeros(shape, dtype=torch.uint8, device=device),
            mix=torch.zeros(shape, device=device),
            light=torch.ones(shape, device=device),
            depth=torch.full(shape, FAR, device=device),
        )

    def paint(
        self,
        where: Tensor,
        part: Part,
        light: Tensor,
        mix: Tensor | None = None,
        depth: Tensor | None = None,
    ) -> None:
        """Cover the sub-pixels `where` (bool [N, R, R]); no `depth` keeps what is there."""
        self.part.masked_fill_(where, part)
        self.light = torch.where(where, light, self.light)
        if mix is None:
            self.mix.masked_fill_(where, 0.0)
        else:
            self.mix = torch.where(where, mix, self.mix)
        if depth is not None:
            self.depth = torch.where(where, depth, self.depth)

    def colours(self, palette: Tensor) -> Tensor:
        """The picture.

        Args:
            palette: float32 [N, 2, 3, K] in [0, 1]: first and second RGB colour of each part.

        Returns:
            float32 [N, 3, R, R] in [0, 1].
        """
        n, rows, columns = self.part.shape
        index = self.part.long().flatten(1)[:, None].expand(-1, 3, -1)  # [N, 3, R * R]
        first = torch.gather(palette[:, 0], 2, index)
        second = torch.gather(palette[:, 1], 2, index)
        colour = torch.lerp(first, second, self.mix.flatten(1)[:, None])
        lit = colour.mul_(self.light.flatten(1)[:, None]).clamp_(0, 1)
        return lit.view(n, 3, rows, columns)


def ellipse(dx: Tensor, dy: Tensor) -> Tensor:
    """1 in the middle, 0 on the border, below 0 outside; `dx`, `dy` are in half-axes."""
    return 1 - dx.square() - dy.square()
