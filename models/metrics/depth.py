"""Errors of depth maps, over pixels whose true depth is known."""

import numpy as np

NEAREST, FARTHEST = 1e-3, 80.0
"""Metres to which both maps are customarily clipped before all errors but the first."""


def depth_errors(
    predicted: np.ndarray, true: np.ndarray, limits: tuple[float, float] = (NEAREST, FARTHEST)
) -> dict[str, float]:
    """Errors averaged over the images of a set, each image over its valid pixels (true > 0).

    Args:
        predicted: float [N, H, W], in metres for the customary `limits`.
        true: the same; 0 or less, and NaN, mean unknown.
        limits: of depths that are told apart, above 0, in the unit of both.

    Returns:
        `nmse`: |p - t|^2 / |t|^2; then with both clipped to `limits`: `rmse`
        sqrt(mean (p - t)^2), `rmse_log` sqrt(mean (ln p - ln t)^2), `abs_rel` mean |p - t| / t and
        `sq_rel` mean (p - t)^2 / t. The authors also count unknown pixels; this does not.

    Raises:
        ValueError: shapes differ, or an image has no valid pixel.
    """
    if predicted.shape != true.shape or true.ndim != 3:
        raise ValueError(f"depths must be [N, H, W], got {predicted.shape} and {true.shape}")
    pairs = enumerate(zip(predicted, true, strict=True))
    rows = [_of_image(p, t, i, limits) for i, (p, t) in pairs]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _of_image(
    predicted: np.ndarray, true: np.ndarray, index: int, limits: tuple[float, float]
) -> dict[str, float]:
    valid = true > 0
    if not valid.any():
        raise ValueError(f"depth map {index} has no valid pixel")
    p, t = predicted[valid].astype(np.float64), true[valid].astype(np.float64)
    nmse = np.square(p - t).sum() / np.square(t).sum()
    p, t = p.clip(*limits), t.clip(*limits)
    return {
        "nmse": float(nmse),
        "rmse": float(np.sqrt(np.square(p - t).mean())),
        "rmse_log": float(np.sqrt(np.square(np.log(p) - np.log(t)).mean())),
        "abs_rel": float((np.abs(p - t) / t).mean()),
        "sq_rel": float((np.square(p - t) / t).mean()),
    }
