"""What a kind of label must know for an ensemble of pixel MLPs to learn and to predict it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

UNLABELLED = -1
"""An integer target that says: leave this pixel out. Float targets say it by NaN."""

Size = tuple[int, int]
Learnt = Mapping[str, float]
"""Numbers that a head took from the labels it learns; kept with the label generator."""


class Vote(StrEnum):
    """How the members of an ensemble agree on one label."""

    SOFT = "soft"
    HARD = "hard"


@dataclass(frozen=True)
class Decision:
    """What an ensemble says of P pixels.

    Attributes:
        values: [P, J], whatever the head needs to finish labels of whole images.
        uncertainty: float32 [P], from 0 (all members agree) upwards.
    """

    values: Tensor
    uncertainty: Tensor


@dataclass(frozen=True)
class Finished:
    """The labels of N whole images.

    Attributes:
        values: [N, ...], a label of the head's kind for each image.
        scores: float32 [N], how uncertain each is; comparable between images.
    """

    values: Tensor
    scores: Tensor


@dataclass(frozen=True)
class Likeness:
    """How far a predicted label is from the real one.

    Attributes:
        error: 0 where they are the same, and upwards; NaN where the real one says nothing.
        figures: by name, ready for JSON; what cannot be computed is None.
    """

    error: float
    figures: Mapping[str, Any]


class Head(Protocol):
    """The part of a label generator that depends on the kind of label. M members, P pixels.

    A label is an array as its spec says. Targets are int64 [P], or float32 [P, K] with a column
    per output.

    Attributes:
        same: errors of a `Likeness` that differ by no more are alike.
        fewest_steps: of a training whose length is left open.
        votes: whether members vote on classes, as `models.fused_layers.voted` lets them.
    """

    same: float
    fewest_steps: int
    votes: bool

    @property
    def outputs(self) -> int:
        """K, numbers a member gives for a pixel."""

    @property
    def learnt(self) -> Learnt:
        """What makes, with the spec, a head that is this one again."""

    def fitted(self, labels: Sequence[NDArray[Any]]) -> "Head":
        """This head, with what it needs to know of the labels that it is to learn."""

    def cleaned(self, label: NDArray[Any], size: Size) -> NDArray[Any]:
        """A label as the authors prepare it before training; of any size."""

    def targets(self, label: NDArray[Any], size: Size, image: Size | None = None) -> Tensor:
        """What is to be learnt of a label at `size` (H, W): H * W targets, row by row.

        `image` is the size of the image that the label belongs to, for labels that do not show
        it; without it, that is `size`.
        """

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses [M] of outputs [M, P, K] against targets [M, P] or [M, P, K], all labelled."""

    def agreement(self, outputs: Tensor, targets: Tensor) -> float:
        """How good an ensemble's vote is: outputs [M, P, K], targets of P -> 0 (bad) to 1."""

    def decide(self, outputs: Tensor, vote: Vote) -> Decision:
        """What M members say of P pixels: outputs float32 [M, P, K]."""

    def finish(self, values: Tensor, uncertainty: Tensor) -> Finished:
        """Labels of whole images from all their decisions: [N, H, W, J] and [N, H, W]."""

    def compare(
        self, predicted: NDArray[Any], label: NDArray[Any], size: Size, image: Size | None = None
    ) -> Likeness:
        """How far a label predicted at `size` is from a real one, given as to `targets`."""

    def brightest(self, members: int) -> float:
        """The uncertainty of a pixel that pictures draw brightest."""


def labelled(targets: Tensor) -> Tensor:
    """Which pixels have anything to be learnt: bool [P] of int64 [P] or float32 [P, K]."""
    if targets.is_floating_point():
        return ~targets.isnan().all(dim=-1)
    return targets != UNLABELLED


def mismatch(predicted: Tensor, targets: Tensor) -> Tensor:
    """Where the targets of a predicted label are not the real one's: float32 [P] from 0 to 1.

    Other ids count 1; numbers count by their difference, that of the output most at odds. Real
    targets that are not there count 0, and predicted ones as the number 0.
    """
    if not targets.is_floating_point():
        return ((predicted != targets) & labelled(targets)).float()
    apart = (predicted.nan_to_num() - targets).abs().nan_to_num()
    return apart.amax(dim=-1).clamp(max=1)


def image_scores(uncertainty: Tensor) -> Tensor:
    """Mean of the tenth of the pixels that is most uncertain: [N, H, W] -> [N] (paper, 3.3)."""
    flat = uncertainty.flatten(1)
    return flat.topk(max(1, flat.shape[1] // 10), dim=1).values.mean(dim=1)


def mean_of_labelled(losses: Tensor, targets: Tensor) -> Tensor:
    """Mean of each member's losses [M, P, K] over the targets [M, P, K] that are there: [M]."""
    there = ~targets.isnan()
    kept = torch.where(there, losses, 0)
    return kept.sum(dim=(1, 2)) / there.sum(dim=(1, 2)).clamp(min=1)


def explained(predicted: Tensor, targets: Tensor) -> float:
    """Share of the targets' variance that a prediction explains, 0 where it is none at all.

    R^2 = 1 - sum (p - t)^2 / sum (t - mean t)^2 over the targets that are no NaN, both [P, K];
    the mean is of each column.
    """
    there = ~targets.isnan()
    errors = torch.where(there, predicted - targets, 0).square().sum()
    spread = torch.where(there, targets - targets.nanmean(dim=0), 0).square().sum()
    return float((1 - errors / spread).clamp(0, 1)) if spread > 0 else float(errors == 0)
