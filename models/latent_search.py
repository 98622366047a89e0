"""The search of an inversion: Adam on codes in W+, from a start (HandsOff, section 3.1).

It lowers, for every image alone,

    L(u) = a * distance(G(ws), x) + b * MSE(G(ws), x) + c * MSE(u, u_start)

with images in [0, 1], u the coordinates of ws in a `latent_spaces.Space`, and means in all terms.
For the first steps, `joint_share` of them, one offset moves all layers together; then each layer
has its own. Layers that part late stay near W, where the generator was trained: what the features
mean, and so the labels learnt on them, holds for samples too.

Where a search stands is a value of its own, and each image has its own place in the schedule. So
images can be searched in any company, a search can be kept and gone on with, and an image whose
fidelity no longer falls can go to the next of its stages: joint, apart, cooling.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from models import noise_maps
from models.configs import InversionConfig
from models.inversion_targets import Wanted
from models.latent_spaces import Space
from models.stylegan2.networks import Generator

COOLING = 0.75
"""Of the schedule, where its last stage begins: the rate falls to 0."""
PLATEAU = 0.02
"""An image whose fidelity falls by a smaller share from one lot of steps to the next is on one."""

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


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
        wanted: the images, and how they are compared.
        config: weights of the terms.
    """

    generator: Generator
    wanted: Wanted
    config: InversionConfig

    def terms(self, ws: Tensor, noise: Tensor | None = None) -> Terms:
        """How near the images of ws float32 [N, num_ws, w_dim] are.

        `noise` float32 [N, S] are offsets of `models.noise_maps`; without them it is the constants.
        """
        if noise is None or not noise.shape[1]:
            images = self.generator.synthesize(ws)
        else:
            images = self.generator.synthesize(ws, noise_maps.maps(self.generator, noise))
        return Terms(self.wanted.distance_to(images), self.wanted.mse_to(images), images)

    def fidelity(self, terms: Terms) -> Tensor:
        """The loss without the latent term, float32 [N]: what decides which codes are best."""
        return self.config.distance_weight * terms.distance + self.config.mse_weight * terms.mse


def learning_rate(step: int, steps: int, plateau: float) -> float:
    """The authors' schedule at t = step / steps: warm-up over 5 %, cosine to 0 over the last 25 %.

    plateau * min(1, t / 0.05) * (0.5 - 0.5 cos(pi min(1, (1 - t) / 0.25)))
    """
    t = step / steps
    fall = 0.5 - 0.5 * math.cos(math.pi * min(1, (1 - t) / (1 - COOLING)))
    return plateau * min(1, t / 0.05) * fall


def autocast(device: torch.device, config: InversionConfig) -> AbstractContextManager[object]:
    """In which the steps compute: bfloat16 where it is asked for and `device` is CUDA."""
    # Its range is float32's: gradients of means over pixels vanish in float16.
    mixed = config.precision == "mixed" and device.type == "cuda"
    return torch.autocast("cuda", dtype=torch.bfloat16, enabled=mixed)


