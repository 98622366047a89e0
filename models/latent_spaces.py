"""Coordinates in which latents are searched.

W has no natural scale: one generator's codes deviate by 1, another's by 36, and along some
directions a hundred times further than along others. A rate or a penalty that suits one network is
wrong for the next. Whitened coordinates (P_N space of Zhu et al., "Improved StyleGAN embedding",
2020, without its undone activation) make one unit the spread of the generator's own codes, in
every direction.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models.latents import mapped
from models.seeding import philox
from models.stylegan2.networks import Generator

SAMPLES = 4096
NARROWEST = 0.1
"""Of the widest direction: none counts as narrower, for a real image may need them all."""

_AT_ONCE = 512


class Space(Protocol):
    """Coordinates u of codes w, both float32 [..., w_dim]."""

    def to_w(self, u: Tensor) -> Tensor:
        """The codes at u."""
        ...

    def of(self, w: Tensor) -> Tensor:
        """The coordinates of w."""
        ...


class Plain:
    """W itself."""

    def to_w(self, u: Tensor) -> Tensor:
        """The codes at u: u."""
        return u

    def of(self, w: Tensor) -> Tensor:
        """The coordinates of w: w."""
        return w


@dataclass(frozen=True)
class Whitened:
    """u = (w - mean) V S^-1, with V the principal axes of W and S how far it spreads along them.

    Attributes:
        mean: float32 [w_dim].
        axes: float32 [w_dim, w_dim], V: one axis per column.
        spread: float32 [w_dim], S.
    """

    mean: Tensor
    axes: Tensor
    spread: Tensor

    @classmethod
    def fit(cls, w: Tensor) -> "Whitened":
        """The coordinates in which codes `w` float32 [n, w_dim], n > 1, have unit covariance."""
        # In double precision on the CPU: the same coordinates wherever the search runs.
        codes = w.detach().cpu().double()
        variances, axes = torch.linalg.eigh(torch.cov(codes.T))
        spread = variances.clamp(min=0).sqrt()
        spread = spread.clamp(min=NARROWEST * float(spread.max()))
        # A mapping that gives one code for all z has no scale of its own.
        spread = torch.where(spread > 0, spread, torch.ones_like(spread))
        mean, axes, spread = (t.to(w) for t in (codes.mean(dim=0), axes, spread))
        return cls(mean, axes, spread)

    def to_w(self, u: Tensor) -> Tensor:
        """The codes at u."""
        return self.mean + (u * self.spread) @ self.axes.T

    def of(self, w: Tensor) -> Tensor:
        """The coordinates of w."""
        return (w - self.mean) @ self.axes / self.spread


@torch.no_grad()
def whitened(generator: Generator, seed: int) -> Whitened:
    """Whitened coordinates of a generator's W, from samples of all its classes."""
    codes = []
    for first in range(0, SAMPLES, _AT_ONCE):
        streams = [philox(seed, "spread", index) for index in range(first, first + _AT_ONCE)]
        codes.append(mapped(generator, streams)[:, 0])
    return Whitened.fit(torch.cat(codes))
