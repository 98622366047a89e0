"""Distances, learnt by regression and judged by how far off they are."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models.augmentation import Movement, Pairs, moved_depth
from models.configs import Recipe
from models.downstream.base import Figures, LabelledImages
from models.downstream.resizing import label_at, outputs_at
from models.labels import DepthSpec
from models.metrics.depth import NEAREST, depth_errors


class DepthTask:
    """One output, the depth or its logarithm. A finding is the errors of one picture by name.

    What is learnt is counted from the mean of the pictures trained on, in units of its spread
    there. A pixel counts where its depth is above 0 and in the spec's range.
    """

    chosen_by = "mnmse"
    flip_pairs: Pairs = ()
    settled_shares = (0.3, 0.7)
    """A moved depth map is blended along borders, where depths jump: what is learnt from such maps
    alone is off there. Few pictures need their views longer (DECISIONS.md, 28)."""
    outputs = 1

    def __init__(self, spec: DepthSpec, _recipe: Recipe, train: LabelledImages) -> None:
        self._spec = spec
        self._mean, self._spread = 0.0, 1.0
        sums = np.zeros(3)  # Of 1, of values and of their squares: all maps at once may be large.
        for depth in train.labels:
            values = self._scaled(torch.from_numpy(depth[self._known(depth)]).double())
            sums += len(values), float(values.sum()), float(values.square().sum())
        count = max(sums[0], 1)
        self._mean = float(sums[1] / count)
        self._spread = max(float(sums[2] / count - self._mean**2), 1e-12) ** 0.5

    def says_something(self, label: np.ndarray) -> bool:
        """Whether any pixel counts."""
        return bool(self._known(label).any())

    def stacked(self, data: LabelledImages, size: tuple[int, int]) -> Tensor:
        """float32 [N, H, W]; NaN where a pixel does not count."""
        clean = (np.where(self._known(depth), depth, np.nan) for depth in data.labels)
        maps = [label_at(depth, self._spec, depth.shape, size) for depth in clean]
        return torch.from_numpy(np.stack(maps).astype(np.float32))

    def moved(self, labels: Tensor, movement: Movement) -> Tensor:
        """float32 [N, H, W]; NaN where there is no depth near enough."""
        return moved_depth(labels, movement)

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean over the pixels that count of the square of the error, in units of the spread."""
        known = labels.isfinite()
        # Chosen before any arithmetic, for what is not a number stays so when multiplied by 0.
        errors = outputs[:, 0][known] - self._scaled(labels[known])
        return errors.square().sum() / max(len(errors), 1)

    def finding(
        self, outputs: Tensor, label: np.ndarray, size: tuple[int, int]
    ) -> dict[str, float]:
        """Errors at the picture's own size, of depths within the spec's range."""
        values = outputs_at(outputs, size)[0] * self._spread + self._mean
        depth = (values.exp() if self._spec.log else values).cpu().numpy()
        smallest, largest = max(self._spec.smallest, NEAREST), self._spec.largest
        true = np.where(self._known(label), label, 0)
        return depth_errors(depth.clip(smallest, largest)[None], true[None], (smallest, largest))

    def figures(self, findings: Sequence[dict[str, float]]) -> Figures:
        """The mean of each error over pictures; that of `nmse` is called `mnmse`."""
        means = {name: float(np.mean([f[name] for f in findings])) for name in findings[0]}
        return {"m" * (name == "nmse") + name: mean for name, mean in means.items()}

    def score(self, figures: Figures) -> tuple[float, ...]:
        """The lower mNMSE, the better."""
        return (-figures["mnmse"],)

    def _known(self, depth: np.ndarray) -> np.ndarray:
        """Which pixels count: bool [H, W]."""
        in_range = (depth >= self._spec.smallest) & (depth <= self._spec.largest)
        known: np.ndarray = in_range & (depth > 0)
        return known

    def _scaled(self, depth: Tensor) -> Tensor:
        """Depths as they are learnt."""
        return ((depth.log() if self._spec.log else depth) - self._mean) / self._spread
