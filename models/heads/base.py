"""What a kind of label must know for an ensemble of pixel MLPs to learn and to predict it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from torch import Tensor

UNLABELLED = -1
"""A target that says: leave this pixel out."""


class Vote(StrEnum):
    """How the members of an ensemble agree on one label."""

    SOFT = "soft"
    HARD = "hard"


@dataclass(frozen=True)
class Decision:
    """What an ensemble says of P pixels.

    Attributes:
        labels: uint8 [P].
        uncertainty: float32 [P], from 0 (all members agree) upwards.
    """

    labels: Tensor
    uncertainty: Tensor


class Head(Protocol):
    """The part of a label generator that depends on the kind of label. M members, P pixels."""

    @property
    def outputs(self) -> int:
        """K, numbers a member gives for a pixel."""

    def targets(self, mask: np.ndarray, size: tuple[int, int]) -> Tensor:
        """A label image [h, w] -> what is to be learnt at `size`: int64 [H * W], or UNLABELLED."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses [M] of outputs [M, P, K] against targets [M, P] (none UNLABELLED)."""

    def agreement(self, outputs: Tensor, targets: Tensor) -> float:
        """How good an ensemble's vote is: outputs [M, P, K], targets [P] -> 0 (bad) to 1."""

    def decide(self, outputs: Tensor, vote: Vote) -> Decision:
        """Labels and uncertainty of P pixels from outputs float32 [M, P, K]."""
