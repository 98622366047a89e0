"""What an encoder's training lowers, as functions of tensors; and when layers begin to part.

    L = l2 * MSE(y, x) + d * distance(y, x) + c * MSE(u, u_x) + m * MSE(u, u_mean) + p * parting(u)

for a picture x, its reconstruction y in [-1, 1], and codes u in whitened coordinates
(`models.latent_spaces`), u_x those of a sample. pSp (Richardson et al., CVPR 2021) sums norms of
codes as they are where we take means in whitened units: the same weights then suit any W.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.configs import EncoderTrainingConfig
from models.perceptual import Distance

PARTING_BEGINS, PARTED = 0.1, 0.3
"""Of the steps: when the first layer parts and when all have. e4e: step 20,000, then one every
2,000, of some 200,000."""


@dataclass(frozen=True)
class Goal:
    """What the codes and reconstructions of some pictures should be.

    Attributes:
        images: float32 [N, 3, H, W] in [-1, 1].
        targets: of the images, from the distance.
        codes: float32 [n, num_ws, w_dim], n <= N, whitened: those of the first n.
        mean: float32 [w_dim], whitened: the mean code.
    """

    images: Tensor
    targets: list[Tensor]
    codes: Tensor
    mean: Tensor


def code_loss(u: Tensor, goal: Goal, config: EncoderTrainingConfig) -> Tensor:
    """The terms that need no picture, of u float32 [N, num_ws, w_dim]."""
    loss = config.w_norm_weight * (u - goal.mean).square().mean()
    if len(goal.codes):
        known = u[: len(goal.codes)]
        loss = loss + config.latent_weight * (known - goal.codes).square().mean()
    if config.progressive:
        loss = loss + config.delta_weight * parting(u)
    return loss


def image_loss(
    images: Tensor, goal: Goal, distance: Distance, config: EncoderTrainingConfig
) -> Tensor:
    """The terms of reconstructions float32 [N, 3, H, W]."""
    loss = config.l2_weight * (images - goal.images).square().mean()
    return loss + config.distance_weight * distance(images, goal.targets).mean()


def parting(u: Tensor) -> Tensor:
    """e4e's regulariser (Tov et al., section 4.1): how far layers are from the first, summed.

    Args:
        u: float32 [N, num_ws, w_dim].
    """
    lengths = torch.linalg.vector_norm(u[:, 1:] - u[:, :1], dim=2)  # [N, num_ws - 1]
    total: Tensor = lengths.mean(dim=0).sum()
    return total


def parted_layers(step: int, config: EncoderTrainingConfig, num_ws: int) -> int | None:
    """How many layers may differ from the first at a step; None for all."""
    if not config.progressive:
        return None
    share = (step / config.steps - PARTING_BEGINS) / (PARTED - PARTING_BEGINS)
    return max(0, min(num_ws - 1, 1 + int(share * (num_ws - 1)) if share >= 0 else 0))
