"""The judge of a dataset: a segmentation network trained on it and tested on real pictures.

The recipe is one for real and generated data, and strong where pictures are few: random views,
mirrors and colours of each. The checkpoint is chosen on validation pictures (HandsOff, 4.1).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from models.augmentation import Strength, augmented
from models.configs import Recipe
from models.errors import TrainingImpossible
from models.heads.segmentation import nearest
from models.labels import SegmentationSpec
from models.metrics.segmentation import confusion_matrix, mean_iou
from models.progress import Report
from models.seeding import philox
from models.segmenter import Segmenter

_CHECKS = 10
_IGNORED = 255


@dataclass(frozen=True)
class LabelledImages:
    """Pictures uint8 [H, W, 3] with masks uint8 [H, W] of class ids; sizes may differ."""

    images: Sequence[np.ndarray]
    masks: Sequence[np.ndarray]


@dataclass(frozen=True)
class Judgement:
    """How the network did.

    Attributes:
        confusion: int64 [K, K] on the test pictures, rows true, columns predicted.
        validation_miou: of the checkpoint that was kept.
        best_step: when that was.
        seconds: for training and testing.
    """

    confusion: np.ndarray
    validation_miou: float
    best_step: int
    seconds: float


def judge(
    train: LabelledImages,
    validation: LabelledImages,
    test: LabelledImages,
    spec: SegmentationSpec,
    recipe: Recipe,
    device: torch.device,
    report: Report,
) -> Judgement:
    """Train on `train`, choose the checkpoint on `validation`, test on `test`.

    All pictures are resized to the size of the first one trained on (at most
    `recipe.longest_side`); what is predicted is judged at each test mask's own size.
    """
    began = time.perf_counter()
    _check(train, spec, recipe)
    size = _working_size(train.images[0].shape, recipe.longest_side)
    network, best_step, validation_miou = _trained(
        _Stack.of(train, size, spec, device),
        _Exam(validation, size, spec, device),
        spec,
        recipe,
        report,
    )
    confusion = _Exam(test, size, spec, device).confusion(network)
    return Judgement(confusion, validation_miou, best_step, time.perf_counter() - began)


def _check(train: LabelledImages, spec: SegmentationSpec, recipe: Recipe) -> None:
    """Refuse what cannot be trained."""
    if not train.images:
        raise TrainingImpossible("there are no images to train on")
    for pair in recipe.flip_pairs:
        if max(pair) >= len(spec.classes) or min(pair) < 0:
            raise TrainingImpossible(
                f"flip_pairs has {list(pair)}; class ids are 0 to {len(spec.classes) - 1}"
            )


def _trained(
    data: "_Stack", exam: "_Exam", spec: SegmentationSpec, recipe: Recipe, report: Report
) -> tuple[Segmenter, int, float]:
    """The network at its best checkpoint, when that was, and its validation mIOU."""
    network = _untrained(len(spec.classes), recipe).to(data.images.device)
    adam = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        adam, recipe.learning_rate, recipe.steps + 1, pct_start=0.05, cycle_momentum=False
    )
    best, best_step, highest = network.state_dict(), 0, -1.0
    every = max(1, recipe.steps // _CHECKS)
    for step in range(1, recipe.steps + 1):
        images, masks = data.batch(recipe, step)
        network.train()
        loss = F.cross_entropy(network(images), masks, ignore_index=_IGNORED)
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        rate.step()
        if step % every == 0 or step == recipe.steps:
            report("training", step, recipe.steps, "steps")
            miou = mean_iou(exam.confusion(network))
            if miou > highest:
                best = {k: v.clone() for k, v in network.state_dict().items()}
                best_step, highest = step, miou
    network.load_state_dict(best)
    return network, best_step, highest


def _untrained(classes: int, recipe: Recipe) -> Segmenter:
    """A network whose initial weights follow from the recipe's seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(philox(recipe.seed, "weights").integers(2**63)))
        return Segmenter(classes, recipe.width)


@dataclass(frozen=True)
class _Stack:
    """Pictures of one size: uint8 [N, 3, H, W] and their masks uint8 [N, H, W]."""

    images: Tensor
    masks: Tensor

    @classmethod
    def of(
        cls,
        data: LabelledImages,
        size: tuple[int, int],
        spec: SegmentationSpec,
        device: torch.device,
    ) -> "_Stack":
        """All of `data`, resized; pixels to be ignored become `_IGNORED`."""
        images = np.stack([_resized(image, size) for image in data.images])
        masks = np.stack([nearest(mask, size) for mask in data.masks])
        if spec.ignore_index is not None:
            masks[masks == spec.ignore_index] = _IGNORED
        return cls(
            torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(device),
            torch.from_numpy(masks).to(device),
        )

    def batch(self, recipe: Recipe, step: int) -> tuple[Tensor, Tensor]:
        """Augmented pictures float32 [B, 3, H, W] and masks int64 [B, H, W] of a step."""
        stream = philox(recipe.seed, "batch", step)
        chosen = torch.from_numpy(stream.integers(len(self.images), size=recipe.batch))
        chosen = chosen.to(self.images.device)
        pairs = recipe.flip_pairs if recipe.flip else None
        images, masks = _as_float(self.images[chosen]), self.masks[chosen].long()
        return augmented(images, masks, stream, Strength(), pairs)


class _Exam:
    """Pictures to be tested on, and the masks their predictions are held against."""

    def __init__(
        self,
        data: LabelledImages,
        size: tuple[int, int],
        spec: SegmentationSpec,
        device: torch.device,
    ) -> None:
        self._images = [_resized(image, size) for image in data.images]
        self._masks = data.masks
        self._spec = spec
        self._device = device

    @torch.no_grad()
    def confusion(self, network: Segmenter, together: int = 32) -> np.ndarray:
        """Confusion matrix int64 [K, K] over all pictures, each at its mask's own size."""
        network.eval()
        classes = len(self._spec.classes)
        total = np.zeros((classes, classes), dtype=np.int64)
        for first in range(0, len(self._images), together):
            stacked = np.stack(self._images[first : first + together])
            pixels = torch.from_numpy(stacked).permute(0, 3, 1, 2).to(self._device)
            logits = network(_as_float(pixels))
            for one, mask in zip(logits, self._masks[first : first + together], strict=True):
                predicted = _at_size(one, mask.shape).argmax(dim=0).cpu().numpy()
                total += confusion_matrix(predicted, mask, classes, self._spec.ignore_index)
        return total


def _working_size(shape: Sequence[int], longest_side: int) -> tuple[int, int]:
    """(H, W) of pictures [H, W, 3] as the network sees them."""
    factor = min(1.0, longest_side / max(shape[:2]))
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 [h, w, 3] -> [H, W, 3], with antialiasing."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _at_size(logits: Tensor, size: Sequence[int]) -> Tensor:
    """[K, h, w] -> [K, H, W], bilinear."""
    if tuple(logits.shape[1:]) == tuple(size):
        return logits
    return F.interpolate(logits[None], tuple(size), mode="bilinear", align_corners=False)[0]


def _as_float(pixels: Tensor) -> Tensor:
    """uint8 0..255 -> float32 [-1, 1]."""
    return pixels.float() / 127.5 - 1
