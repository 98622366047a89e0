"""Points, learnt as heat maps and judged by how many are found near enough to where they are.

A point counts where it is labelled: seen, or hidden and labelled all the same. Near enough is a
share of the picture's longer side, so that no box or pair of eyes must be known.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.augmentation import Movement, moved_points
from models.configs import Recipe
from models.data.fitting.affine import moved, stretch
from models.data.fitting.canvas import whole_box
from models.downstream.base import Figures, LabelledImages
from models.downstream.resizing import label_at
from models.heatmaps import gaussians, peaks
from models.labels import KeypointsSpec
from models.metrics.keypoints import pck

_ALPHAS = (0.1, 0.05, 0.02)
_SIGMA = 0.02
"""Of the Gaussian to be learnt, as a share of the picture's longer side: the finest threshold."""


@dataclass(frozen=True)
class Found:
    """The points of one picture.

    Attributes:
        predicted: float64 [K, 2] of (row, column) in its pixels.
        true: float32 [K, 3], its label.
        longer_side: in pixels.
    """

    predicted: np.ndarray
    true: np.ndarray
    longer_side: int


class KeypointsTask:
    """K = number of points; outputs are logits of where each is, over the pixels of a picture."""

    chosen_by = "pck_0.05"
    settled_shares = (0.0, 0.0)

    def __init__(self, spec: KeypointsSpec, _recipe: Recipe, _train: LabelledImages) -> None:
        self.flip_pairs = spec.flip_pairs
        self._spec = spec

    @property
    def outputs(self) -> int:
        """K, the number of points."""
        return len(self._spec.names)

    def says_something(self, label: np.ndarray) -> bool:
        """Whether any point is labelled."""
        return bool((label[:, 2] > 0).any())

    def stacked(self, data: LabelledImages, size: tuple[int, int]) -> Tensor:
        """float32 [N, K, 3]; zeros for points that are not labelled."""
        pairs = zip(data.labels, data.images, strict=True)
        points = [label_at(p[:, :3], self._spec, (i.shape[0], i.shape[1]), size) for p, i in pairs]
        return torch.from_numpy(np.stack(points).astype(np.float32))

    def moved(self, labels: Tensor, movement: Movement) -> Tensor:
        """float32 [N, K, 3]; zeros also for points that left the picture."""
        return moved_points(labels, movement)

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy, over labelled points, between where a point is and a Gaussian."""
        size = (outputs.shape[2], outputs.shape[3])
        wanted = gaussians(labels, size, _SIGMA * max(size)).flatten(2)  # [N, K, H * W]
        wanted = wanted / wanted.sum(dim=-1, keepdim=True).clamp(min=1e-12)
        surprise = -(wanted * F.log_softmax(outputs.flatten(2), dim=-1)).sum(dim=-1)
        return surprise.sum() / (labels[..., 2] > 0).sum().clamp(min=1)

    def finding(self, outputs: Tensor, label: np.ndarray, size: tuple[int, int]) -> Found:
        """The places of the highest probability, in the picture's own pixels."""
        seen = (outputs.shape[1], outputs.shape[2])
        maps = F.softmax(outputs.flatten(1), dim=-1).view_as(outputs)
        places = peaks(maps[None])[0, :, :2].cpu().numpy()
        matrix = stretch(whole_box(seen), whole_box(size))
        return Found(moved(matrix, places), label, max(size))

    def figures(self, findings: Sequence[Found]) -> Figures:
        """PCK of all labelled points at three thresholds, and at 0.05 of each point by name."""
        predicted = np.stack([found.predicted for found in findings])
        true = np.stack([found.true for found in findings])
        is_labelled, sides = true[..., 2] > 0, np.array([found.longer_side for found in findings])

        def share(points: slice, alpha: float) -> float:
            places = predicted[:, points], true[:, points, :2]
            return pck(*places, is_labelled[:, points], sides, alpha)

        each = {name: share(slice(k, k + 1), 0.05) for k, name in enumerate(self._spec.names)}
        return {
            **{f"pck_{alpha}": share(slice(None), alpha) for alpha in _ALPHAS},
            "per_point_pck_0.05": {name: None if p != p else p for name, p in each.items()},
        }

    def score(self, figures: Figures) -> tuple[float, ...]:
        """PCK-0.05, and between equals the finer one."""
        return figures["pck_0.05"], figures["pck_0.02"]
