"""Random changes of labelled pictures that leave the label right: the same for real and generated.

One transform a picture moves its pixels and its label, each kind by its own rule. All numbers of
a batch are drawn at once from one numpy stream, so that a seed decides them on every device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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

    def settled(self) -> "Strength":
        """The same colours and noise, but pictures stay where they are; mirrors are no movement.

        A moved picture is resampled, so its borders are soft, and its label's are soft with it.
        """
        return replace(self, zoom=1.0, turn=0.0, shift=0.0, squeeze=1.0)


Pairs = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Movement:
    """Where the pictures of a batch have gone.

    Attributes:
        matrix: float32 [N, 2, 3], from a place (x, y, 1) of the changed picture to (x, y) of the
            given one; both reach from -1 to 1, edge to edge.
        size: (H, W) of the pictures.
        mirrored: bool [N].
        flip_pairs: ids that change places in a mirror.
    """

    matrix: Tensor
    size: tuple[int, int]
    mirrored: Tensor
    flip_pairs: Pairs

    def seen(self, pictures: Tensor, mode: str) -> Tensor:
        """float32 [N, C, H, W] as the changed pictures show them; beyond the border by reflection.

        `mode` is torch's: bilinear or nearest.
        """
        grid = F.affine_grid(self.matrix, list(pictures.shape), align_corners=False)
        return F.grid_sample(pictures, grid, mode, "reflection", align_corners=False)

    def exchanged(self, ids: int) -> Tensor:
        """The id that each of `ids` many has become, int64 [N, ids]: its pair's in a mirror."""
        kept = torch.arange(ids, device=self.mirrored.device)
        table = kept.clone()
        for one, other in self.flip_pairs:
            table[one], table[other] = other, one
        return torch.where(self.mirrored[:, None], table, kept)


def moved_masks(masks: Tensor, movement: Movement) -> Tensor:
    """Class ids [N, H, W], below 256, of any integer type -> int64 [N, H, W]; the nearest's."""
    labels = movement.seen(masks[:, None].float(), "nearest").long()
    return movement.exchanged(256).gather(1, labels.flatten(1)).view(masks.shape)


def moved_points(points: Tensor, movement: Movement) -> Tensor:
    """Points float32 [N, K, 3] of (row, column, visibility), in pixels, pairs exchanged.

    One that was not labelled, or is no longer on the picture, becomes (0, 0, 0).
    """
    size = points.new_tensor(movement.size)
    places = ((2 * points[..., :2] + 1) / size - 1).flip(-1)  # [N, K, 2], (x, y) from -1 to 1
    linear, offset = movement.matrix[..., :2], movement.matrix[:, None, :, 2]
    found = torch.linalg.solve(linear, (places - offset).mT).mT.flip(-1)
    inside = ((found >= -1) & (found < 1)).all(-1, keepdim=True) & (points[..., 2:] > 0)
    moved = torch.cat([((found + 1) * size - 1) / 2, points[..., 2:]], dim=-1)
    order = movement.exchanged(points.shape[1])[..., None].expand_as(points)
    return torch.where(inside, moved, 0.0).gather(1, order)


def moved_depth(depth: Tensor, movement: Movement) -> Tensor:
    """Depth float32 [N, H, W], NaN for none, between those neighbours that have one.

    None where the nearest pixel has none. Distances stay as they are, also in a zoomed picture.
    """
    known = depth.isfinite()
    both = torch.stack([depth.where(known, 0.0), known.float()], dim=1)
    total, weight = movement.seen(both, "bilinear").unbind(1)
    nearest = movement.seen(both[:, 1:], "nearest")[:, 0] > 0
    # Where the nearest pixel has a depth, the weights are a quarter at least.
    return torch.where(nearest & (weight > 0), total / weight, torch.nan)


def augmented(
    images: Tensor,
    labels: Tensor,
    stream: np.random.Generator,
    strength: Strength,
    flip_pairs: Pairs | None,
    move: Callable[[Tensor, Movement], Tensor] = moved_masks,
) -> tuple[Tensor, Tensor]:
    """A changed copy of each picture.

    Args:
        images: float32 [N, 3, H, W] in [-1, 1].
        labels: their labels, masks int64 [N, H, W] or whatever `move` knows.
        stream: where all randomness comes from.
        strength: how far.
        flip_pairs: ids that change places in a mirror; None never mirrors.
        move: takes the labels where the pictures go.

    Returns:
        the same shapes and dtypes; what lies outside is filled by reflection, in both alike.
    """
    n, size = len(images), (images.shape[2], images.shape[3])
    mirrored = stream.random(n) < (0.5 if flip_pairs is not None else 0.0)
    matrix = _affine(n, size, mirrored, stream, strength).to(images.device)
    sides = torch.from_numpy(mirrored).to(images.device)
    movement = Movement(matrix, size, sides, flip_pairs or ())
    moved = movement.seen(images, "bilinear")
    return _recoloured(moved, stream, strength), move(labels, movement)


def _affine(
    n: int,
    size: tuple[int, int],
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
