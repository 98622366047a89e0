"""Hypercolumns: a pixel described by every StyleGAN2 feature at its place, and never stored.

Synthesis gives L maps [N, C_l, h_l, w_l], coarse to fine, the learned constant first. Enlarged to
the label's size (H, W) and stacked, they give C = sum(C_l) numbers a pixel (HandsOff, Xu et
al., CVPR 2023): for one 512 x 512 image and C = 6080, 6.4 GB. Nothing here needs that:

* `feature_tables.at_pixels` reads, for each wanted pixel, its at most four neighbours in each map;
* `project` applies a Linear layer to the maps where they are and enlarges its few outputs:
  W concat(up(f_l)) + b = sum_l up(W_l f_l) + b, for enlarging is linear and its weights sum to 1.

"Enlarging" is bilinear, straight from the native size (a chain of doublings is another function),
pixel centres at half integers, borders repeated. Maps larger than the label are reduced first.
`everywhere` is the definition, for small pictures and as the witness of the other two.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from models.enlarging import EnlargedSum, Tile, resized, tiles

Size = tuple[int, int]

NativeMaps = Sequence[Sequence[Tensor]]
"""Maps [N, C_l, h_s, w_s] of one type, channels last in memory, by resolution: each level twice as
large as the one before, the last as large as the label."""


def levels(features: Sequence[Tensor], size: Size) -> list[Tensor]:
    """One map per distinct resolution: maps of equal size stacked, too large ones reduced.

    Args:
        features: float maps [N, C_l, h_l, w_l], coarse to fine.
        size: (H, W) of the label.

    Returns:
        maps [N, C_s, h_s, w_s], h_s <= H and w_s <= W, coarse to fine; channels keep their order.
    """
    return [torch.cat(stack, dim=1) for stack in _stacks(features, size)]


def everywhere(features: Sequence[Tensor], size: Size) -> Tensor:
    """Hypercolumns of all pixels: L maps [N, C_l, h_l, w_l] -> [N, C, H, W]."""
    return torch.cat([resized(level, size) for level in levels(features, size)], dim=1)


def _stacks(features: Sequence[Tensor], size: Size) -> list[list[Tensor]]:
    """Maps by resolution, coarse to fine, none larger than the label."""
    stacks: list[list[Tensor]] = []
    for feature in (_reduced(f, size) for f in features):
        if stacks and stacks[-1][0].shape[2:] == feature.shape[2:]:
            stacks[-1].append(feature)
        else:
            stacks.append([feature])
    return stacks


def _reduced(x: Tensor, size: Size) -> Tensor:
    """[N, C, h, w] -> the same, neither side larger than `size`."""
    smaller = (min(x.shape[2], size[0]), min(x.shape[3], size[1]))
    return x if smaller == tuple(x.shape[2:]) else resized(x, smaller)


def native_maps(
    features: Sequence[Tensor], size: Size, dtype: torch.dtype = torch.float32
) -> NativeMaps:
    """Maps as `project` reads them; those of synthesis in `dtype` are not copied.

    Args:
        features: float maps [N, C_l, h_l, w_l], coarse to fine.
        size: (H, W) of the label.
        dtype: what they are to be computed in.

    Raises:
        ValueError: maps do not double from level to level, up to the label's size.
    """
    stacks = _stacks(features, size)
    sizes = [(stack[0].shape[2], stack[0].shape[3]) for stack in stacks]
    behind = len(sizes) - 1
    if [(h << behind - i, w << behind - i) for i, (h, w) in enumerate(sizes)] != [size] * len(
        sizes
    ):
        given = ", ".join(f"{h} x {w}" for h, w in sizes)
        raise ValueError(f"a label of {size} needs maps that double up to it, got {given}")
    last = torch.channels_last
    return [[f.to(dtype).contiguous(memory_format=last) for f in stack] for stack in stacks]


@dataclass(frozen=True)
class Projected:
    """A Linear layer on hypercolumns, ready but for its last step, which is done pixel by pixel.

    Attributes:
        smaller: what it gives on all levels but the finest; None where there are no others.
        finest: maps [N, C_l, H, W] of the finest level.
        weight: its part that is for those, [D, C_f].
        bias: [D], what is still to be added.
    """

    smaller: EnlargedSum | None
    finest: Sequence[Tensor]
    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, maps: NativeMaps, weight: Tensor, bias: Tensor) -> "Projected":
        """Of all maps, with the learned constant (equal for all N) first.

        Args:
            maps: of C channels together.
            weight: of the type of the maps, [D, C].
            bias: likewise, [D].
        """
        weights = torch.split(weight, [sum(f.shape[1] for f in level) for level in maps], dim=1)
        # The coarsest level brings the bias, for enlarging leaves it as it is.
        biases = [bias, *[torch.zeros_like(bias)] * (len(maps) - 1)]
        *coarse, finest = zip(maps, weights, biases, strict=True)
        parts = (partial(_linear, *level) for level in coarse)
        return cls(EnlargedSum.of(parts) if coarse else None, *finest)

    @property
    def size(self) -> Size:
        """(H, W) of the label."""
        return self.finest[0].shape[2], self.finest[0].shape[3]

    def at(self, tile: Tile) -> Tensor:
        """What the layer gives at a tile: [N, rows, columns, D], contiguous, the caller's own."""
        here = [tile.of(f) for f in self.finest]
        if self.smaller is None:
            hidden = _linear(here, self.weight, self.bias)
        else:
            hidden = _add(self.smaller.at(tile), here, self.weight)
        return hidden.permute(0, 2, 3, 1)


def project(
    maps: NativeMaps, weight: Tensor, bias: Tensor, edge: int
) -> Iterator[tuple[Tile, Tensor]]:
    """A Linear layer on hypercolumns, without the hypercolumns, tile after tile.

    Args:
        maps: float32; see `Projected.of`.
        weight: float32 [D, C].
        bias: float32 [D].
        edge: tiles are at most `edge` x `edge` pixels.

    Yields:
        a tile and float32 [N, rows, columns, D], contiguous and the caller's to change:
        weight @ everywhere(features, size) + bias there.
    """
    projected = Projected.of(maps, weight, bias)
    for tile in tiles(projected.size, edge):
        yield tile, projected.at(tile)


def _linear(maps: Sequence[Tensor], weight: Tensor, bias: Tensor) -> Tensor:
    """Maps [N, C_l, h, w] of one size -> [N, D, h, w], channels last in memory."""
    n, _, h, w = maps[0].shape
    return _add(bias.repeat(n, h, w, 1).permute(0, 3, 1, 2), maps, weight)


def _add(total: Tensor, maps: Sequence[Tensor], weight: Tensor) -> Tensor:
    """total + weight @ maps, in the place of total [N, D, h, w] where that is channels last."""
    total = total.permute(0, 2, 3, 1).contiguous()
    pixels = total.view(-1, total.shape[-1])
    for x, w in zip(maps, torch.split(weight, [x.shape[1] for x in maps], dim=1), strict=True):
        pixels.addmm_(x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]), w.T)
    return total.permute(0, 3, 1, 2)
