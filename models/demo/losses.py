"""Losses of the demo training, as pure functions; images are float32 [N, 3, H, W] in [-1, 1]."""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.demo.features import RandomFeatures


def edge_distance(images: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring-pixel differences, both axes; a scalar."""
    rows = (images.diff(dim=2) - targets.diff(dim=2)).abs().mean()
    columns = (images.diff(dim=3) - targets.diff(dim=3)).abs().mean()
    return rows + columns


def regression(images: Tensor, targets: Tensor, features: RandomFeatures) -> Tensor:
    """How far images are from the renders they should be; a scalar.

    L1 and edge distance at full, half and quarter size (edges, eyes and mouths are few pixels
    and drown in plain L1), and the distance of fixed random features, which charges for blur.
    """
    total = torch.zeros(())
    x, y = images, targets
    for _ in range(3):
        total = total + F.l1_loss(x, y) + edge_distance(x, y)
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    with torch.no_grad():
        wanted = features.maps(targets)
    for found, want in zip(features.maps(images), wanted, strict=True):
        total = total + 0.5 * F.l1_loss(found, want)
    return total


def small_distance(images: Tensor, targets: Tensor) -> Tensor:
    """L1 at 16 pixels, for each image: [N]. Sizes may differ."""
    small = [F.adaptive_avg_pool2d(some, 16) for some in (images, targets)]
    return (small[0] - small[1]).abs().mean(dim=(1, 2, 3))


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
