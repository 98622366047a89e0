"""Hypercolumns: a pixel described by every StyleGAN2 feature at its place, and never stored.

Synthesis gives L maps [N, C_l, h_l, w_l], coarse to fine, the learned constant first. Enlarged to
the label's size (H, W) and stacked, they give C = sum(C_l) numbers a pixel (HandsOff, Xu et
al., CVPR 2023): for one 512 x 512 image and C = 6080, 6.4 GB. Nothing here needs that:

* `feature_tables.at_pixels` reads, for each wanted pixel, its at most four neighbours in each map;
* `project` applies a Linear layer to the maps where they are and enlarges its few outputs:
  W concat(up(f_l)) + b = sum_l up(W_l f_l + b_l), for enlarging is linear and its weights sum to 1.

"Enlarging" is bilinear, straight from the native size (a chain of doublings is another function),
pixel centres at half integers, borders repeated. Maps larger than the label are reduced first.
`everywhere` is the definition, for small pictures and as the witness of the other two.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]


def levels(features: Sequence[Tensor], size: Size) -> list[Tensor]:
    """One map per distinct resolution: maps of equal size stacked, too large ones reduced.

    Args:
        features: float maps [N, C_l, h_l, w_l], coarse to fine.
        size: (H, W) of the label.

    Returns:
        maps [N, C_s, h_s, w_s], h_s <= H and w_s <= W, coarse to fine; channels keep their order.
    """
    stacks: list[list[Tensor]] = []
    for feature in (_reduced(f, size) for f in features):
        if stacks and stacks[-1][0].shape[2:] == feature.shape[2:]:
            stacks[-1].append(feature)
        else:
            stacks.append([feature])
    return [torch.cat(stack, dim=1) for stack in stacks]


def everywhere(features: Sequence[Tensor], size: Size) -> Tensor:
    """Hypercolumns of all pixels: L maps [N, C_l, h_l, w_l] -> [N, C, H, W]."""
    return torch.cat([_resized(level, size) for level in levels(features, size)], dim=1)


def _resized(x: Tensor, size: Size) -> Tensor:
    """[N, C, h, w] -> [N, C, H, W], bilinear."""
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def _reduced(x: Tensor, size: Size) -> Tensor:
    """[N, C, h, w] -> the same, neither side larger than `size`."""
    smaller = (min(x.shape[2], size[0]), min(x.shape[3], size[1]))
    return x if smaller == tuple(x.shape[2:]) else _resized(x, smaller)


@dataclass(frozen=True)
class Tile:
    """A rectangle of the label: rows [top, bottom), columns [left, right)."""

    top: int
    bottom: int
    left: int
    right: int


def tiles(size: Size, edge: int) -> Iterator[Tile]:
    """The label cut into tiles of at most `edge` x `edge` pixels, row by row."""
    for top in range(0, size[0], edge):
        for left in range(0, size[1], edge):
            yield Tile(top, min(top + edge, size[0]), left, min(left + edge, size[1]))


def project(
    features: Sequence[Tensor], weight: Tensor, bias: Tensor, size: Size, edge: int
) -> Iterator[tuple[Tile, Tensor]]:
    """A Linear layer on hypercolumns, without the hypercolumns, tile after tile.

    Args:
        features: float maps [N, C_l, h_l, w_l], the learned constant (equal for all N) first.
        weight: float32 [D, C].
        bias: float32 [D].
        size: (H, W) of the label, whole multiples of each smaller map's sides.
        edge: tiles are at most `edge` x `edge` pixels.

    Yields:
        a tile and float32 [N, rows, columns, D]: weight @ everywhere(features, size) + bias there.
    """
    constant, *drawn = features
    maps = levels(drawn, size)
    for h, w in (m.shape[2:] for m in maps):
        if size[0] % h or size[1] % w:
            raise ValueError(f"a label of {size} is no whole multiple of a {h} x {w} feature map")
    # What all images share is projected once, at 4 x 4 pixels, and joins that level there.
    shared = _linear(constant[:1], weight[:, : constant.shape[1]], bias)
    assert shared.shape[2:] == maps[0].shape[2:]
    _, *weights = torch.split(weight, [constant.shape[1], *(m.shape[1] for m in maps)], dim=1)
    for tile in tiles(size, edge):
        parts = [
            _enlarged(m, w, shared if index == 0 else None, size, tile)
            for index, (m, w) in enumerate(zip(maps, weights, strict=True))
        ]
        total = parts.pop()
        for part in parts:
            total += part
        yield tile, total.permute(0, 2, 3, 1)


def _enlarged(x: Tensor, weight: Tensor, shared: Tensor | None, size: Size, tile: Tile) -> Tensor:
    """up(weight x + shared) at a tile: [N, C, h, w] -> float32 [N, D, rows, columns].

    Only the native samples under the tile and one around them are touched; that one more makes
    the borders of the cut-out as good as its inside.
    """
    high, wide = size[0] // x.shape[2], size[1] // x.shape[3]
    rows = slice(max(tile.top // high - 1, 0), -(-tile.bottom // high) + 1)
    columns = slice(max(tile.left // wide - 1, 0), -(-tile.right // wide) + 1)
    patch = _linear(x[:, :, rows, columns], weight)
    if shared is not None:
        patch = patch + shared[:, :, rows, columns]
    if high > 1 or wide > 1:
        patch = _resized(patch, (patch.shape[2] * high, patch.shape[3] * wide))
    top, left = tile.top - rows.start * high, tile.left - columns.start * wide
    return patch[:, :, top : top + tile.bottom - tile.top, left : left + tile.right - tile.left]


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """[N, C, h, w] -> float32 [N, D, h, w], channels last in memory, as resizing likes it."""
    return F.linear(x.permute(0, 2, 3, 1).float(), weight, bias).permute(0, 3, 1, 2)
