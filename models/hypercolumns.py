"""Hypercolumns: a pixel described by every StyleGAN2 feature at its place, and never stored.

Synthesis gives L maps [N, C_l, h_l, w_l], coarse to fine, the learned constant first. Enlarged to
the label's size (H, W) and stacked, they give C = sum(C_l) numbers a pixel (HandsOff, Xu et
al., CVPR 2023): for one 512 x 512 image and C = 6080, 6.4 GB. Nothing here needs that:

* `at_pixels` reads, for each wanted pixel, its at most four neighbours in each map;
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


def neighbours(length: int, out: int, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where an enlarged line of `length` samples takes its values from.

    Args:
        length: samples of the native line.
        out: samples of the enlarged line.
        at: int64 [P], wanted places of the enlarged line, 0 .. out - 1.

    Returns:
        lower and upper int64 [P], native places; share float32 [P] in [0, 1], that of `upper`.
    """
    source = ((at.float() + 0.5) * (length / out) - 0.5).clamp(min=0)
    lower = source.long()
    return lower, (lower + 1).clamp(max=length - 1), source - lower


@dataclass(frozen=True)
class FeatureTable:
    """Cached maps of training images, laid out so that one pixel's channels are adjacent.

    Attributes:
        tables: per level [N * h_s * w_s, C_s], any float dtype.
        shapes: per level (h_s, w_s).
        size: (H, W) of the label.
    """

    tables: list[Tensor]
    shapes: list[Size]
    size: Size

    @property
    def channels(self) -> int:
        """C, the length of a hypercolumn."""
        return sum(table.shape[1] for table in self.tables)

    @classmethod
    def build(cls, features: Sequence[Tensor], size: Size, dtype: torch.dtype) -> "FeatureTable":
        """The table of N images' maps [N, C_l, h_l, w_l], kept in `dtype`."""
        maps = levels(features, size)
        tables = [m.permute(0, 2, 3, 1).flatten(0, 2).to(dtype).contiguous() for m in maps]
        return cls(tables, [(m.shape[2], m.shape[3]) for m in maps], size)

    @classmethod
    def join(cls, parts: Sequence["FeatureTable"]) -> "FeatureTable":
        """The images of all `parts` (of equal shapes), in order."""
        columns = zip(*(part.tables for part in parts), strict=True)
        return cls([torch.cat(column) for column in columns], parts[0].shapes, parts[0].size)

    def standardise(self) -> tuple[Tensor, Tensor]:
        """Give every channel mean 0 and deviation 1, in place.

        Enlarging keeps constants and scales, so hypercolumns are standardised with the maps.

        Returns:
            float32 [C] each: the means and the deviations that were there. A channel that hardly
            varies is divided by a fraction of the usual deviation instead of its own.
        """
        means = [table.float().mean(dim=0) for table in self.tables]
        own = [table.float().std(dim=0, correction=0) for table in self.tables]
        deviations = [d.clamp(min=max(1e-6, 0.05 * float(d.mean()))) for d in own]
        for table, mean, deviation in zip(self.tables, means, deviations, strict=True):
            table.copy_((table.float() - mean) / deviation)
        return torch.cat(means), torch.cat(deviations)


def at_pixels(table: FeatureTable, pixels: Tensor) -> Tensor:
    """Hypercolumns of chosen pixels of cached images.

    Args:
        table: the maps of N images.
        pixels: int64 [P] in 0 .. N * H * W - 1: image * H * W + row * W + column.

    Returns:
        float32 [P, C]: `everywhere` read at those pixels, up to the table's precision.
    """
    height, width = table.size
    image, place = pixels // (height * width), pixels % (height * width)
    row, column = place // width, place % width
    read = []
    for values, (h, w) in zip(table.tables, table.shapes, strict=True):
        where, share = _corners(neighbours(h, height, row), neighbours(w, width, column), w)
        where = where + (image * (h * w))[:, None]  # [P, 4]
        read.append(
            F.embedding_bag(where, values, mode="sum", per_sample_weights=share.to(values.dtype))
        )
    return torch.cat(read, dim=1).float()


def _corners(
    rows: tuple[Tensor, Tensor, Tensor], columns: tuple[Tensor, Tensor, Tensor], width: int
) -> tuple[Tensor, Tensor]:
    """The four native neighbours of P places: index int64 [P, 4] and share float32 [P, 4]."""
    top, bottom, down = rows
    left, right, across = columns
    index = torch.stack(
        [top * width + left, top * width + right, bottom * width + left, bottom * width + right], 1
    )
    up, back = 1 - down, 1 - across
    share = torch.stack([up * back, up * across, down * back, down * across], 1)
    return index, share


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
