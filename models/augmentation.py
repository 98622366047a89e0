"""Random changes of labelled pictures that leave the label right: the same for real and generated.

All numbers of a batch are drawn at once from one numpy stream, so that a seed decides them
on every device.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Strength:
    """How far a picture is changed.

    Attributes:
        zoom: scale between 1 / zoom and zoom.
        turn: radians to either side.
        shift: of the picture's size, to every side.
        squeeze: of height against width, between 1 / squeeze and squeeze.
        colour: strength of the random colour mix, 0 for none.
        noise: standard deviation of pixel noise at most, pictures in [-1, 1].
    """

    zoom: float = 1.25
    turn: float = 0.3
    shift: float = 0.12
    squeeze: float = 1.12
    colour: float = 0.6
    noise: float = 0.08


def augmented(
    images: Tensor,
    masks: Tensor,
    stream: np.random.Generator,
    strength: Strength,
    flip_pairs: Sequence[tuple[int, int]] | None,
) -> tuple[Tensor, Tensor]:
    """A changed copy of each picture.

    Args:
        images: float32 [N, 3, H, W] in [-1, 1].
        masks: int64 [N, H, W] of class ids.
        stream: where all randomness comes from.
        strength: how far.
        flip_pairs: classes that change places in a mirror; None never mirrors.

    Returns:
        the same shapes and dtypes; what lies outside is filled by reflection, in both alike.
    """
    n = len(images)
    mirrored = stream.random(n) < (0.5 if flip_pairs is not None else 0.0)
    matrix = _affine(n, images.shape[2:], mirrored, stream, strength).to(images.device)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, "bilinear", "reflection", align_corners=False)
    labels = F.grid_sample(
        masks[:, None].float(), grid, "nearest", "reflection", align_corners=False
    )
    swapped = _swapped(labels[:, 0].long(), mirrored, flip_pairs or ())
    return _recoloured(moved, stream, strength), swapped


def _affine(
    n: int,
    size: Sequence[int],
    mirrored: np.ndarray,
    stream: np.random.Generator,
    strength: Strength,
) -> Tensor:
    """float32 [N, 2, 3]: where each changed picture looks in the given one."""
    height, width = size
    angle = stream.uniform(-strength.turn, strength.turn, n)
    scale = np.exp(stream.uniform(-1, 1, n) * np.log(strength.zoom))
    squeeze = np.exp(stream.uniform(-0.5, 0.5, n) * np.log(strength.squeeze))
    across = np.where(mirrored, -1, 1) * scale * squeeze
    down = scale / squeeze
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix = np.zeros((n, 2, 3))
    matrix[:, 0, 0], matrix[:, 0, 1] = across * cosine, down * sine * height / width
    matrix[:, 1, 0], matrix[:, 1, 1] = -across * sine * width / height, down * cosine
    matrix[:, :, 2] = stream.uniform(-2 * strength.shift, 2 * strength.shift, (n, 2))
    return torch.from_numpy(matrix.astype(np.float32))


def _swapped(masks: Tensor, mirrored: np.ndarray, flip_pairs: Sequence[tuple[int, int]]) -> Tensor:
    """Masks [N, H, W] with the classes of each pair exchanged where the picture was mirrored."""
    table = torch.arange(256, device=masks.device)
    for one, other in flip_pairs:
        table[one], table[other] = other, one
    where = torch.from_numpy(mirrored).to(masks.device)[:, None, None]
    return torch.where(where, table[masks], masks)


def _recoloured(images: Tensor, stream: np.random.Generator, strength: Strength) -> Tensor:
    """Each picture through a colour matrix and an offset of its own, with noise."""
    n = len(images)
    mix = np.eye(3) + stream.normal(0, strength.colour / 3, (n, 3, 3))
    mix *= np.exp(stream.normal(0, strength.colour / 3, (n, 1, 1)))
    offset = stream.normal(0, strength.colour / 3, (n, 3, 1, 1))
    deviation = stream.uniform(0, strength.noise, (n, 1, 1, 1))
    noise = stream.standard_normal(images.shape, dtype=np.float32)
    drawn = (mix, offset, deviation, noise)
    m, o, d, e = (torch.from_numpy(a.astype(np.float32)).to(images.device) for a in drawn)
    return torch.einsum("nij,njhw->nihw", m, images) + o + d * e
