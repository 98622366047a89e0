"""How alike two images are, pixel by pixel and patch by patch."""

import numpy as np
from numpy.typing import NDArray

_SIGMA, _RADIUS = 1.5, 5
WINDOW = 2 * _RADIUS + 1
"""Pixels of the side of the window of `ssim`."""

_C1, _C2 = 0.01**2, 0.03**2


def psnr(images: np.ndarray, references: np.ndarray) -> float:
    """Peak signal-to-noise ratio over all pixels given, in dB: -10 log10 of the mean square error.

    Args:
        images: float in [0, 1], any shape.
        references: what they should be, the same shape.

    Returns:
        dB; infinity for equal images.
    """
    error = float(np.square(images.astype(np.float64) - references).mean())
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def ssim(
    image: np.ndarray, reference: np.ndarray, content: NDArray[np.bool_] | None = None
) -> float:
    """Structural similarity (Wang et al., 2004), averaged over channels and windows.

    Gaussian window of 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03; windows that would leave the
    image, and those around a pixel that is no content, are left out.

    Args:
        image: float [H, W, C] in [0, 1], at least 11 pixels each way.
        reference: what it should be, the same shape.
        content: [H, W], True for what counts; None for everything.

    Returns:
        at most 1, which is for equal images; NaN if no window is left.
    """
    if image.shape != reference.shape or min(image.shape[:2]) < WINDOW:
        raise ValueError(f"images must be at least 11 x 11: {image.shape} and {reference.shape}")
    x, y = image.astype(np.float64), reference.astype(np.float64)
    mx, my = _blurred(x), _blurred(y)
    vx, vy = _blurred(x * x) - mx * mx, _blurred(y * y) - my * my
    covariance = _blurred(x * y) - mx * my
    luminance = (2 * mx * my + _C1) / (mx * mx + my * my + _C1)
    structure = (2 * covariance + _C2) / (vx + vy + _C2)
    inner = slice(_RADIUS, -_RADIUS)
    centres = np.ones(mx.shape[:2], dtype=np.bool_) if content is None else content[inner, inner]
    return float((luminance * structure)[centres].mean()) if centres.any() else float("nan")


def _blurred(x: np.ndarray) -> np.ndarray:
    """Gaussian means of [H, W, C] where the window fits: [H - 10, W - 10, C]."""
    offsets = np.arange(-_RADIUS, _RADIUS + 1)
    taps = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    taps /= taps.sum()
    for axis in (0, 1):
        windows = np.lib.stride_tricks.sliding_window_view(x, len(taps), axis=axis)
        x = windows @ taps
    return x
