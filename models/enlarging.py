"""The sum of maps enlarged to one size, exactly, for little more than enlarging one. No weights.

A map with a sample every f pixels is, once enlarged, linear between its samples, which lie in the
middle of f x f pixels. So what maps of f, 2f, 4f, ... add up to is linear within each square of
f / 2 pixels, and its values at the corners of those squares say all of it. From corners to the
corners of squares half as wide is a step of taking means: the sum climbs from map to map, twice as
large each time, and never is a coarse map enlarged to the full size by itself. A chain of
ordinary doublings would be another function; this is the direct enlargement up to rounding.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]


@dataclass(frozen=True)
class Tile:
    """A rectangle of the label: rows [top, bottom), columns [left, right)."""

    top: int
    bottom: int
    left: int
    right: int

    def of(self, x: Tensor) -> Tensor:
        """What it holds of x [..., H, W], without a copy."""
        return x[..., self.top : self.bottom, self.left : self.right]


def tiles(size: Size, edge: int) -> Iterator[Tile]:
    """The label cut into tiles of at most `edge` x `edge` pixels, row by row."""
    for top in range(0, size[0], edge):
        for left in range(0, size[1], edge):
            yield Tile(top, min(top + edge, size[0]), left, min(left + edge, size[1]))


def resized(x: Tensor, size: Size) -> Tensor:
    """[N, D, h, w] -> [N, D, H, W]: bilinear, pixel centres at half integers, borders repeated."""
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class EnlargedSum:
    """What maps, each twice as large as the one before, add up to at twice the size of the last.

    Attributes:
        corners: the sum of all maps but the last at the corners of squares of 2 x 2 pixels,
            [N, D, H / 2 + 1, W / 2 + 1]; None where there are no others.
        last: [N, D, H / 2, W / 2].
    """

    corners: Tensor | None
    last: Tensor

    @classmethod
    def of(cls, maps: Iterable[Callable[[], Tensor]]) -> "EnlargedSum":
        """Of float32 maps [N, D, h_s, w_s], coarse to fine; at least one.

        Each is asked for when the one before has been climbed over, so that no two large ones
        are held beside their corners.
        """
        *coarse, last = maps
        corners: Tensor | None = None
        for one in coarse:
            corners = _climbed(corners, one())
        return cls(corners, last())

    def at(self, tile: Tile) -> Tensor:
        """The sum at a tile: [N, D, rows, columns]."""
        own = _enlarged(self.last, tile, around=1)
        return own if self.corners is None else own + _enlarged(self.corners, tile, around=0)


def _climbed(corners: Tensor | None, x: Tensor) -> Tensor:
    """A map [N, D, h, w] and the sum before it [N, D, h + 1, w + 1] -> [N, D, 2h + 1, 2w + 1]."""
    # Halfway between samples there are corners, and every sample is one.
    own = _halfway(F.pad(x, (1, 1, 1, 1), mode="replicate"))[:, :, 1:-1, 1:-1]
    return own if corners is None else _halfway(corners).add_(own)


def _halfway(x: Tensor) -> Tensor:
    """Means of neighbours put between them: [N, D, h, w] -> [N, D, 2h - 1, 2w - 1]."""
    size = (2 * x.shape[2] - 1, 2 * x.shape[3] - 1)
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


def _enlarged(x: Tensor, tile: Tile, around: int) -> Tensor:
    """Twice as large, at a tile; only what lies under the tile is touched.

    Args:
        x: [N, D, H / 2, W / 2], or [N, D, H / 2 + 1, W / 2 + 1] at the corners.
        tile: of the enlarged map.
        around: samples needed on each side of the tile: 1, or 0 of corners, which are there.
    """
    top, left = max(tile.top // 2 - around, 0), max(tile.left // 2 - around, 0)
    cut = x[:, :, top : (tile.bottom + 1) // 2 + 1, left : (tile.right + 1) // 2 + 1]
    large = resized(cut, (2 * cut.shape[2], 2 * cut.shape[3]))
    # A corner stands half a sample, one pixel, before the sample of its number.
    down, right = (2 * start - 1 + around for start in (top, left))
    return large[:, :, tile.top - down : tile.bottom - down, tile.left - right : tile.right - right]
