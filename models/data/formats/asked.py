"""Whether what a user asks of a layout can be had from it, before any file is read."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.data.labelled import Reading
from models.data.problems import Problems
from models.labels import DepthSpec, KeypointsSpec, SegmentationSpec

_Spec = TypeVar("_Spec", SegmentationSpec, KeypointsSpec, DepthSpec)


def check_reading(
    reading: Reading, kinds: Collection[str], options: Collection[str], name: str
) -> None:
    """Refuse kinds of labels and options that a layout does not have.

    Args:
        reading: what is asked.
        kinds: those that there are.
        options: the names of those that there are.
        name: what errors call the dataset as a whole.

    Raises:
        InvalidDataset: with all that cannot be had.
    """
    problems = Problems()
    for label in reading.labels:
        if label.kind not in kinds:
            known = ", ".join(sorted(kinds))
            problems.add(name, f"this layout has no {label.kind}, only {known}; ask for these")
    for option in reading.options:
        if option not in options:
            known = ", ".join(sorted(options)) or "none"
            problems.add(name, f"this layout has no option {option!r}; it has {known}")
    problems.check()


def asked(reading: Reading, kind: type[_Spec]) -> _Spec | None:
    """The labels of a kind that are asked for, if any are."""
    return next((label for label in reading.labels if isinstance(label, kind)), None)


def class_ids(
    names: Sequence[str],
    spec: SegmentationSpec,
    merge: Mapping[str, str],
    name: str,
    never: Collection[str] = (),
) -> NDArray[np.uint8]:
    """The class that each of a layout's own ids becomes.

    Args:
        names: the layout's own classes by id.
        spec: the classes wanted.
        merge: own name -> wanted name, where they differ.
        name: what errors call the dataset as a whole.
        never: own names that no file can hold; they may be merged, and need not be.

    Returns:
        uint8 [len(names)].

    Raises:
        InvalidDataset: own names that become no class, and names in `merge` that are none.
    """
    problems = Problems()
    for own in merge:
        if own not in names and own not in never:
            problems.add(name, f"merges {own!r}, but its classes are {', '.join(names)}")
    ids = np.zeros(len(names), dtype=np.uint8)
    for index, own in enumerate(names):
        wanted = merge.get(own, own)
        if wanted in spec.classes:
            ids[index] = spec.classes.index(wanted)
        else:
            found = (
                f"its class {own!r} becomes {wanted!r}" if own in merge else f"its class {own!r}"
            )
            known = ", ".join(spec.classes)
            problems.add(name, f"{found}, which is none of {known}; name its class in merge")
    problems.check()
    return ids
