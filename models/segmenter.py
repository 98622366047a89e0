"""A small U-Net that learns labels of small pictures on a CPU in minutes. Knows no data.

Most of the work is done at half the picture's size and below; the full size adds one cheap layer,
for borders. Convolutions run on channels-last tensors.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MULTIPLE = 16
"""Pictures must have sides that are multiples of this; `Segmenter` pads and crops by itself."""


class Segmenter(nn.Module):
    """RGB float32 [N, 3, H, W] in [-1, 1] -> float32 [N, K, H, W]: K numbers for each pixel."""

    def __init__(self, outputs: int, width: int) -> None:
        super().__init__()
        w = width
        self.stem = _convolution(3, w)
        self.down = nn.ModuleList(
            [_stage(w, 2 * w), _stage(2 * w, 4 * w), _stage(4 * w, 4 * w), _stage(4 * w, 4 * w)]
        )
        self.up = nn.ModuleList(
            [_double(8 * w, 4 * w), _double(8 * w, 2 * w), _double(4 * w, 2 * w)]
        )
        self.border = _convolution(3 * w, w)
        self.head = nn.Conv2d(w, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """The numbers of all pixels, e.g. logits."""
        height, width = images.shape[2:]
        padding = (0, -width % MULTIPLE, 0, -height % MULTIPLE)
        x = F.pad(images, padding, mode="replicate") if any(padding) else images
        skips = [self.stem(x.contiguous(memory_format=torch.channels_last))]
        for stage in self.down:
            skips.append(stage(skips[-1]))
        x = skips.pop()
        for stage in self.up:
            x = stage(_joined(x, skips.pop()))
        outputs: Tensor = self.head(self.border(_joined(x, skips.pop())))
        return outputs[:, :, :height, :width]


def _joined(coarse: Tensor, fine: Tensor) -> Tensor:
    """The coarse map enlarged two times, and the fine one behind it."""
    enlarged = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    return torch.cat([enlarged, fine], dim=1)


def _convolution(i: int, o: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(i, o, 3, stride, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True)
    )


def _double(i: int, o: int) -> nn.Sequential:
    return nn.Sequential(_convolution(i, o), _convolution(o, o))


def _stage(i: int, o: int) -> nn.Sequential:
    """Half the size, more channels."""
    return nn.Sequential(_convolution(i, o, stride=2), _convolution(o, o))
