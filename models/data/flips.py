"""Labelled pictures in a mirror, where left and right change places in labels too. Pure: numpy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from models.data.labelled import LabelArray, Labelled
from models.labels import DepthSpec, KeypointsSpec, LabelSpec, SegmentationSpec

Pairs = Sequence[tuple[int, int]]


def mirrored(item: Labelled, specs: Sequence[LabelSpec], class_pairs: Pairs = ()) -> Labelled:
    """A labelled picture with its columns in reverse; twice is nothing.

    Args:
        item: picture [H, W, 3] with its labels.
        specs: of each of its labels; keypoints change places by their `flip_pairs`.
        class_pairs: ids of classes that change places, e.g. of the left and the right ear.

    Raises:
        ValueError: a class is in two pairs, or an id is no class.
    """
    by_kind: dict[str, LabelSpec] = {spec.kind: spec for spec in specs}
    width = item.image.shape[1]
    labels = {
        kind: MIRRORED[kind](label, by_kind[kind], width, class_pairs)
        for kind, label in item.labels.items()
    }
    return replace(item, image=_reversed(item.image), labels=labels)


def exchange(count: int, pairs: Pairs) -> list[int]:
    """0 .. count - 1 with the two of each pair exchanged.

    Raises:
        ValueError: one of them is in two pairs, or is not among them.
    """
    table = list(range(count))
    for one, other in pairs:
        if not (0 <= one < count and 0 <= other < count):
            raise ValueError(f"pair {(one, other)} is not within 0 to {count - 1}")
        if table[one] != one or table[other] != other:
            raise ValueError(f"one of the pair {(one, other)} is in another pair too")
        table[one], table[other] = other, one
    return table


def _reversed(array: LabelArray) -> LabelArray:
    return np.ascontiguousarray(array[:, ::-1])


def _mask(mask: LabelArray, spec: SegmentationSpec, _width: int, pairs: Pairs) -> LabelArray:
    """Class ids; an ignore_index that is no class stays."""
    table = np.arange(256, dtype=mask.dtype)
    table[: len(spec.classes)] = exchange(len(spec.classes), pairs)
    found: LabelArray = table[_reversed(mask)]
    return found


def _keypoints(points: LabelArray, spec: KeypointsSpec, width: int, _pairs: Pairs) -> LabelArray:
    """Points; those without a label keep their place, which means nothing."""
    found: LabelArray = points[exchange(len(spec.names), spec.flip_pairs)]
    labelled = found[:, 2] > 0
    found[labelled, 1] = width - 1 - found[labelled, 1]
    return found


def _depth(depth: LabelArray, _spec: DepthSpec, _width: int, _pairs: Pairs) -> LabelArray:
    return _reversed(depth)


MIRRORED: Mapping[str, Callable[[LabelArray, Any, int, Pairs], LabelArray]] = {
    "segmentation": _mask,
    "keypoints": _keypoints,
    "depth": _depth,
}
"""By kind: a label, its spec, its picture's width and pairs of classes -> the label mirrored."""
