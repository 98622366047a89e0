"""Keypoints: a heat map per point, learnt by regression, decided at its peak.

No code of the authors for keypoints is public; target, loss and vote are ours (see
models/README.md).

    target   exp(-d^2 / (2 s^2)), d the distance to the point in label pixels and s a share of
             the label's longer side; half as high for a point that is there but hidden
    vote     the peak of the members' mean heat map, between pixels (`models.heatmaps`); its height
             is the point's confidence
    label    2 (seen) from a confidence of `seen` upwards, 1 (hidden) from `present`, else 0
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.data.fitting.affine import moved, stretch
from models.data.fitting.canvas import whole_box
from models.heads.base import (
    Decision,
    Finished,
    Learnt,
    Likeness,
    Size,
    Vote,
    explained,
    mean_of_labelled,
)
from models.heatmaps import gaussians, peaks
from models.labels import KeypointsSpec
from models.metrics.keypoints import pck

DEFAULTS: Learnt = {"sigma": 0.03, "seen": 0.6, "present": 0.2}
"""Width of a target as a share of the longer side, and the two thresholds on confidence.

They are kept with the label generator, where the thresholds can be set anew without training.
Measured on 24 held-out faces of the demo domain, 3 members: PCK-0.02 was 0.83, 0.85 and 0.85 for
sigma 0.02, 0.03 and 0.04; from a confidence of 0.6 upwards are 95 % of the points that can be
seen and 26 % of those that are hidden.
"""

HIDDEN = 0.5
"""Height of a hidden point's target, so that its confidence tells it from one that is seen."""

HOT = 10.0
"""A pixel weighs 1 + HOT * target, for only one in hundreds is near a point.

Measured as above: with 10 instead of 50, 91 % of the held-out heat's variance is explained instead
of 77 %, and points are found as well; with 200 fewer are found (0.75 instead of 0.83, sigma 0.02).
"""

CLOSE = 0.05
"""Of the longer side: predicted points as near as that are told apart from others (PCK)."""

_LEAST_WEIGHT = 1e-4  # So that an image in which no point is found has a score.


class KeypointsHead:
    """K = number of points; a member's outputs are heat in about 0..1. J = M * K, all of it.

    For 20 points, 10 members and 512 x 512 pixels that is 210 MB an image.

    Points of visibility 0 are left out of the loss, hidden ones (1) are learnt like the others.
    Labels that were predicted have a fourth column: float32 [K, 4] of row, column, visibility
    and confidence.
    """

    def __init__(self, spec: KeypointsSpec, learnt: Learnt) -> None:
        self._spec = spec
        self.learnt: Learnt = {**DEFAULTS, **learnt}

    same = 0.005
    fewest_steps = 3000  # Few pixels are near a point: it takes long to see enough of them.
    votes = False

    @property
    def outputs(self) -> int:
        """K, the number of points."""
        return len(self._spec.names)

    def fitted(self, labels: Sequence[NDArray[Any]]) -> "KeypointsHead":  # noqa: ARG002
        """This head: its settings do not depend on the labels."""
        return self

    def cleaned(self, label: NDArray[Any], size: Size) -> NDArray[Any]:  # noqa: ARG002
        """The label itself."""
        return label

    def targets(self, label: NDArray[Any], size: Size, image: Size | None = None) -> Tensor:
        """Points float32 [K, 3] of an image (h, w) -> float32 [H * W, K]; NaN for absent ones."""
        places = _placed(label, size, image)
        points = torch.from_numpy(np.hstack([places, label[:, 2:3]]).astype(np.float32))
        (heat,) = gaussians(points[None], size, self.learnt["sigma"] * max(size))  # [K, H, W]
        height = torch.tensor([torch.nan, HIDDEN, 1.0])[points[:, 2].long()]
        targets: Tensor = (heat.flatten(1) * height[:, None]).mT.contiguous()
        return targets

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Weighted mean square error of each member: [M, P, K] -> [M]."""
        known = targets.nan_to_num()
        return mean_of_labelled((1 + HOT * known) * (outputs - known).square(), targets)

    def agreement(self, outputs: Tensor, targets: Tensor) -> float:
        """Share of the heat's variance that the members' mean explains."""
        return explained(outputs.mean(dim=0), targets)

    def decide(self, outputs: Tensor, vote: Vote) -> Decision:  # noqa: ARG002
        """All members' heat float32 [P, M * K]; of their variances, that of the point most at odds.

        Either vote takes the mean heat map.
        """
        variance = outputs.var(dim=0, correction=0).amax(dim=-1)
        return Decision(outputs.transpose(0, 1).flatten(1), variance)

    def finish(self, values: Tensor, uncertainty: Tensor) -> Finished:  # noqa: ARG002
        """Points float32 [N, K, 4]; the score is how far the members' peaks lie apart.

        For each point that is the root mean square distance of the members' peaks from their
        mean, in units of the longer side. Points are averaged by their confidence: where one is
        not found, nothing is said, so nothing is uncertain.
        """
        n, height, width, _ = values.shape
        maps = values.view(n, height, width, -1, self.outputs).permute(0, 3, 4, 1, 2)
        points = peaks(maps.mean(dim=1))  # [N, K, 3]
        of_members = peaks(maps)[..., :2]  # [N, M, K, 2]
        apart = (of_members - of_members.mean(dim=1, keepdim=True)).square().sum(dim=-1)
        spread = apart.mean(dim=1).sqrt() / max(height, width)  # [N, K]
        weight = points[..., 2].clamp(_LEAST_WEIGHT, 1)
        scores = (weight * spread).sum(dim=1) / weight.sum(dim=1)
        return Finished(self._with_visibility(points), scores)

    def compare(
        self, predicted: NDArray[Any], label: NDArray[Any], size: Size, image: Size | None = None
    ) -> Likeness:
        """Mean distance of the labelled points in shares of the longer side; PCK; each distance.

        A point's place is where it is most likely, also where it counts as not there.
        """
        places, there = _placed(label, size, image), label[:, 2] > 0
        found, side = predicted[:, :2], float(max(size))
        apart = np.where(there, np.linalg.norm(found - places, axis=1) / side, np.nan)
        if not there.any():
            return Likeness(math.nan, {"distance": None, f"pck_{CLOSE}": None, "distances": {}})
        close = pck(found[None], places[None], there[None], np.array([side]), CLOSE)
        named = zip(self._spec.names, apart.tolist(), strict=True)
        distances = {name: None if math.isnan(value) else value for name, value in named}
        mean = float(np.nanmean(apart))
        return Likeness(mean, {"distance": mean, f"pck_{CLOSE}": close, "distances": distances})

    def brightest(self, members: int) -> float:  # noqa: ARG002
        """The variance of heat when a fifth of the members see a peak where the others do not."""
        return 0.16

    def _with_visibility(self, points: Tensor) -> Tensor:
        """(row, column, confidence) [N, K, 3] -> (row, column, visibility, confidence)."""
        places, confidence = points[..., :2], points[..., 2:]
        seen, present = (confidence >= self.learnt[name] for name in ("seen", "present"))
        visibility = torch.where(seen, 2.0, torch.where(present, 1.0, 0.0))
        return torch.cat([places, visibility, confidence], dim=-1)


def _placed(label: NDArray[Any], size: Size, image: Size | None) -> NDArray[Any]:
    """Points [K, 3] of an image (h, w) as they are on labels of `size`: (row, column) [K, 2]."""
    return moved(stretch(whole_box(image or size), whole_box(size)), label[:, :2])
