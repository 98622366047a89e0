"""Segmentation: a class per pixel, learnt by cross-entropy, decided by vote (HandsOff, 3.2-3.3)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from models.data.resampling import nearest
from models.data.tiny_classes import without_tiny_classes
from models.heads.base import (
    UNLABELLED,
    Decision,
    Finished,
    Learnt,
    Likeness,
    Size,
    Vote,
    image_scores,
)
from models.labels import SegmentationSpec
from models.metrics.segmentation import confusion_matrix, mean_iou, per_class_iou


class SegmentationHead:
    """K = number of classes; a member's outputs are logits. J = 1, the class id."""

    def __init__(self, spec: SegmentationSpec, learnt: Learnt) -> None:
        self._spec = spec
        self.learnt = learnt

    same = 0.02
    fewest_steps = 400
    votes = True

    @property
    def outputs(self) -> int:
        """K, the number of classes."""
        return len(self._spec.classes)

    def fitted(self, labels: Sequence[NDArray[Any]]) -> "SegmentationHead":  # noqa: ARG002
        """This head: classes need nothing but their names."""
        return self

    def cleaned(self, label: NDArray[Any], size: Size) -> NDArray[Any]:
        """The mask at `size`, whose tiny classes became background."""
        return without_tiny_classes(nearest(label, size), self._spec)

    def targets(
        self,
        label: NDArray[Any],
        size: Size,
        image: Size | None = None,  # noqa: ARG002
    ) -> Tensor:
        """Class ids uint8 [h, w] -> int64 [H * W], nearest neighbour; UNLABELLED where ignored."""
        resized = nearest(label, size).astype(np.int64)
        if self._spec.ignore_index is not None:
            resized[resized == self._spec.ignore_index] = UNLABELLED
        return torch.from_numpy(resized.reshape(-1))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of each member: logits [M, P, K], ids [M, P] -> [M]."""
        return F.cross_entropy(outputs.mT, targets, reduction="none").mean(dim=1)

    def agreement(self, outputs: Tensor, targets: Tensor) -> float:
        """Mean IoU of the soft vote over the classes that occur."""
        labels = self.decide(outputs, Vote.SOFT).values[:, 0]
        confusion = confusion_matrix(labels.cpu().numpy(), targets.cpu().numpy(), self.outputs)
        return mean_iou(confusion, absent="skip")

    def decide(self, outputs: Tensor, vote: Vote) -> Decision:
        """Labels uint8 [P, 1] and Jensen-Shannon uncertainty of logits [M, P, K].

        SOFT takes the class of the highest mean probability, HARD the one most members prefer;
        among equals the lowest id wins, in both.
        """
        # A few classes side by side in memory are slow to sum; pixels side by side are not.
        log_p = F.log_softmax(outputs.mT.contiguous(), dim=1).mT
        p = log_p.exp()
        mean = _mean(p)
        if vote is Vote.HARD:
            preferred = F.one_hot(outputs.argmax(dim=-1), self.outputs)  # [M, P, K]
            labels = preferred.sum(dim=0).argmax(dim=-1)
        else:
            labels = mean.argmax(dim=-1)
        return Decision(labels.to(torch.uint8)[:, None], jensen_shannon(p, log_p, mean))

    def finish(self, values: Tensor, uncertainty: Tensor) -> Finished:
        """Masks uint8 [N, H, W]; the score is the mean of the most uncertain tenth."""
        return Finished(values[..., 0], image_scores(uncertainty))

    def compare(
        self, predicted: NDArray[Any], label: NDArray[Any], size: Size, image: Size | None = None
    ) -> Likeness:
        """1 - mean IoU over the classes that are in either mask [H, W]; the IoU of each."""
        real = self.targets(label, size, image).numpy().reshape(size)
        confusion = confusion_matrix(predicted, real, self.outputs)
        named = zip(self._spec.classes, per_class_iou(confusion).tolist(), strict=True)
        iou = {name: None if math.isnan(value) else value for name, value in named}
        mean = mean_iou(confusion, absent="skip")
        return Likeness(1 - mean, {"miou": None if math.isnan(mean) else mean, "iou": iou})

    def brightest(self, members: int) -> float:
        """As far as so many members can disagree."""
        return math.log(max(2, min(members, self.outputs)))


def _mean(p: Tensor) -> Tensor:
    """Probabilities float32 [M, P, K] -> their mean over the members, float32 [P, K].

    In double precision the sum is exact, so that equal votes stay equal in any order; member
    after member takes a third of the time of a reduction that converts.
    """
    total = p[0].double()
    for one in p[1:]:
        total += one
    return (total / len(p)).float()


def jensen_shannon(p: Tensor, log_p: Tensor, mean: Tensor) -> Tensor:
    """Disagreement of M distributions: H(mean of p_m) - mean of H(p_m), natural logarithm.

    Args:
        p: float32 [M, P, K], probabilities.
        log_p: float32 [M, P, K], their logarithms.
        mean: float32 [P, K], the mean of p over M.

    Returns:
        float32 [P] in [0, min(ln M, ln K)].
    """
    of_mean = -torch.xlogy(mean, mean).sum(dim=-1)
    mean_of = -(p * log_p).sum(dim=-1).mean(dim=0)
    return (of_mean - mean_of).clamp(min=0)
