"""What a machine can do at most, measured, and what each way of labelling asks of it, counted.

The bound of some work is the larger of its arithmetic at the speed of a large matrix product and
its least memory traffic at the speed of a large copy. No cache is assumed to hold a whole map.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from tests.benchmarks.shapes import Shape

FLOAT = 4
"""Bytes of a number."""
_EDGE = {"cpu": 2048, "cuda": 8192}
_COPIED = {"cpu": 2**26, "cuda": 2**29}
_TRIES = 5


@dataclass(frozen=True)
class Cost:
    """Of one image.

    Attributes:
        macs: products that are added up.
        bytes: of maps, weights and results, each read or written as seldom as the method allows.
    """

    macs: int
    bytes: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.macs + other.macs, self.bytes + other.bytes)


@dataclass(frozen=True)
class Roofline:
    """A machine's float32 matrix products and its memory, both at their fastest.

    Attributes:
        flops: floating point operations a second; a product that is added up is two.
        bandwidth: bytes a second, read and written together.
    """

    flops: float
    bandwidth: float

    def seconds(self, cost: Cost) -> float:
        """No machine of this kind does it faster."""
        return max(2 * cost.macs / self.flops, cost.bytes / self.bandwidth)


def measured(device: torch.device) -> Roofline:
    """The best of some tries, with as many threads as PyTorch has now."""
    edge, numbers = _EDGE[device.type], _COPIED[device.type]
    a, b = torch.randn(2, edge, edge, device=device)
    product = torch.empty_like(a)
    source = torch.zeros(numbers, device=device)
    target = torch.zeros_like(source)
    return Roofline(
        flops=2 * edge**3 / _fastest(device, lambda: torch.mm(a, b, out=product)),
        bandwidth=2 * FLOAT * numbers / _fastest(device, lambda: target.copy_(source)),
    )


def _fastest(device: torch.device, work: Callable[[], Any]) -> float:
    """Seconds of the fastest of some tries; the first is not looked at."""
    found = []
    for _ in range(_TRIES + 1):
        began = time.perf_counter()
        work()
        finish(device)
        found.append(time.perf_counter() - began)
    return min(found[1:])


def finish(device: torch.device) -> None:
    """Return when everything that was asked of a device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def synthesis(shape: Shape) -> Cost:
    """An image: 9 I O products for each place of a 3 x 3 convolution, C O of an image layer.

    An enlarging convolution has the places of its input. Its filter's products, 16 a number, are
    not counted, nor is the mapping. Each map is written and read once, each weight read once.
    """
    images, edge = shape.config.image_shape[:2]
    macs = weights = maps = before = 0
    for index, channels in enumerate(shape.channels):
        pixels = 16 * 4**index
        convolved = 9 * channels * channels
        enlarged = 9 * before * channels  # Nothing at 4 pixels.
        macs += pixels * (convolved + images * channels) + pixels // 4 * enlarged
        weights += convolved + enlarged
        maps += (2 if index else 1) * pixels * channels
        before = channels
    return Cost(macs, FLOAT * (2 * maps + weights + images * edge * edge))


def ours(shape: Shape) -> Cost:
    """First layers on native maps, sums of enlarged outputs, the other layers at every pixel.

    A level of h x w pixels gives M h1 numbers a pixel. As it is climbed over, twice (2h + 1)
    (2w + 1) numbers are enlarged, at the end twice the label's pixels, at 4 products each. Maps
    are read once, the outputs of all members written and read once.
    """
    _, h1, h2, classes = shape.widths
    pixels, members = shape.size[0] * shape.size[1], shape.members
    first, native, enlarged = 0, 0, 0
    for index, channels in enumerate(shape.channels):
        places = min(16 * 4**index, pixels)
        first += 2 * channels * places
        native += 2 * channels * 16 * 4**index
        enlarged += 2 * 4 * places if 4 * places < pixels else 0
    enlarged += 2 * pixels
    macs = members * (h1 * (first + 4 * enlarged) + pixels * (h1 * h2 + h2 * classes))
    moved = native + 2 * members * classes * pixels + _weights(shape)
    return Cost(macs, FLOAT * moved)


def naive(shape: Shape) -> Cost:
    """C enlarged numbers a pixel at 4 products each, and all layers of all members.

    The hypercolumn is written once and read by each member.
    """
    channels, h1, h2, classes = shape.widths
    pixels, members = shape.size[0] * shape.size[1], shape.members
    a_member = channels * h1 + h1 * h2 + h2 * classes
    macs = pixels * (members * a_member + 4 * channels)
    moved = pixels * (channels * (1 + members) + 2 * members * classes) + _weights(shape)
    return Cost(macs, FLOAT * moved)


def _weights(shape: Shape) -> int:
    channels, h1, h2, classes = shape.widths
    return shape.members * (channels * h1 + h1 * h2 + h2 * classes)
