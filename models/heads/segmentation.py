"""Segmentation: a class per pixel, learnt by cross-entropy, decided by vote (HandsOff, 3.2-3.3)."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.heads.base import UNLABELLED, Decision, Vote
from models.labels import SegmentationSpec
from models.metrics.segmentation import confusion_matrix, mean_iou


class SegmentationHead:
    """K = number of classes; a member's outputs are logits."""

    def __init__(self, spec: SegmentationSpec) -> None:
        self._spec = spec

    @property
    def outputs(self) -> int:
        """K, the number of classes."""
        return len(self._spec.classes)

    def targets(self, mask: np.ndarray, size: tuple[int, int]) -> Tensor:
        """Class ids uint8 [h, w] -> int64 [H * W], nearest neighbour; UNLABELLED where ignored."""
        resized = nearest(mask, size).astype(np.int64)
        if self._spec.ignore_index is not None:
            resized[resized == self._spec.ignore_index] = UNLABELLED
        return torch.from_numpy(resized.reshape(-1))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of each member: logits [M, P, K], ids [M, P] -> [M]."""
        return F.cross_entropy(outputs.mT, targets, reduction="none").mean(dim=1)

    def agreement(self, outputs: Tensor, targets: Tensor) -> float:
        """Mean IoU of the soft vote over the classes that occur."""
        labels = self.decide(outputs, Vote.SOFT).labels
        confusion = confusion_matrix(labels.cpu().numpy(), targets.cpu().numpy(), self.outputs)
        return mean_iou(confusion, absent="skip")

    def decide(self, outputs: Tensor, vote: Vote) -> Decision:
        """Labels and Jensen-Shannon uncertainty of logits [M, P, K].

        SOFT takes the class of the highest mean probability, HARD the one most members prefer;
        among equals the lowest id wins, in both.
        """
        log_p = F.log_softmax(outputs, dim=-1)
        p = log_p.exp()
        # In double precision the sum is exact, so that equal votes stay equal in any order.
        mean = p.mean(dim=0, dtype=torch.float64).float()  # [P, K]
        if vote is Vote.HARD:
            preferred = F.one_hot(outputs.argmax(dim=-1), self.outputs)  # [M, P, K]
            labels = preferred.sum(dim=0).argmax(dim=-1)
        else:
            labels = mean.argmax(dim=-1)
        return Decision(labels.to(torch.uint8), jensen_shannon(p, log_p, mean))


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


def nearest(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A label image [h, w] at another size [H, W]; each pixel takes what lies at its centre."""
    rows, columns = (
        ((np.arange(out) + 0.5) * length / out).astype(np.intp)
        for out, length in zip(size, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)]


def without_specks(mask: np.ndarray, smallest: float, keep: int | None = None) -> np.ndarray:
    """A mask [H, W] whose classes of fewer than `smallest` pixels became background (id 0).

    The authors do so below 30 pixels at 512 x 512. `keep` (an ignore value) stays.
    """
    ids, counts = np.unique(mask, return_counts=True)
    specks = [i for i, n in zip(ids, counts, strict=True) if n < smallest and i not in (0, keep)]
    return np.where(np.isin(mask, specks), 0, mask).astype(mask.dtype)
