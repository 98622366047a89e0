"""How long computations tell where they are. Pure: a type and a silent default."""

from typing import Protocol


class Report(Protocol):
    """Told of progress; may raise to stop the computation."""

    def __call__(self, phase: str, done: int, total: int, unit: str = "") -> None:
        """`done` of `total` units of `phase` are finished."""


def silent(phase: str, done: int, total: int, unit: str = "") -> None:
    """Reports to nobody."""
