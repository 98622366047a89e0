"""One recipe for every dataset: a small network is trained on it and tested on real pictures.

The recipe is the same for real and generated data, and strong where pictures are few: random
views, mirrors and colours of each. Where a kind's labels suffer from being moved, pictures stay
in place in the last steps (`Strength.settled`). The checkpoint is chosen on validation pictures
(HandsOff, 4.1). What is learnt and what is measured belongs to the kind of label.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.augmentation import Strength, augmented
from models.configs import Recipe
from models.downstream.base import Figures, LabelledImages, Task
from models.downstream.registry import task_of
from models.downstream.resizing import Size, picture_at, working_size
from models.errors import TrainingImpossible
from models.labels import LabelSpec
from models.progress import Report
from models.seeding import philox
from models.segmenter import Segmenter

FEW_PICTURES = 200
"""Up to so many count as few: each is seen hundreds of times, so its random views matter longer."""

_CHECKS = 10


@dataclass(frozen=True)
class Judgement:
    """How the network did.

    Attributes:
        figures: on the test pictures, by name, as the kind of label has them
            (`models.downstream.segmentation` and its siblings).
        validation: the same on the validation pictures, of the checkpoint that was kept.
        chosen_by: the figure it was kept for.
        best_step: when that was.
        seconds: for training and testing.
    """

    figures: Figures
    validation: Figures
    chosen_by: str
    best_step: int
    seconds: float


def judge(
    train: LabelledImages,
    validation: LabelledImages,
    test: LabelledImages,
    spec: LabelSpec,
    recipe: Recipe,
    device: torch.device,
    report: Report,
) -> Judgement:
    """Train on `train`, choose the checkpoint on `validation`, test on `test`.

    All pictures are resized to the size of the first one trained on (at most
    `recipe.longest_side`); what is predicted is judged at each test picture's own size. Pictures
    whose label says nothing are left out of validation and test.

    Raises:
        TrainingImpossible: nothing is labelled in one of the sets, or the recipe does not fit.
    """
    began = time.perf_counter()
    if not train.images:
        raise TrainingImpossible("there are no images to train on")
    task = task_of(spec, recipe, train)
    for name, data in (("train on", train), ("validate on", validation), ("test on", test)):
        if not any(map(task.says_something, data.labels)):
            raise TrainingImpossible(f"nothing is labelled in the images to {name}")
    size = working_size(train.images[0].shape, recipe.longest_side)
    trained = _trained(
        task,
        _Stack.of(train, size, task, device),
        _Exam(validation, size, task, device),
        recipe,
        report,
    )
    figures = _Exam(test, size, task, device).figures(trained.network)
    seconds = time.perf_counter() - began
    return Judgement(figures, trained.figures, task.chosen_by, trained.step, seconds)


@dataclass(frozen=True)
class _Checkpoint:
    """A network, the step it comes from, and its figures on the validation pictures."""

    network: Segmenter
    step: int
    figures: Figures


def _trained(
    task: Task, data: "_Stack", exam: "_Exam", recipe: Recipe, report: Report
) -> _Checkpoint:
    """The network at its best checkpoint."""
    network = _untrained(task.outputs, recipe).to(data.images.device)
    adam = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        adam, recipe.learning_rate, recipe.steps + 1, pct_start=0.05, cycle_momentum=False
    )
    weights, best = network.state_dict(), _Checkpoint(network, 0, {})
    every = max(1, recipe.steps // _CHECKS)
    for step in range(1, recipe.steps + 1):
        images, labels = data.batch(task, recipe, step)
        network.train()
        loss = task.loss(network(images), labels)
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        rate.step()
        if step % every == 0 or step == recipe.steps:
            report("training", step, recipe.steps, "steps")
            figures = exam.figures(network)
            if not best.figures or task.score(figures) > task.score(best.figures):
                weights = {k: v.clone() for k, v in network.state_dict().items()}
                best = _Checkpoint(network, step, figures)
    network.load_state_dict(weights)
    return best


def _untrained(outputs: int, recipe: Recipe) -> Segmenter:
    """A network whose initial weights follow from the recipe's seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(philox(recipe.seed, "weights").integers(2**63)))
        return Segmenter(outputs, recipe.width)


@dataclass(frozen=True)
class _Stack:
    """Pictures of one size, uint8 [N, 3, H, W], and their labels as the task stacks them."""

    images: Tensor
    labels: Tensor

    @classmethod
    def of(cls, data: LabelledImages, size: Size, task: Task, device: torch.device) -> "_Stack":
        """All of `data`, resized."""
        images = np.stack([picture_at(image, size) for image in data.images])
        return cls(
            torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(device),
            task.stacked(data, size).to(device),
        )

    def batch(self, task: Task, recipe: Recipe, step: int) -> tuple[Tensor, Tensor]:
        """Augmented pictures float32 [B, 3, H, W] of a step, and their labels."""
        stream = philox(recipe.seed, "batch", step)
        chosen = torch.from_numpy(stream.integers(len(self.images), size=recipe.batch))
        chosen = chosen.to(self.images.device)
        pairs = task.flip_pairs if recipe.flip else None
        images, labels = _as_float(self.images[chosen]), self.labels[chosen]
        strength = self._strength(task, recipe, step)
        return augmented(images, labels, stream, strength, pairs, task.moved)

    def _strength(self, task: Task, recipe: Recipe, step: int) -> Strength:
        """How far the pictures of a step are changed."""
        share = recipe.settled_share
        if share is None:
            share = task.settled_shares[len(self.images) > FEW_PICTURES]
        moving = step <= round((1 - share) * recipe.steps)
        return Strength() if moving else Strength().settled()


class _Exam:
    """Pictures to be tested on, and the labels their predictions are held against."""

    def __init__(self, data: LabelledImages, size: Size, task: Task, device: torch.device) -> None:
        pairs = zip(data.images, data.labels, strict=True)
        self._told = [(i, label) for i, label in pairs if task.says_something(label)]
        self._images = [picture_at(image, size) for image, _ in self._told]
        self._task = task
        self._device = device

    @torch.no_grad()
    def figures(self, network: Segmenter, together: int = 32) -> Figures:
        """How the network does on all pictures, each at its own size."""
        network.eval()
        findings = []
        for first in range(0, len(self._images), together):
            stacked = np.stack(self._images[first : first + together])
            pixels = torch.from_numpy(stacked).permute(0, 3, 1, 2).to(self._device)
            told = self._told[first : first + together]
            for outputs, (image, label) in zip(network(_as_float(pixels)), told, strict=True):
                size = (image.shape[0], image.shape[1])
                findings.append(self._task.finding(outputs, label, size))
        return self._task.figures(findings)


def _as_float(pixels: Tensor) -> Tensor:
    """uint8 0..255 -> float32 [-1, 1]."""
    return pixels.float() / 127.5 - 1
