"""The search of an inversion: Adam on codes in W+, from a start (HandsOff, section 3.1).

It lowers, for every image alone,

    L(u) = a * distance(G(ws), x) + b * MSE(G(ws), x) + c * MSE(u, u_start)

with images in [0, 1], u the coordinates of ws in a `latent_spaces.Space`, and means in all terms.
For the first steps, `joint_share` of them, one offset moves all layers together; then each layer
has its own. Layers that part late stay near W, where the generator was trained: what the features
mean, and so the labels learnt on them, holds for samples too.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from models.configs import InversionConfig
from models.latent_spaces import Space
from models.perceptual import Distance, reduced
from models.stylegan2.networks import Generator


@dataclass(frozen=True)
class Terms:
    """What the images of some codes are like: float32 [N] each, and the images.

    Attributes:
        distance: to the wanted images.
        mse: to the wanted images, in [0, 1].
        images: float32 [N, 3, H, W].
    """

    distance: Tensor
    mse: Tensor
    images: Tensor


@dataclass(frozen=True)
class Objective:
    """Images to be reconstructed.

    Attributes:
        generator: what draws.
        images: float32 [N, 3, H, W] in [-1, 1].
        targets: of the images, from `distance`.
        distance: how images are compared.
        config: weights of the terms.
    """

    generator: Generator
    images: Tensor
    targets: list[Tensor]
    distance: Distance
    config: InversionConfig

    def terms(self, ws: Tensor) -> Terms:
        """How near the images of ws float32 [N, num_ws, w_dim] are."""
        images = self.generator.synthesize(ws)
        difference = reduced(images) - reduced(self.images)
        return Terms(
            distance=self.distance(images, self.targets),
            mse=(difference / 2).square().mean(dim=(1, 2, 3)),
            images=images,
        )

    def fidelity(self, terms: Terms) -> Tensor:
        """The loss without the latent term, float32 [N]: what decides which codes are best."""
        return self.config.distance_weight * terms.distance + self.config.mse_weight * terms.mse


def learning_rate(step: int, steps: int, plateau: float) -> float:
    """The authors' schedule at t = step / steps: warm-up over 5 %, cosine to 0 over the last 25 %.

    plateau * min(1, t / 0.05) * (0.5 - 0.5 cos(pi min(1, (1 - t) / 0.25)))
    """
    t = step / steps
    return plateau * min(1, t / 0.05) * (0.5 - 0.5 * math.cos(math.pi * min(1, (1 - t) / 0.25)))


def search(
    objective: Objective, start: Tensor, space: Space, tell: Callable[[int], None]
) -> Tensor:
    """Codes whose images are the objective's.

    Args:
        objective: what is wanted.
        start: float32 [N, num_ws, w_dim].
        space: where the search moves.
        tell: called with every step done.

    Returns:
        float32 [N, num_ws, w_dim]: the best iterate of each image; in paper mode the last.
    """
    config = objective.config
    if config.steps <= 1:
        return start
    joint = round(config.joint_share * config.steps)
    run = _Run(objective, space, space.of(start), _Best(start), tell)
    u = run.moved(run.start, 1, range(1, min(joint + 1, config.steps)))
    u = run.moved(u, start.shape[1], range(joint + 1, config.steps))
    return run.best_of(u)


class _Best:
    """The best codes of each image so far."""

    def __init__(self, start: Tensor) -> None:
        self.ws = start
        self.fidelity = start.new_full((len(start),), math.inf)

    def see(self, ws: Tensor, fidelity: Tensor) -> None:
        better = fidelity.detach() < self.fidelity
        self.ws = torch.where(better[:, None, None], ws.detach(), self.ws)
        self.fidelity = torch.where(better, fidelity.detach(), self.fidelity)


@dataclass(frozen=True)
class _Run:
    """One search; every N-long result stays on the device until its end."""

    objective: Objective
    space: Space
    start: Tensor
    best: _Best
    tell: Callable[[int], None]

    def moved(self, u: Tensor, layers: int, steps: range) -> Tensor:
        """Adam from u [N, num_ws, w_dim] on, with an offset for all layers or one for each."""
        config = self.objective.config
        offset = u.new_zeros(len(u), layers, u.shape[2], requires_grad=True)
        adam = torch.optim.Adam([offset])
        for step in steps:
            (offset.grad,) = torch.autograd.grad(self._loss(u + offset), offset)
            adam.param_groups[0]["lr"] = learning_rate(step, config.steps, config.learning_rate)
            adam.step()
            self.tell(step)
        return u + offset.detach()

    def _loss(self, u: Tensor) -> Tensor:
        ws = self.space.to_w(u)
        objective = self.objective
        fidelity = objective.fidelity(objective.terms(ws))
        self.best.see(ws, fidelity)
        latent = (u - self.start).square().mean(dim=(1, 2))
        return (fidelity + objective.config.latent_weight * latent).sum()

    @torch.no_grad()
    def best_of(self, u: Tensor) -> Tensor:
        """The codes at u, or better ones seen before them where such are wanted."""
        last = self.space.to_w(u)
        if self.objective.config.mode == "default":
            self.best.see(last, self.objective.fidelity(self.objective.terms(last)))
            last = self.best.ws
        return last
