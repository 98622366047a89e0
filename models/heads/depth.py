"""Depth: a distance per pixel, learnt by Huber regression, decided by the mean of the members.

No code of the authors for depth is public; target, loss and vote are ours (see models/README.md).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from models.data.resampling import nearest
from models.errors import TrainingImpossible
from models.heads.base import (
    Decision,
    Finished,
    Learnt,
    Likeness,
    Size,
    Vote,
    explained,
    image_scores,
    mean_of_labelled,
)
from models.labels import DepthSpec
from models.metrics.depth import NEAREST, depth_errors

_UNIT: Learnt = {"mean": 0.0, "deviation": 1.0}


class DepthHead:
    """K = 1: (f(depth) - mean) / deviation, where f is the logarithm if the spec asks for it.

    Mean and deviation are those of f over all valid pixels that are learnt from. J = 1, the
    depth in the spec's unit.
    """

    def __init__(self, spec: DepthSpec, learnt: Learnt) -> None:
        self._spec = spec
        self.learnt: Learnt = {**_UNIT, **learnt}

    outputs = 1
    same = 0.01
    fewest_steps = 400
    votes = False

    def fitted(self, labels: Sequence[NDArray[Any]]) -> "DepthHead":
        """A head that knows mean and deviation of these depth maps [h, w].

        Raises:
            TrainingImpossible: none of their pixels is valid.
        """
        found = [self._function(label.astype(np.float64)) for label in labels]
        values = np.concatenate([f[~np.isnan(f)] for f in found])
        if not values.size:
            limits = f"{self._spec.smallest} to {self._spec.largest} {self._spec.unit}"
            raise TrainingImpossible(f"no pixel has a valid depth, which is {limits}")
        deviation = float(values.std()) or 1.0  # One depth everywhere has no deviation.
        return DepthHead(self._spec, {"mean": float(values.mean()), "deviation": deviation})

    def cleaned(self, label: NDArray[Any], size: Size) -> NDArray[Any]:  # noqa: ARG002
        """The label itself."""
        return label

    def targets(
        self,
        label: NDArray[Any],
        size: Size,
        image: Size | None = None,  # noqa: ARG002
    ) -> Tensor:
        """Depth float [h, w] -> float32 [H * W, 1]; NaN where it is none or out of range.

        Nearest neighbour, for the mean of a near and a far pixel is a place where nothing is.
        """
        learnable = self._function(nearest(label, size).astype(np.float64))
        scaled = (learnable - self.learnt["mean"]) / self.learnt["deviation"]
        return torch.from_numpy(scaled.astype(np.float32).reshape(-1, 1))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean Huber loss of each member, linear beyond one deviation: [M, P, 1] -> [M]."""
        known = targets.nan_to_num()
        return mean_of_labelled(F.huber_loss(outputs, known, reduction="none"), targets)

    def agreement(self, outputs: Tensor, targets: Tensor) -> float:
        """Share of the variance that the members' mean explains."""
        return explained(outputs.mean(dim=0), targets)

    def decide(self, outputs: Tensor, vote: Vote) -> Decision:  # noqa: ARG002
        """Depth float32 [P, 1] and the members' standard deviation, in the training's deviations.

        Either vote takes the mean of what was learnt, clipped to the spec's range.
        """
        learnable = outputs.mean(dim=0) * self.learnt["deviation"] + self.learnt["mean"]
        depth = learnable.exp() if self._spec.log else learnable
        clipped = depth.clamp(self._spec.smallest, self._spec.largest)
        return Decision(clipped, outputs[..., 0].std(dim=0, correction=0))

    def finish(self, values: Tensor, uncertainty: Tensor) -> Finished:
        """Depth maps float32 [N, H, W]; the score is the mean of the most uncertain tenth."""
        return Finished(values[..., 0], image_scores(uncertainty))

    def compare(
        self,
        predicted: NDArray[Any],
        label: NDArray[Any],
        size: Size,
        image: Size | None = None,  # noqa: ARG002
    ) -> Likeness:
        """|p - t| / |t| over all valid pixels; beside it the customary errors."""
        resized = nearest(label, size)
        limits = (max(self._spec.smallest, NEAREST), self._spec.largest)
        true = np.where((resized >= limits[0]) & (resized <= limits[1]), resized, 0)
        if not true.any():
            return Likeness(math.nan, dict.fromkeys(("nmse", "rmse", "abs_rel")))
        errors = depth_errors(predicted[None], true[None], limits)
        return Likeness(math.sqrt(errors["nmse"]), errors)

    def brightest(self, members: int) -> float:  # noqa: ARG002
        """Half of the training depth's deviation."""
        return 0.5

    def _function(self, depth: NDArray[np.float64]) -> NDArray[np.float64]:
        """f(depth), NaN where the depth is none or out of range."""
        valid = (depth >= self._spec.smallest) & (depth <= self._spec.largest)
        kept = np.where(valid, depth, np.nan)
        return np.log(kept) if self._spec.log else kept
