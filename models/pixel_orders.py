"""Which pixels are learnt from, and in what order. Each member of an ensemble has its own stream.

A pool is what may be drawn from: indices of pixels, int64, or something that reads like that.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.configs import LabelGeneratorConfig
from models.seeding import philox

HELD_OUT_SHARE, HELD_OUT_MOST = 0.05, 8192
"""Labelled pixels kept back to choose the best weights by, in default mode."""

Draw = Callable[[np.random.Generator], NDArray[np.int64]]
"""Draws the places in a pool that a member learns from next: [B]."""


class Pool(Protocol):
    """Pixels that may be drawn."""

    def __len__(self) -> int:
        """How many."""

    def __getitem__(self, places: Tensor, /) -> Tensor:
        """The pixels int64 [P] at `places` int64 [P] of the pool."""


class AllBut:
    """The pixels of a pool that are not in some images: read where they are, for pools are large.

    Args:
        pool: int64 [P], ascending.
        area: pixels of an image.
        kept: bool [N], images whose pixels are in it.
    """

    def __init__(self, pool: Tensor, area: int, kept: Tensor) -> None:
        kept = kept.to(pool.device)
        borders = torch.arange(len(kept) + 1, device=pool.device) * area
        edges = torch.searchsorted(pool, borders)  # [N + 1], where each image begins in the pool
        counts = edges.diff()[kept]
        self._pool = pool
        self._ends = counts.cumsum(0)
        self._jumps = edges[:-1][kept] - (self._ends - counts)
        self._count = int(counts.sum())

    def __len__(self) -> int:
        """How many."""
        return self._count

    def __getitem__(self, places: Tensor, /) -> Tensor:
        """The pixels int64 [P] at `places` int64 [P], 0 .. count - 1."""
        image = torch.searchsorted(self._ends, places, right=True)
        return self._pool[places + self._jumps[image]]


def hold_out(pool: Tensor, config: LabelGeneratorConfig) -> tuple[Tensor, Tensor]:
    """Some pixels of the pool, the same for all members, and the rest, ascending."""
    count = max(1, min(HELD_OUT_MOST, int(HELD_OUT_SHARE * len(pool))))
    order = philox(config.seed, "held-out").permutation(len(pool))
    held, rest = (torch.from_numpy(part).to(pool.device) for part in np.split(order, [count]))
    return pool[held], pool[rest.sort().values]


@dataclass(frozen=True)
class Source:
    """Where a member's pixels come from.

    Attributes:
        pool: what may be drawn.
        draw: how its places are drawn, with replacement.
    """

    pool: Pool
    draw: Draw

    @classmethod
    def uniform(cls, pool: Pool, batch: int) -> "Source":
        """Each pixel as likely as any other."""
        count = len(pool)
        return cls(pool, lambda stream: stream.integers(count, size=batch))

    @classmethod
    def balanced(cls, pool: Tensor, targets: Tensor, batch: int) -> "Source":
        """Each class as likely as any other, then each of its pixels.

        Args:
            pool: int64 [P].
            targets: int64, the classes of all pixels; those that the pool lacks do not count.
            batch: pixels at a time.
        """
        classes, order = targets[pool].sort(stable=True)
        sizes = np.unique(classes.cpu().numpy(), return_counts=True)[1]
        begins = np.cumsum(sizes) - sizes

        def draw(stream: np.random.Generator) -> NDArray[np.int64]:
            drawn = stream.integers(len(sizes), size=batch)
            places: NDArray[np.int64] = begins[drawn] + stream.integers(sizes[drawn])
            return places

        return cls(pool[order], draw)


def draws(sources: Sequence[Source], seed: int, device: torch.device) -> Iterator[Tensor]:
    """For ever, B pixels for each member, from its own source: int64 [M, B] on `device`."""
    streams = [philox(seed, "order", member) for member in range(len(sources))]
    while True:
        drawn = [
            source.pool[torch.from_numpy(source.draw(stream)).to(device)]
            for source, stream in zip(sources, streams, strict=True)
        ]
        yield torch.stack(drawn)


def epochs(pool: Tensor, config: LabelGeneratorConfig, most: int) -> Iterator[Tensor]:
    """For at most `most` steps, epochs of shuffled pixels, B for each member: int64 [M, B]."""
    streams = [philox(config.seed, "order", m) for m in range(config.members)]
    per_epoch = len(pool) // config.batch
    for step in range(most):
        place = step % per_epoch * config.batch
        if place == 0:
            orders = np.stack([s.permutation(len(pool)).astype(np.int32) for s in streams])
        drawn = orders[:, place : place + config.batch].astype(np.int64)
        yield pool[torch.from_numpy(drawn).to(pool.device)]