@dataclass(frozen=True)
class Search:
    """Where the searches for the codes of N images stand.

    Attributes:
        start: float32 [N, num_ws, w_dim], codes.
        offset: float32 [N, num_ws, w_dim], how far the coordinates are from the start's.
        momentum, power: float32 [N, num_ws, w_dim], Adam's moments of the gradient.
        noise, noise_momentum, noise_power: float32 [N, S], the same of the noise's offsets; S is 0
            where noise stays as it is.
        best: float32 [N, num_ws, w_dim], the codes with the best fidelity so far.
        fidelity: float32 [N], theirs.
        lowest: float32 [N], fidelity in the last up to `patience` steps of a stage.
        mark: float32 [N], the same of the `patience` steps before those; infinite without any.
        step: int64 [N] on the CPU: steps of the schedule that are done or were jumped.
        count: int64 [N] on the CPU: steps of Adam since its moments were 0.
        taken: int64 [N] on the CPU: steps taken.
    """

    start: Tensor
    offset: Tensor
    momentum: Tensor
    power: Tensor
    noise: Tensor
    noise_momentum: Tensor
    noise_power: Tensor
    best: Tensor
    fidelity: Tensor
    lowest: Tensor
    mark: Tensor
    step: Tensor
    count: Tensor
    taken: Tensor

    @classmethod
    def begin(cls, start: Tensor, fidelity: Tensor, noise: int = 0) -> "Search":
        """Searches not begun; `start` float32 [N, num_ws, w_dim] and `fidelity` [N] are theirs.

        `noise` is S, the pixels of the noise maps that move.
        """
        still = start.new_zeros(len(start), noise)
        offset, momentum, power = (torch.zeros_like(start) for _ in range(3))
        step, count, taken = (torch.zeros(len(start), dtype=torch.int64) for _ in range(3))
        lowest, mark = (torch.full_like(fidelity, math.inf) for _ in range(2))
        moments, plateau = (offset, momentum, power), (lowest, mark)
        return cls(
            start, *moments, still, still, still, start, fidelity, *plateau, step, count, taken
        )

    def tensors(self) -> dict[str, Tensor]:
        """All of it, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], device: torch.device) -> "Search":
        """The search that these are `tensors` of, computed on `device`."""
        found = {field.name: tensors[field.name] for field in fields(cls)}
        return cls(**{k: t.to(device) if t.is_floating_point() else t for k, t in found.items()})

    @classmethod
    def joined(cls, parts: Sequence["Search"]) -> "Search":
        """The searches of several lots of images, in their order."""
        names = [field.name for field in fields(cls)]
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))

    def at(self, some: Sequence[int]) -> "Search":
        """The searches of some images."""
        return Search(**{name: tensor[list(some)] for name, tensor in self.tensors().items()})

    def put(self, some: Sequence[int], part: "Search") -> "Search":
        """All searches, those of some images as in `part`."""
        whole = {name: tensor.clone() for name, tensor in self.tensors().items()}
        for name, tensor in part.tensors().items():
            whole[name][list(some)] = tensor
        return Search(**whole)

    def unfinished(self, config: InversionConfig) -> list[int]:
        """Which images are to be searched on. The last step's rate is 0: it is not taken."""
        left: list[int] = (self.step < config.steps - 1).nonzero().flatten().tolist()
        return left


def stepped(objective: Objective, space: Space, now: Search) -> Search:
    """One step of N unfinished searches on."""
    config = objective.config
    offset, noise = (some.detach().requires_grad_() for some in (now.offset, now.noise))
    ws = space.to_w(space.of(now.start) + offset)
    with autocast(ws.device, config):
        fidelity = objective.fidelity(objective.terms(ws, noise))
    latent = offset.square().mean(dim=(1, 2))
    loss = fidelity + config.latent_weight * latent
    if noise.shape[1]:
        loss = loss + config.noise_weight * noise.square().mean(dim=1)
    both = (offset, noise)
    gradient, of_noise = torch.autograd.grad(loss.sum(), both, materialize_grads=True)
    with torch.no_grad():
        better = fidelity < now.fidelity
        found = _moved(now, gradient, of_noise, config)
        found["best"] = torch.where(better[:, None, None], ws, now.best)
        found["fidelity"] = torch.where(better, fidelity, now.fidelity)
        found["lowest"] = torch.minimum(fidelity, now.lowest)
        return _jumped(Search(**{**now.tensors(), **found}), config)


