"""Share of keypoints found close enough to where they are."""

import numpy as np


def pck(
    predicted: np.ndarray,
    true: np.ndarray,
    visible: np.ndarray,
    normaliser: np.ndarray,
    alpha: float,
) -> float:
    """Share of all visible keypoints of the set whose error is at most alpha * normaliser.

    Args:
        predicted: float [N, J, 2], (row, column) in pixels.
        true: the same.
        visible: bool [N, J]; others are not counted.
        normaliser: float [N], a length in pixels per image, e.g. its longer side.
        alpha: 0.1, 0.05 and 0.02 are customary.

    Returns:
        0 to 1; NaN where no keypoint is visible.

    Raises:
        ValueError: shapes that do not belong together.
    """
    if predicted.shape != true.shape or visible.shape != true.shape[:2]:
        raise ValueError(
            f"predicted {predicted.shape}, true {true.shape} and visible {visible.shape} differ"
        )
    if normaliser.shape != true.shape[:1]:
        raise ValueError(f"normaliser must be [{len(true)}], got {list(normaliser.shape)}")
    error = np.linalg.norm(predicted - true, axis=-1)  # [N, J]
    close = error <= alpha * normaliser[:, None]
    return float(close[visible].mean()) if visible.any() else float("nan")
