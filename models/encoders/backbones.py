"""Backbones of encoders: a picture in, three maps out, fine to coarse. Knows nothing of codes.

IR-SE50 is ArcFace's network (Deng et al., CVPR 2019) with squeeze and excitation (Hu et al.,
CVPR 2018); ResNet34 is He et al., CVPR 2016, as ReStyle uses it: PReLU at the entrance and no
max pool. Parameters are named as the files of pSp, e4e and ReStyle name them. `Small` is ours, for
pictures of 64 pixels or so.
"""

import itertools
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.encoders.config import SQUEEZE, Backbone

BLOCKS: Mapping[Backbone, tuple[int, int, int, int]] = {
    Backbone.IR_SE50: (3, 4, 14, 3),
    Backbone.RESNET34: (3, 4, 6, 3),
}
"""Blocks in each of the four stages."""

SLOPE = 0.2


def last_blocks(backbone: Backbone) -> list[int]:
    """The index of each stage's last block, counted through the whole body."""
    counts = BLOCKS[backbone]
    return [sum(counts[: stage + 1]) - 1 for stage in range(len(counts))]


class SqueezeExcite(nn.Module):
    """Scales each channel by what all channels' means ask for."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // SQUEEZE, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // SQUEEZE, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        means = x.mean(dim=(2, 3), keepdim=True)  # [N, C, 1, 1]
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(means))))


def _enlarging_shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """1x1 convolution and BatchNorm: what a block adds where its width changes."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


class IRBlock(nn.Module):
    """BatchNorm, convolution, PReLU, convolution, BatchNorm, SE; and a shortcut beside it."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        if in_channels == out_channels:
            self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)  # every stride-th pixel
        else:
            self.shortcut_layer = _enlarging_shortcut(in_channels, out_channels, stride)
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(in_channels),
            nn.Conv2d(in_channels, out_channels, 3, 1, 1, bias=False),
            nn.PReLU(out_channels),
            nn.Conv2d(out_channels, out_channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            SqueezeExcite(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H / stride, W / stride], rounded up."""
        y: Tensor = self.shortcut_layer(x) + self.res_layer(x)
        return y


class BasicBlock(nn.Module):
    """ResNet's block of two 3x3 convolutions."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        if stride != 1 or in_channels != out_channels:
            self.downsample: nn.Module = _enlarging_shortcut(in_channels, out_channels, stride)
        else:
            self.downsample = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H / stride, W / stride], rounded up."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(self.downsample(x) + y)


def _body(
    block: type[IRBlock] | type[BasicBlock],
    counts: Sequence[int],
    channels: Sequence[int],
    first_stride: int,
) -> nn.ModuleList:
    """All blocks in a row; a stage's first block halves the map (the very first may not)."""
    blocks, width = [], channels[0]
    for stage, (count, out) in enumerate(zip(counts, channels, strict=True)):
        for index in range(count):
            stride = 1 if index else 2 if stage else first_stride
            blocks.append(block(width, out, stride))
            width = out
    return nn.ModuleList(blocks)


def _stage_maps(body: nn.ModuleList, x: Tensor, ends: Sequence[int]) -> list[Tensor]:
    """The maps after the last three stages."""
    found = []
    for index, block in enumerate(body):
        x = block(x)
        if index in ends[1:]:
            found.append(x)
    return found


class IRSE50(nn.Module):
    """24 blocks behind one convolution that keeps the size."""

    def __init__(self, in_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(
            nn.Conv2d(in_channels, channels[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.PReLU(channels[0]),
        )
        self.body = _body(IRBlock, BLOCKS[Backbone.IR_SE50], channels, first_stride=2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """[N, in, H, W] -> maps of 1/4, 1/8 and 1/16 of the size."""
        return _stage_maps(self.body, self.input_layer(x), last_blocks(Backbone.IR_SE50))


class ResNet34(nn.Module):
    """16 blocks behind one convolution that halves the size."""

    def __init__(self, in_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.relu = nn.PReLU(channels[0])
        self.body = _body(BasicBlock, BLOCKS[Backbone.RESNET34], channels, first_stride=1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """[N, in, H, W] -> maps of 1/4, 1/8 and 1/16 of the size."""
        x = self.relu(self.bn1(self.conv1(x)))
        return _stage_maps(self.body, x, last_blocks(Backbone.RESNET34))


class PlainBlock(nn.Module):
    """What two convolutions add to a map: nothing at first, so that no norm is needed."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1)
        nn.init.zeros_(self.conv2.weight)
        assert self.conv2.bias is not None
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        y: Tensor = self.conv2(F.leaky_relu(self.conv1(F.leaky_relu(x, SLOPE)), SLOPE))
        return x + y


class Small(nn.Module):
    """Four convolutions that halve the map, a block behind each but the first.

    Without BatchNorm: passes of a ReStyle loop differ in their statistics, and a colour is told by
    the level of a map.
    """

    def __init__(self, in_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        first, *later = channels
        self.input_layer = nn.Conv2d(in_channels, first, 5, 2, 2)
        self.halvings = nn.ModuleList(
            nn.Conv2d(before, after, 3, 2, 1) for before, after in itertools.pairwise(channels)
        )
        self.blocks = nn.ModuleList(PlainBlock(width) for width in later)

    def forward(self, x: Tensor) -> list[Tensor]:
        """[N, in, H, W] -> maps of 1/4, 1/8 and 1/16 of the size."""
        x = self.input_layer(x)
        found = []
        for halving, block in zip(self.halvings, self.blocks, strict=True):
            x = block(halving(F.leaky_relu(x, SLOPE)))
            found.append(x)
        return found


BACKBONES: Mapping[Backbone, type[IRSE50] | type[ResNet34] | type[Small]] = {
    Backbone.IR_SE50: IRSE50,
    Backbone.RESNET34: ResNet34,
    Backbone.SMALL: Small,
}
