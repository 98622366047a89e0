"""Whether the fused kernel can be trusted on a device: it is tried before it is used.

Triton compiles when it is first needed, with the machine's C compiler and driver and a folder for
what it made. Where one of them is missing, labels are computed plainly; likewise where a GPU gives
other numbers than the plain path, which no GPU has been asked yet.
"""

import functools
import subprocess
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from models import fused_layers
from models.enlarging import EnlargedSum, Tile
from models.fused_layers import Layers, Shape
from models.heads.base import Vote
from models.heads.segmentation import SegmentationHead
from models.hypercolumns import Projected
from models.labels import SegmentationSpec

SIZE = (10, 22)
"""(H, W) of what is tried: several patches, the last ones not whole."""

OLDEST = (8, 0)
"""The compute capability from which on matrix units take float32."""

_TOLERANCE = {torch.float32: 1e-5, torch.float16: 5e-3}
"""How far outputs may be off, in shares of the largest."""
_UNCERTAINTY = {torch.float32: 1e-4, torch.float16: 5e-2}
"""How far the uncertainty of a pixel may be off."""

_FAULTS = (OSError, RuntimeError, ValueError, AssertionError, subprocess.SubprocessError)
"""Raised where something is missing, beside Triton's own; no driver's library is an assertion."""


Said = Callable[[Projected, Layers], Tensor]


@functools.cache
def works(
    shape: Shape, dtype: torch.dtype, device: torch.device, said: Said = fused_layers.said
) -> bool:
    """Whether the kernel is as good as the plain path there; tried once, with random numbers.

    Args:
        shape: what it is compiled for.
        dtype: of maps and weights, float32 or float16.
        device: where it is to run.
        said: what is tried.
    """
    try:
        from triton.errors import TritonError
    except ImportError as error:
        return _reported(f"there is no Triton: {error}")
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < OLDEST:
        return _reported("it needs a GPU of architecture {}.{} or newer".format(*OLDEST))
    try:
        return _reported(_fault(shape, dtype, device, said))
    except torch.OutOfMemoryError:
        raise  # What a device has no room for now may work later.
    except (TritonError, *_FAULTS) as error:
        return _reported(f"it cannot be run: {type(error).__name__}: {error}")


def _reported(fault: str) -> bool:
    """Whether there is none; a warning, where there is one."""
    if fault:
        warnings.warn(f"labels are computed without the fused kernel: {fault}", stacklevel=3)
    return not fault


def _fault(shape: Shape, dtype: torch.dtype, device: torch.device, said: Said) -> str:
    """What the kernel gets wrong, in words; nothing where it is right."""
    projected, layers = random_problem(shape, dtype, device)
    expected = plainly(projected, layers)
    largest = float(expected.abs().max())
    error = float((said(projected, layers) - expected).abs().max()) / largest
    if not error <= _TOLERANCE[dtype]:
        return f"its outputs are off by {error:.1g} of the largest"
    spec = SegmentationSpec(classes=tuple(str(k) for k in range(max(2, shape.outputs))))
    for vote in Vote:
        plain = SegmentationHead(spec, {}).decide(expected.flatten(2).mT, vote)
        got = fused_layers.voted(projected, layers, vote)
        off = float((got.uncertainty.flatten() - plain.uncertainty).abs().max())
        same = float((got.values.flatten() == plain.values[:, 0]).double().mean())
        if not (off <= _UNCERTAINTY[dtype] and same >= 0.98):
            return f"its {vote} vote agrees on {same:.1%}, uncertainties are off by {off:.1g}"
    return ""


def plainly(projected: Projected, layers: Layers) -> Tensor:
    """What `fused_layers.said` gives, in float32 by means of `Layers` alone: [M, K, N, H, W]."""
    height, width = projected.size
    hidden = projected.at(Tile(0, height, 0, width)).float()
    return layers.above_first(hidden)


def random_problem(
    shape: Shape, dtype: torch.dtype, device: torch.device
) -> tuple[Projected, Layers]:
    """Layers of that shape and projected maps of an image, the same each time."""
    stream = torch.Generator().manual_seed(0)

    def drawn(*size: int, over: int = 1) -> Tensor:
        numbers = torch.randn(*size, generator=stream)
        return numbers.div_(over**0.5).to(device)

    m, h1, h2, k = shape.members, shape.h1, shape.h2, shape.outputs
    weight = drawn(m * h1, shape.channels, over=shape.channels)
    high, wide = SIZE[0] // 2, SIZE[1] // 2
    sums = EnlargedSum(drawn(1, m * h1, high + 1, wide + 1), drawn(1, m * h1, high, wide))
    assert sums.corners is not None
    halved = EnlargedSum(sums.corners.to(dtype), sums.last.to(dtype))
    maps = [drawn(1, shape.channels, *SIZE).to(dtype)]
    projected = Projected(halved, maps, weight.to(dtype), weight.new_zeros(m * h1, dtype=dtype))
    above = drawn(m, h2, h1, over=h1), drawn(m, h2), drawn(m, k, h2, over=h2), drawn(m, k)
    return projected, Layers(weight.view(m, h1, -1), drawn(m, h1), *above)
