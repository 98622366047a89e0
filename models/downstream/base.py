"""What a kind of label must know for the downstream network to learn it and to be judged by it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from models.augmentation import Movement, Pairs

Figures = Mapping[str, Any]
"""Numbers by name, ready for JSON; what cannot be computed, e.g. for lack of a class, is None."""


@dataclass(frozen=True)
class LabelledImages:
    """Pictures uint8 [H, W, 3] with labels of one kind, as its spec says; sizes may differ."""

    images: Sequence[np.ndarray]
    labels: Sequence[np.ndarray]


class Task(Protocol):
    """One kind of label, to be learnt from the pictures it was made for.

    Attributes:
        chosen_by: the figure that the checkpoint is chosen by.
        flip_pairs: ids that change places in a mirror.
        settled_shares: of the steps, the last ones, whose pictures stay in place
            (`models.augmentation`), where few pictures are learnt from and where many are.
    """

    chosen_by: str
    flip_pairs: Pairs
    settled_shares: tuple[float, float]

    @property
    def outputs(self) -> int:
        """K, numbers that the network gives for a pixel."""

    def says_something(self, label: np.ndarray) -> bool:
        """Whether there is anything to learn from a label, or to be judged by."""

    def stacked(self, data: LabelledImages, size: tuple[int, int]) -> Tensor:
        """All labels as they are on pictures of one size (H, W): [N, ...]."""

    def moved(self, labels: Tensor, movement: Movement) -> Tensor:
        """Stacked labels, gone where the pictures of a batch went."""

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """How far outputs float32 [N, K, H, W] are from stacked labels, a scalar."""

    def finding(self, outputs: Tensor, label: np.ndarray, size: tuple[int, int]) -> Any:
        """How one picture of size (H, W) was done: outputs float32 [K, h, w] against its label."""

    def figures(self, findings: Sequence[Any]) -> Figures:
        """How a set of pictures was done, from the findings of each (one at least)."""

    def score(self, figures: Figures) -> tuple[float, ...]:
        """What the best checkpoint has most of; later numbers decide between equals."""
