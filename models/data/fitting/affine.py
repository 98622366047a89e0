"""Affine transforms of points (row, column), in pixels. Pure: numpy alone.

A transform is a float64 [2, 3] matrix M: what lies at p in one picture lies at
M[:, :2] p + M[:, 2] in the other. The centre of the first pixel is (0, 0), so a picture [H, W]
reaches from -0.5 to H - 0.5 and from -0.5 to W - 0.5. Boxes are (top, left, bottom, right) in
units of pixels from the upper left corner, as slices count: a whole picture is (0, 0, H, W).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]
Points = NDArray[np.float64]
Box = tuple[float, float, float, float]


def moved(matrix: Matrix, points: ArrayLike) -> Points:
    """Where points [..., 2] lie after a transform: float64 [..., 2]."""
    found: Points = np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return found


def after(last: Matrix, first: Matrix) -> Matrix:
    """The one transform that does `first` and then `last`."""
    linear = last[:, :2] @ first
    linear[:, 2] += last[:, 2]
    return linear


def inverse(matrix: Matrix) -> Matrix:
    """The way back.

    Raises:
        numpy.linalg.LinAlgError: there is none, for the transform flattens the picture.
    """
    back = np.linalg.inv(matrix[:, :2])
    return np.column_stack([back, -back @ matrix[:, 2]])


def shift(rows: float, columns: float) -> Matrix:
    """The transform that moves everything down and to the right."""
    return np.array([[1.0, 0.0, rows], [0.0, 1.0, columns]])


def stretch(source: Box, target: Box) -> Matrix:
    """The upright transform that lays one box exactly on another."""
    start, stop = np.array(source[:2]), np.array(source[2:])
    onto, until = np.array(target[:2]), np.array(target[2:])
    scale = (until - onto) / (stop - start)
    # Edges lie half a pixel before centres: e = p + 0.5.
    offset = onto - 0.5 + scale * (0.5 - start)
    return np.column_stack([np.diag(scale), offset])


def similarity(source: Sequence[ArrayLike], target: Sequence[ArrayLike]) -> Matrix:
    """Turn, scale and shift that bring points nearest to others (Umeyama 1991, eqs. 40-43).

    Args:
        source: at least two points that are not all the same, [N, 2].
        target: where each should go, [N, 2].

    Returns:
        the transform M, never a reflection, of the least sum of |M s - t|^2.

    Raises:
        ValueError: the points of the source are all one.
    """
    x, y = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    variance = np.square(x - mean_x).sum(axis=1).mean()
    if variance < 1e-12:
        raise ValueError("the points all lie in one place")
    u, d, vt = np.linalg.svd((y - mean_y).T @ (x - mean_x) / len(x))
    proper = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    linear = (u * proper) @ vt * (d @ proper) / variance
    return np.column_stack([linear, mean_y - linear @ mean_x])


def scales(matrix: Matrix) -> tuple[float, float]:
    """How long a step of one row, and of one column, becomes."""
    rows, columns = np.linalg.norm(matrix[:, :2], axis=0)
    return float(rows), float(columns)
