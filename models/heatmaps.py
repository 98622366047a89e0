"""Points as heat maps, and back: a Gaussian around each, and the highest place between pixels.

Points are (row, column) in pixels; the centre of the first pixel is (0, 0).
"""

import torch
from torch import Tensor

_SMALLEST = 1e-6
"""Of a map's height: what is lower counts as this, so that it has a logarithm."""


def gaussians(points: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """A map for each point: exp(-d^2 / (2 sigma^2)) at a distance of d pixels.

    Args:
        points: float32 [N, K, 3] of (row, column, visibility); they may lie outside the maps.
        size: (H, W) of the maps.
        sigma: in pixels.

    Returns:
        float32 [N, K, H, W], 1 at the point itself; all 0 for points of visibility 0.
    """
    row, column, visibility = points.unbind(-1)
    down, across = _bell(row, size[0], sigma), _bell(column, size[1], sigma)
    maps = down[..., :, None] * across[..., None, :]
    return torch.where((visibility > 0)[..., None, None], maps, 0.0)


def _bell(at: Tensor, length: int, sigma: float) -> Tensor:
    """The Gaussian along one side: places [N, K] -> [N, K, length]."""
    pixels = torch.arange(length, dtype=at.dtype, device=at.device)
    return torch.exp(-(pixels - at[..., None]).square() / (2 * sigma**2))


def peaks(maps: Tensor) -> Tensor:
    """The highest place of each map, between pixels: exact for a Gaussian away from the border.

    The vertex of the parabola through the logarithms of the highest pixel and its two
    neighbours, in each direction alone; at the border the pixel's own place.

    Args:
        maps: float32 [..., H, W]; negative values count as none.

    Returns:
        float32 [..., 3] of (row, column, height), the height at that place. A map without a
        positive value has its peak at its highest pixel, and that pixel's height.
    """
    width = maps.shape[-1]
    flat = maps.flatten(-2)
    highest, at = flat.max(dim=-1)
    down, higher = _vertex(flat, at, width, (at // width, maps.shape[-2]))
    across, still_higher = _vertex(flat, at, 1, (at % width, width))
    height = torch.where(highest > 0, highest * torch.exp(higher + still_higher), highest)
    return torch.stack([at // width + down, at % width + across, height], dim=-1)


def _vertex(
    flat: Tensor, at: Tensor, stride: int, where: tuple[Tensor, int]
) -> tuple[Tensor, Tensor]:
    """The vertex of the parabola through the highest pixel and those a stride before and behind.

    Args:
        flat: float32 [..., P].
        at: int64 [...], the highest pixels.
        stride: from a pixel to its neighbour.
        where: how far along the line the pixels lie, and how long it is.

    Returns:
        its distance from the pixel, -0.5 to 0.5, and how much higher its logarithm is.
    """
    around = torch.stack([at - stride, at, at + stride], dim=-1).clamp(0, flat.shape[-1] - 1)
    before, highest, behind = flat.gather(-1, around).unbind(-1)
    floor = highest * _SMALLEST
    left, right = (torch.log(torch.maximum(n, floor) / highest) for n in (before, behind))
    place, length = where
    # Without a bend there is no vertex: all three are equal, or there is nothing positive.
    has_one = (highest > 0) & (place > 0) & (place < length - 1) & (left + right < 0)
    bend = torch.where(has_one, -2 * (left + right), 1.0)
    slope = torch.where(has_one, right - left, 0.0)
    return slope / bend, slope.square() / (4 * bend)
