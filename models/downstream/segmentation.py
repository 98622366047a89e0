"""Masks, learnt by cross-entropy and judged by the intersection over union of each class."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.augmentation import Movement, moved_masks
from models.configs import Recipe
from models.data.resampling import nearest
from models.downstream.base import Figures, LabelledImages
from models.downstream.resizing import outputs_at
from models.errors import TrainingImpossible
from models.labels import SegmentationSpec
from models.metrics.segmentation import confusion_matrix, mean_iou, per_class_iou

_IGNORED = 255


class SegmentationTask:
    """K = number of classes; outputs are logits. A finding is a confusion matrix, int64 [K, K]."""

    chosen_by = "miou"
    settled_shares = (0.0, 0.0)

    def __init__(self, spec: SegmentationSpec, recipe: Recipe, _train: LabelledImages) -> None:
        for pair in recipe.flip_pairs:
            if max(pair) >= len(spec.classes) or min(pair) < 0:
                raise TrainingImpossible(
                    f"flip_pairs has {list(pair)}; class ids are 0 to {len(spec.classes) - 1}"
                )
        self.flip_pairs = recipe.flip_pairs
        self._spec = spec

    @property
    def outputs(self) -> int:
        """K, the number of classes."""
        return len(self._spec.classes)

    def says_something(self, label: np.ndarray) -> bool:
        """Whether any pixel has a class."""
        return bool((label != self._spec.ignore_index).any())

    def stacked(self, data: LabelledImages, size: tuple[int, int]) -> Tensor:
        """Class ids uint8 [N, H, W]; pixels to be ignored become `_IGNORED`."""
        masks = np.stack([nearest(mask, size) for mask in data.labels])
        if self._spec.ignore_index is not None:
            masks[masks == self._spec.ignore_index] = _IGNORED
        return torch.from_numpy(masks)

    def moved(self, labels: Tensor, movement: Movement) -> Tensor:
        """int64 [N, H, W]."""
        return moved_masks(labels, movement)

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy of the pixels that have a class."""
        return F.cross_entropy(outputs, labels, ignore_index=_IGNORED)

    def finding(self, outputs: Tensor, label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Pixels counted at the mask's own size."""
        predicted = outputs_at(outputs, size).argmax(dim=0).cpu().numpy()
        return confusion_matrix(predicted, label, self.outputs, self._spec.ignore_index)

    def figures(self, findings: Sequence[np.ndarray]) -> Figures:
        """mIOU, the IoU of each class (None where it never occurs), and the whole matrix."""
        confusion = np.sum(findings, axis=0)
        by_class = zip(self._spec.classes, per_class_iou(confusion).tolist(), strict=True)
        return {
            "miou": mean_iou(confusion),
            "per_class_iou": {name: None if iou != iou else iou for name, iou in by_class},
            "confusion": confusion.tolist(),
        }

    def score(self, figures: Figures) -> tuple[float, ...]:
        """mIOU."""
        return (figures["miou"],)
