"""Which labels go together, told from what is said of them before any is read. Pure.

The service asks before it makes a job of it; the worker asks again, for it may be the first to
know. Both say the same words.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from models.labels import LabelSpec

USUAL = "segmentation"
"""The kind that is judged where there are several and none is asked for."""


class Misfit(NamedTuple):
    """What does not go together, naming it, and what to do about it."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}"


def taken(whose: str, labels: Sequence[LabelSpec], kind: str | None) -> LabelSpec | Misfit:
    """The labels of a kind, without a kind the first; or that there are none.

    Args:
        whose: id of what has the labels.
        labels: those that it has, one at least.
        kind: the one that is wanted.
    """
    for spec in labels:
        if kind in (None, spec.kind):
            return spec
    there = " and ".join(spec.kind for spec in labels)
    return Misfit(f"{whose} has no {kind}, only {there}", "name another kind, or other labels")


def judged(whose: str, labels: Sequence[LabelSpec], kind: str | None) -> LabelSpec | Misfit:
    """The labels that an evaluation is of: as `taken`, but without a kind the usual one."""
    is_there = any(spec.kind == USUAL for spec in labels)
    return taken(whose, labels, USUAL if kind is None and is_there else kind)


def comparable(trained: LabelSpec, whose: str, labels: Sequence[LabelSpec]) -> LabelSpec | Misfit:
    """Labels that what learnt `trained` can be judged by; or that there are none.

    Args:
        trained: what was learnt.
        whose: id of what has the labels.
        labels: those that it has, one at least.
    """
    found = taken(whose, labels, trained.kind)
    if isinstance(found, Misfit) or found.vocabulary == trained.vocabulary:
        return found
    what = f"{whose} has the {_words(found)}; what is trained on has the {_words(trained)}"
    return Misfit(what, "they must be the same, in the same order")


def mixed(cards: Mapping[str, Mapping[str, Any]]) -> Misfit | None:
    """Why label generators cannot label the same images; None where they can.

    Args:
        cards: their cards by id; those that are not ready may be left out.
    """
    for (one, first), (other, second) in combinations(cards.items(), 2):
        made_of = first["generator_id"], second["generator_id"]
        if made_of[0] != made_of[1]:
            whose = f"{one} is of the generator {made_of[0]}, {other} of {made_of[1]}"
            return Misfit(whose, "name label generators of one generator")
        kind = first["label"]["kind"]
        if kind == second["label"]["kind"]:
            return Misfit(f"{one} and {other} both label {kind}", "name one for each kind")
    return None


def _words(spec: LabelSpec) -> str:
    what, names = spec.vocabulary
    return f"{what} {', '.join(names)}"
