"""Fixed random convolutions: features of images where no trained network may be used.

Random filters keep enough of an image to tell blur, missing detail and wrong colours apart,
and are the same on every machine. Their distances compare only with one another; they are
neither LPIPS nor FID.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

WIDTHS = (3, 24, 48, 64, 96)
SEED = 20_230_401


class RandomFeatures:
    """Four strided 3x3 convolutions with leaky ReLU whose weights follow from a constant."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        stream = torch.Generator().manual_seed(SEED)
        pairs = pairwise(WIDTHS)
        self.weights = [
            (torch.randn(o, i, 3, 3, generator=stream) / math.sqrt(9 * i)).to(dtype)
            for i, o in pairs
        ]

    def maps(self, images: Tensor) -> list[Tensor]:
        """float32 [N, 3, H, W] in [-1, 1] -> float32 maps at 1/2, 1/4, 1/8 and 1/16."""
        x = images.to(self.weights[0].dtype, memory_format=torch.channels_last)
        found = []
        for weight in self.weights:
            x = F.leaky_relu(F.conv2d(x, weight, stride=2, padding=1), 0.2) * math.sqrt(2)
            found.append(x.float())
        return found

    def vectors(self, images: Tensor) -> Tensor:
        """One vector per image: mean and standard deviation of each channel, [N, 464]."""
        parts = []
        for found in self.maps(images):
            parts += [found.mean(dim=(2, 3)), found.std(dim=(2, 3))]
        return torch.cat(parts, dim=1)
