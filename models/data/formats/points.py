"""Keypoints as layouts write them, as keypoints as we keep them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidImage
from models.labels import KeypointsSpec


def as_points(
    triples: NDArray[Any], size: tuple[int, int], name: str, spec: KeypointsSpec
) -> NDArray[np.float32]:
    """float32 [K, 3] of (row, column, visibility); zeros for a point outside of its picture.

    Args:
        triples: float [K, 3] of (x, y, COCO's visibility); the first pixel's centre is (0, 0).
        size: (H, W) of the picture, in pixels.
        name: what errors call the points.
        spec: the points.

    Raises:
        InvalidImage: a wrong number of points, a visibility that is none, a place that is no
            finite number, or not one point in the picture.
    """
    if triples.shape != (len(spec.names), 3):
        found = f"has {len(triples)} keypoints, but the label {len(spec.names)}"
        raise InvalidImage(name, f"{found}; give each as x, y, visibility")
    for (x, y, seen), point in zip(triples, spec.names, strict=True):
        if seen not in (0, 1, 2):
            raise InvalidImage(name, f"{point} has visibility {seen:g}; it must be 0, 1 or 2")
        if not (np.isfinite(x) and np.isfinite(y)):
            raise InvalidImage(name, f"{point} is at ({x}, {y}); mark it again")
    points = within(triples, size)
    if not points[:, 2].any():
        raise InvalidImage(name, "has no keypoint within its picture; mark some, or leave it out")
    return points


def within(triples: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """(x, y, v) [K, 3] as (row, column, visibility); what is not in the picture becomes 0, 0, 0.

    Args:
        triples: finite; x and y from the first pixel's centre.
        size: (H, W) of the picture, in pixels.
    """
    points = triples[:, [1, 0, 2]]
    inside = (points[:, :2] >= -0.5) & (points[:, :2] < np.array(size) - 0.5)
    points[~inside.all(axis=1) | (points[:, 2] == 0)] = 0
    return points.astype(np.float32)
