"""Which weights of a training are the best: those that do best on pixels held out from it."""

from typing import Any

import torch
from torch import Tensor

from models.heads.base import Head
from models.lessons import Pixels
from models.pixel_mlps import PixelMLPs

PLATEAU = 0.01
"""A held-out loss that falls by a smaller share, in all `patience` looks, is on a plateau."""

_NUMBERS_AT_ONCE = 2**24
"""Of hypercolumns that are read together."""


class Judge:
    """Keeps, for each member, the weights that did best on the pixels `held` int64 [P]."""

    def __init__(self, pixels: Pixels, held: Tensor, head: Head) -> None:
        together = max(1, _NUMBERS_AT_ONCE // pixels.table.channels)
        self._pixels, self._portions = pixels, torch.split(held, together)
        self._targets, self._head = pixels.targets[held], head
        self._lowest: Tensor | None = None
        self._curve: list[float] = []
        self.best: dict[str, Tensor] = {}
        self.steps: list[int] = []

    @torch.no_grad()
    def look(self, network: PixelMLPs, step: int) -> None:
        """Compare the network as it is now with the best so far."""
        outputs = self.outputs(network)
        losses = self._head.loss(outputs, self._targets.expand(len(outputs), *self._targets.shape))
        if self._lowest is None:
            self._lowest, self.best = losses, copied(network)
            self.steps = [step] * len(losses)
        else:
            better = losses < self._lowest
            self._lowest = torch.minimum(losses, self._lowest)
            self.best = chosen(better, copied(network), self.best)
            now = better.tolist()
            self.steps = [step if new else old for new, old in zip(now, self.steps, strict=True)]
        self._curve.append(float(self._lowest.mean()))

    def flat(self, looks: int) -> bool:
        """Whether the lowest loss, the members' mean, hardly fell in the last so many looks."""
        if len(self._curve) <= looks:
            return False
        return self._curve[-1] > (1 - PLATEAU) * self._curve[-1 - looks]

    @torch.no_grad()
    def outputs(self, network: PixelMLPs) -> Tensor:
        """What the members say of the held-out pixels: [M, P, K]."""
        network.eval()
        members = len(network.weights[0])
        outputs = [
            network(self._pixels.read(portion)[0].expand(members, -1, -1))
            for portion in self._portions
        ]
        network.train()
        return torch.cat(outputs, dim=1)

    def record(self, network: PixelMLPs) -> dict[str, Any]:
        """How the chosen weights, by now in `network`, do."""
        return {
            "kept_at": self.steps,
            "held_out_pixels": len(self._targets),
            "held_out_loss": self._curve[-1],
            "held_out_agreement": self._head.agreement(self.outputs(network), self._targets),
        }


def copied(network: PixelMLPs) -> dict[str, Tensor]:
    """All of a network's numbers, which stay when it goes on."""
    return {key: value.clone() for key, value in network.state_dict().items()}


def chosen(where: Tensor, yes: dict[str, Tensor], no: dict[str, Tensor]) -> dict[str, Tensor]:
    """Member by member: `yes` for those that are true in `where` [M], else `no`."""
    return {key: torch.where(where[:, None, None], yes[key], no[key]) for key in yes}
