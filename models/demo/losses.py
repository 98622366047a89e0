"""Losses of the demo training, as pure functions; images are float32 [N, 3, H, W] in [-1, 1]."""

import torch
import torch.nn.functional as F
from torch import Tensor

_CRISPNESS = (12, 3, 1)
"""Weight of edges against colours at full, half and quarter size.

Without it borders come out soft, for a soft one costs little colour; labels of soft borders are
then wrong by whatever lies between the two sides.
"""


def detail_weights(images: Tensor) -> Tensor:
    """How much each pixel counts in the regression, from the picture alone: [N, 1, H, W].

    Eyes, brows and mouths are few pixels, and backgrounds are many, so plain L1 leaves them out.
    Pixels count by the detail around them (colour differences of neighbours, averaged over
    5 x 5 pixels, over the picture's mean) and by their nearness to the middle. No label is read.
    """
    rows = F.pad(images.diff(dim=2).abs().sum(dim=1, keepdim=True), (0, 0, 0, 1))
    columns = F.pad(images.diff(dim=3).abs().sum(dim=1, keepdim=True), (0, 1))
    detail = F.avg_pool2d(rows + columns, 5, stride=1, padding=2)
    detail = detail / (detail.mean(dim=(2, 3), keepdim=True) + 1e-3)
    line = torch.linspace(-1, 1, images.shape[-1])
    middle = torch.exp(-(line[None, :].square() + line[:, None].square()) / 0.65**2)
    return (0.3 + detail) * (0.2 + middle)


def regression(images: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """How far each image is from the render it should be: [N].

    Weighted L1 and squared distance of colours and of edges (differences of neighbours), at
    full, half and quarter size.

    Args:
        images: what was drawn.
        targets: what should have been.
        weights: float32 [N, 1, H, W], positive.
    """
    total = torch.zeros(len(images))
    x, y, w = images, targets, weights / weights.mean(dim=(1, 2, 3), keepdim=True)
    for crispness in _CRISPNESS:
        total = total + _distance(x, y, w)
        edges = _distance(x.diff(dim=2), y.diff(dim=2), w[:, :, 1:])
        edges = edges + _distance(x.diff(dim=3), y.diff(dim=3), w[..., 1:])
        total = total + crispness * edges
        x, y, w = (F.avg_pool2d(some, 2) for some in (x, y, w))
    return total


def _distance(x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of |d| + 2 d^2 for each image: [N]."""
    d = (x - y).abs()
    return (weights * (d + 2 * d.square())).mean(dim=(1, 2, 3))


def generator_loss(fake: Tensor) -> Tensor:
    """Non-saturating loss of the generator from the logits [N] of its images."""
    return F.softplus(-fake).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Logistic loss of the discriminator from logits [N] each."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """R1 of Mescheder et al. (ICML 2018): mean squared gradient at real images, without 1/2.

    Args:
        logits: [N], computed from `images`.
        images: [N, 3, H, W], requiring a gradient.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()
