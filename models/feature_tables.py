"""Feature maps of labelled images, kept so that single pixels' hypercolumns can be read.

Maps stay at their native size; for each wanted pixel its at most four neighbours in each map are
read (`at_pixels`), which is what `hypercolumns.everywhere` would have there. Sixteen images of
1024 x 1024 pixels take 2.6 GB in half precision, so nothing here copies a table: it is made once,
filled image after image, and changed where it is.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.hypercolumns import Size, levels

Shape = tuple[int, int, int]
New = Callable[[int, int], Tensor]
"""Makes a table of so many rows and channels, whatever is in it."""

_NUMBERS_AT_ONCE = 2**24
"""Of a table, that are float32 at one time."""


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


def level_shapes(shapes: Sequence[Shape], size: Size) -> list[Shape]:
    """(C_s, h_s, w_s) of what `hypercolumns.levels` makes of maps of `shapes` (C_l, h_l, w_l)."""
    found: list[Shape] = []
    for channels, h, w in shapes:
        own = min(h, size[0]), min(w, size[1])
        before = found.pop()[0] if found and found[-1][1:] == own else 0
        found.append((before + channels, *own))
    return found


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
    def empty(cls, count: int, shapes: Sequence[Shape], size: Size, new: New) -> "FeatureTable":
        """Room for the maps of `count` images, of shapes (C_l, h_l, w_l); all are to be `put`."""
        found = level_shapes(shapes, size)
        tables = [new(count * h * w, channels) for channels, h, w in found]
        return cls(tables, [(h, w) for _, h, w in found], size)

    def put(self, index: int, features: Iterable[Tensor]) -> None:
        """Keep the maps [1, C_l, h_l, w_l] of image `index`, coarse to fine, in all its places."""
        level, first = 0, 0
        for feature in features:
            (values,) = levels([feature], self.size)
            if first == self.tables[level].shape[1]:
                level, first = level + 1, 0
            h, w = self.shapes[level]
            image = self.tables[level][index * h * w : (index + 1) * h * w].view(h, w, -1)
            image[..., first : first + values.shape[1]] = values[0].permute(1, 2, 0)
            first += values.shape[1]

    def standardise(self) -> tuple[Tensor, Tensor]:
        """Give every channel mean 0 and deviation 1, in place.

        Enlarging keeps constants and scales, so hypercolumns are standardised with the maps.

        Returns:
            float32 [C] each: the means and the deviations that were there. A channel that hardly
            varies is divided by a fraction of the usual deviation instead of its own.
        """
        means, deviations = [], []
        for table in self.tables:
            mean, own = _moments(table)
            deviation = own.clamp(min=max(1e-6, 0.05 * float(own.mean())))
            for part in _parts(table):
                part.copy_(part.float().sub_(mean).div_(deviation))
            means.append(mean)
            deviations.append(deviation)
        return torch.cat(means), torch.cat(deviations)


def at_pixels(table: FeatureTable, pixels: Tensor) -> Tensor:
    """Hypercolumns of chosen pixels of cached images.

    Args:
        table: the maps of N images, on any device.
        pixels: int64 [P] in 0 .. N * H * W - 1: image * H * W + row * W + column.

    Returns:
        float32 [P, C] on the device of `pixels`: `everywhere` read at those pixels, up to the
        table's precision.
    """
    height, width = table.size
    there = pixels.to(table.tables[0].device)
    image, place = there // (height * width), there % (height * width)
    row, column = place // width, place % width
    read = torch.empty(len(pixels), table.channels, device=pixels.device)
    columns = torch.split(read, [values.shape[1] for values in table.tables], dim=1)
    for out, values, (h, w) in zip(columns, table.tables, table.shapes, strict=True):
        where, share = _corners(neighbours(h, height, row), neighbours(w, width, column), w)
        where = where + (image * (h * w))[:, None]  # [P, 4]
        out.copy_(
            F.embedding_bag(where, values, mode="sum", per_sample_weights=share.to(values.dtype))
        )
    return read


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


def _parts(table: Tensor) -> Iterator[Tensor]:
    """A table [rows, C] in pieces that can be float32, as views."""
    yield from torch.split(table, max(1, _NUMBERS_AT_ONCE // table.shape[1]))


def _moments(table: Tensor) -> tuple[Tensor, Tensor]:
    """Means and deviations float32 [C] of a table's channels.

    Each piece's moments are float32, joined in float64 (Chan, Golub and LeVeque, 1979):
    M = M_a + M_b + (m_b - m_a)^2 n_a n_b / (n_a + n_b) for sums M of squares around means m.
    """
    count = 0
    mean = torch.zeros(table.shape[1], dtype=torch.float64, device=table.device)
    squares = torch.zeros_like(mean)
    for part in _parts(table):
        values, total = part.float(), count + len(part)
        apart = values.mean(dim=0) - mean
        squares += values.std(dim=0, correction=0).double().square() * len(part)
        squares += apart.square() * (count * len(part) / total)
        mean += apart * (len(part) / total)
        count = total
    return mean.float(), (squares / count).sqrt().float()
