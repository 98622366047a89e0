"""StyleGAN2's residual discriminator: image -> one number, high where it looks real.

Only training needs it. Equations after Karras et al. (CVPR 2020), section 4.1 and figure 7c.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.stylegan2 import ops
from models.stylegan2.layers import FullyConnected

STDDEV_GROUP = 4


class EqualizedConv(nn.Module):
    """Convolution whose weights, N(0, 1), are divided by sqrt(fan in) when used."""

    def __init__(self, in_channels: int, out_channels: int, size: int, activate: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, size, size))
        if activate:
            self.bias = nn.Parameter(torch.zeros(out_channels))
        self.activate = activate

    def forward(self, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
        """[N, I, H, W] -> [N, O, H / stride, W / stride] in x's dtype."""
        weight = (self.weight / math.sqrt(self.weight[0].numel())).to(x.dtype)
        if not self.activate:
            return F.conv2d(x, weight, stride=stride, padding=padding)
        y = F.conv2d(x, weight, self.bias.to(x.dtype), stride=stride, padding=padding)
        return ops.leaky_relu(y)


class DiscriminatorBlock(nn.Module):
    """Halves the image: two convolutions beside a filtered shortcut, summed over sqrt(2)."""

    kernel: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel: Tensor) -> None:
        super().__init__()
        self.conv0 = EqualizedConv(in_channels, in_channels, 3, activate=True)
        self.conv1 = EqualizedConv(in_channels, out_channels, 3, activate=True)
        self.skip = EqualizedConv(in_channels, out_channels, 1, activate=False)
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, I, H, W] -> [N, O, H / 2, W / 2]."""
        half = self.kernel.shape[0] // 2
        shortcut = self.skip(ops.filter_image(x, self.kernel, padding=half - 1, stride=2))
        y = self.conv0(x, padding=1)
        y = self.conv1(ops.filter_image(y, self.kernel, padding=half), stride=2)
        total: Tensor = y + shortcut
        return total * math.sqrt(0.5)


def append_stddev(x: Tensor, group: int = STDDEV_GROUP) -> Tensor:
    """One more channel: how much images of a group differ, a number per group.

    Args:
        x: float32 [N, C, H, W]; N a multiple of min(group, N).
        group: images per group.

    Returns:
        [N, C + 1, H, W].
    """
    n, c, h, w = x.shape
    grouped = x.reshape(min(group, n), -1, c, h, w)  # [G, N / G, C, H, W]
    spread = (grouped.var(dim=0, correction=0) + ops.EPSILON).sqrt().mean(dim=(1, 2, 3))  # [N / G]
    channel = spread.repeat(grouped.shape[0])[:, None, None, None].expand(n, 1, h, w)
    return torch.cat([x, channel], dim=1)


class Discriminator(nn.Module):
    """Square images [N, C, R, R] -> logits [N]; also of R/2, R/4, .. 8 pixels, so that it can grow.

    Every size has its own first layer; smaller images enter at a later block.

    Args:
        image_channels: C.
        channels: features per resolution, fine to coarse, from R down to 4; one more entry
            than halvings.
        fir: taps of the resampling filter.
    """

    def __init__(
        self,
        image_channels: int,
        channels: Sequence[int],
        fir: Sequence[float] = (1.0, 3.0, 3.0, 1.0),
    ) -> None:
        super().__init__()
        kernel = ops.fir_kernel(fir)
        self.from_rgb = nn.ModuleList(
            [EqualizedConv(image_channels, c, 1, activate=True) for c in channels[:-1]]
        )
        pairs = pairwise(channels)
        self.blocks = nn.ModuleList([DiscriminatorBlock(i, o, kernel) for i, o in pairs])
        last = channels[-1]
        self.conv = EqualizedConv(last + 1, last, 3, activate=True)
        self.fc = FullyConnected(last * 16, last, activate=True)
        self.out = FullyConnected(last, 1)

    def forward(self, images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """float32 [N, C, R, R] in [-1, 1] -> float32 [N]; convolutions compute in `dtype`."""
        x = images.to(dtype, memory_format=torch.channels_last)
        skipped = len(self.blocks) + 2 - images.shape[-1].bit_length() + 1
        x = self.from_rgb[skipped](x)
        for block in list(self.blocks)[skipped:]:
            x = block(x)
        x = self.conv(append_stddev(x.float()), padding=1)
        logits: Tensor = self.out(self.fc(x.flatten(1)))
        return logits.squeeze(1)