def _moved(
    now: Search, gradient: Tensor, noise_gradient: Tensor, config: InversionConfig
) -> dict[str, Tensor]:
    """What Adam makes of a step: it begins anew where layers part."""
    joint = _joint_steps(config)
    count = torch.where(now.step == joint, 0, now.count) + 1
    plateau = config.learning_rate
    assert plateau is not None, "a search has its start, and so nothing is open"
    rates = [learning_rate(s + 1, config.steps, plateau) for s in now.step.tolist()]
    together = _column(now.step < joint, gradient).bool()
    gradient = torch.where(together, gradient.sum(dim=1, keepdim=True), gradient)
    moments, noise_moments = (now.momentum, now.power), (now.noise_momentum, now.noise_power)
    step, momentum, power = _adam(gradient, moments, count, rates)
    noise_step, noise_momentum, noise_power = _adam(noise_gradient, noise_moments, count, rates)
    return {
        "offset": now.offset - step,
        "momentum": momentum,
        "power": power,
        "noise": now.noise - noise_step,
        "noise_momentum": noise_momentum,
        "noise_power": noise_power,
        "step": now.step + 1,
        "count": count,
        "taken": now.taken + 1,
    }


def _adam(
    gradient: Tensor, moments: tuple[Tensor, Tensor], count: Tensor, rates: Sequence[float]
) -> tuple[Tensor, Tensor, Tensor]:
    """How far each of N things moves, and the new moments; `count` 1 begins with moments of 0."""
    going_on = _column(count > 1, gradient)
    momentum = (moments[0] * going_on).lerp(gradient, 1 - _BETAS[0])
    power = (moments[1] * going_on).lerp(gradient.square(), 1 - _BETAS[1])
    means = [_column(1 - beta ** count.double(), gradient) for beta in _BETAS]
    direction = momentum / means[0] / ((power / means[1]).sqrt() + _EPSILON)
    return _column(torch.tensor(rates), gradient) * direction, momentum, power


def _jumped(now: Search, config: InversionConfig) -> Search:
    """Images that are on a plateau in their next stage; looked at every `patience` steps."""
    if not config.patience:
        return now
    parting = now.step == _joint_steps(config)
    looked = (now.count % config.patience == 0) & (now.step < _cooling_from(config)) | parting
    if not looked.any():
        return now
    flat = (now.lowest >= (1 - PLATEAU) * now.mark).cpu() & looked & ~parting
    step = _next_stage(now.step, flat, config)
    ended, anew = (some.to(now.mark.device) for some in (looked, flat | parting))
    mark = torch.where(ended, now.lowest, now.mark).masked_fill(anew, math.inf)
    lowest = now.lowest.masked_fill(ended, math.inf)
    return Search(**{**now.tensors(), "lowest": lowest, "mark": mark, "step": step})


def _next_stage(step: Tensor, flat: Tensor, config: InversionConfig) -> Tensor:
    """Steps int64 [N], where `flat` [N] those at which the next stage begins."""
    joint, cooling = _joint_steps(config), _cooling_from(config)
    border = torch.where(step < joint, min(joint, cooling), cooling)
    return torch.where(flat, border, step)


def _joint_steps(config: InversionConfig) -> int:
    """How many steps move all layers together."""
    assert config.joint_share is not None, "a search has its start, and so nothing is open"
    return round(config.joint_share * config.steps)


def _cooling_from(config: InversionConfig) -> int:
    """The last step that is taken at the full rate."""
    return math.floor(COOLING * config.steps)


def _column(values: Tensor, like: Tensor) -> Tensor:
    """One value for each image [N], as [N, 1, …] beside `like`."""
    return values.to(like).view(-1, *[1] * (like.ndim - 1))


@torch.no_grad()
def kept(objective: Objective, space: Space, now: Search) -> Tensor:
    """The codes float32 [N, num_ws, w_dim] that a finished search found.

    The best of each image; in paper mode the last.
    """
    last = space.to_w(space.of(now.start) + now.offset)
    last = torch.where(_column(now.taken > 0, last).bool(), last, now.start)
    if objective.config.mode == "paper":
        return last
    # With noise that moved, the best fidelity was that of an image which codes alone do not draw.
    best = objective.fidelity(objective.terms(now.best)) if now.noise.shape[1] else now.fidelity
    better = objective.fidelity(objective.terms(last)) < best
    return torch.where(better[:, None, None], last, now.best)
