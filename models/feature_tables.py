"""Feature maps of labelled images, kept so that single pixels' hypercolumns can be read.

Maps stay at their native size; for each wanted pixel its at most four neighbours in each map are
read (`at_pixels`), which is what `hypercolumns.everywhere` would have there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.hypercolumns import Size, levels


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
