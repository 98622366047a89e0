"""Intersection over union, summed over a whole set of images before dividing."""

from typing import Literal

import numpy as np


def confusion_matrix(
    predicted: np.ndarray, true: np.ndarray, classes: int, ignore_index: int | None = None
) -> np.ndarray:
    """Pixels counted by true and predicted class; matrices of several images may be added.

    Args:
        predicted: integer ids, any shape, all in 0 .. classes - 1 where counted.
        true: integer ids, the same shape.
        classes: K.
        ignore_index: pixels with this true id, and with negative ones, are not counted.

    Returns:
        int64 [K, K]: row = true class, column = predicted class.

    Raises:
        ValueError: shapes differ, or a counted pixel's id is K or more.
    """
    if predicted.shape != true.shape:
        raise ValueError(f"predicted is {predicted.shape}, true is {true.shape}")
    t, p = true.reshape(-1).astype(np.int64), predicted.reshape(-1).astype(np.int64)
    counted = t >= 0 if ignore_index is None else (t >= 0) & (t != ignore_index)
    t, p = t[counted], p[counted]
    if t.size and (max(t.max(), p.max()) >= classes or p.min() < 0):
        raise ValueError(f"class ids must be 0 to {classes - 1}")
    return np.bincount(t * classes + p, minlength=classes**2).reshape(classes, classes)


def per_class_iou(confusion: np.ndarray) -> np.ndarray:
    """IoU of each class, summed over the whole set: float64 [K]; NaN where a class never occurs.

    I_c / U_c with U_c = pixels that are c, or are called c, or both.
    """
    hits = np.diag(confusion).astype(np.float64)
    union = confusion.sum(0) + confusion.sum(1) - hits
    iou: np.ndarray = np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)
    return iou


def mean_iou(confusion: np.ndarray, absent: Literal["skip", "zero"] = "skip") -> float:
    """Mean of the IoU of all classes, background included.

    Args:
        confusion: int [K, K] over the whole set, rows true, columns predicted.
        absent: a class that is neither in the truth nor in the prediction is left out of the mean
            (`skip`), or counts as 0 (`zero`, as the authors do).

    Returns:
        0 to 1; NaN where nothing was counted.
    """
    iou = per_class_iou(confusion)
    if absent == "zero":
        return float(np.nan_to_num(iou).mean())
    return float(iou[~np.isnan(iou)].mean()) if np.isfinite(iou).any() else float("nan")
