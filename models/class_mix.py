"""Which of its classes a conditional generator draws: one, or each as often as its share. Pure.

A mix is what people write: the index of one class, a weight for each class, or nothing for all
equally likely. Shares are what is computed with: one per class, and their sum is 1.
"""

from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

Weight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Shares = tuple[float, ...]


def _some_weight(weights: tuple[float, ...]) -> tuple[float, ...]:
    if sum(weights) == 0:
        raise ValueError("at least one weight must be above 0")
    return weights


ClassIndex = Annotated[int, Field(ge=0, strict=True)]
Weights = Annotated[
    tuple[Weight, ...], Field(min_length=1, max_length=10_000), AfterValidator(_some_weight)
]
ClassMix = ClassIndex | Weights


def shares_of(mix: ClassMix | None, classes: int) -> Shares:
    """How often each class is drawn.

    Args:
        mix: the index of one class, a weight per class, or None for all equally likely.
        classes: how many the generator knows; 0 for an unconditional one.

    Returns:
        `classes` numbers whose sum is 1; none for an unconditional generator.

    Raises:
        ValueError: the mix is for another number of classes; the message says both.
    """
    if problem := misfit(mix, classes):
        raise ValueError(problem)
    if mix is None:
        return (1 / classes,) * classes if classes else ()
    if isinstance(mix, int):
        return tuple(float(index == mix) for index in range(classes))
    if len(set(mix)) == 1:  # Spelt out or left out, equal weights are the same mix.
        return shares_of(None, classes)
    total = sum(mix)
    return tuple(weight / total for weight in mix)


def misfit(mix: ClassMix | None, classes: int) -> str | None:
    """Why a mix cannot be drawn from a generator of so many classes; None where it can."""
    if mix is None:
        return None
    if classes == 0:
        return "the generator is unconditional: it knows no classes to choose from"
    if isinstance(mix, int):
        last = f"the generator's {classes} classes are 0 to {classes - 1}, class {mix} is none"
        return last if mix >= classes else None
    if len(mix) != classes:
        return f"{len(mix)} weights are given for the generator's {classes} classes"
    return None


def chosen(stream: np.random.Generator, shares: Shares) -> int:
    """One class, drawn by its share."""
    if len(set(shares)) == 1:
        return int(stream.integers(len(shares)))
    edges = np.cumsum(shares)
    return int(np.searchsorted(edges[:-1], stream.random() * edges[-1], side="right"))
