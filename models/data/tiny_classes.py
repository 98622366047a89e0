"""Classes of a few stray pixels: slips of annotators that no network should learn. Pure: numpy.

The authors turn classes of fewer than 30 pixels at 512 x 512 into background before training; at
other sizes the limit grows with the area.
"""

import numpy as np

from models.data.images import Pixels
from models.labels import SegmentationSpec

SPECK = 30
"""Pixels that a class must have in an image of 512 x 512."""


def least_pixels(size: tuple[int, int]) -> float:
    """How many pixels a class must have in an image of (H, W)."""
    return SPECK * size[0] * size[1] / 512**2


def tiny_classes(mask: Pixels, spec: SegmentationSpec) -> dict[str, int]:
    """The classes of a mask [H, W] that are there, and too small: pixels by name, in order of ids.

    Background (id 0) and what is to be ignored are never too small.
    """
    specks = _specks(mask, spec)
    return {name: specks[i] for i, name in enumerate(spec.classes) if i in specks}


def without_tiny_classes(mask: Pixels, spec: SegmentationSpec) -> Pixels:
    """A mask [H, W] whose `tiny_classes` became background (id 0)."""
    table = np.arange(256, dtype=np.uint8)
    table[list(_specks(mask, spec))] = 0
    cleaned: Pixels = table[mask]
    return cleaned


def _specks(mask: Pixels, spec: SegmentationSpec) -> dict[int, int]:
    """Ids of too few pixels, and how many those are."""
    height, width = mask.shape
    counts = np.bincount(mask.ravel(), minlength=256)
    small = (counts > 0) & (counts < least_pixels((height, width)))
    exempt = (0, spec.ignore_index)
    return {int(i): int(counts[i]) for i in np.flatnonzero(small) if i not in exempt}
