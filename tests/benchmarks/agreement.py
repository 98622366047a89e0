"""Whether labels of several kinds on one image agree: eyes that are seen lie on the mask's eyes."""

from typing import Any

import numpy as np

from models.demo.renderer import CLASS_NAMES, KEYPOINT_NAMES
from tests.benchmarks.faces import Faces

EYES = [index for index, name in enumerate(KEYPOINT_NAMES) if name.endswith("_eye")]
EYE_CLASS = CLASS_NAMES.index("eyes")
NEAR = 1.0
"""Pixels that a point may lie outside its mask."""


def agreement(faces: Faces) -> dict[str, Any]:
    """How far the eyes that are seen (visibility 2) lie from the mask's eyes.

    Returns:
        `samples` with an eye that is seen; `near`, the share of those in which all such eyes are
        within a pixel of the mask's; `distances`, the 50th, 90th and 99th percentile of all, in
        pixels; those of masks without eyes are infinite, and are None here.
    """
    pairs = zip(faces.labels["segmentation"], faces.labels["keypoints"], strict=True)
    found = [distances(mask, points[EYES]) for mask, points in pairs]
    told = [some for some in found if some.size]
    quantiles = np.quantile(np.concatenate(told), [0.5, 0.9, 0.99], method="lower") if told else []
    return {
        "samples": len(told),
        "near": float(np.mean([(some <= NEAR).all() for some in told])) if told else None,
        "distances": [float(q) if np.isfinite(q) else None for q in quantiles],
    }


def distances(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    """From each point that is seen to the nearest pixel of an eye, 0 within it.

    Args:
        mask: uint8 [H, W].
        points: float32 [K, 3] of (row, column, visibility).

    Returns:
        float64 [points that are seen], in pixels; infinite where the mask has no eye.
    """
    seen = points[points[:, 2] == 2][:, None, :2].astype(np.float64)  # [points, 1, 2]
    pixels = np.argwhere(mask == EYE_CLASS)[None]  # [1, pixels, 2]
    if not pixels.size:
        return np.full(len(seen), np.inf)
    outside = (np.abs(seen - pixels) - 0.5).clip(min=0)  # A pixel reaches half a pixel each way.
    nearest: np.ndarray = np.linalg.norm(outside, axis=-1).min(axis=1)
    return nearest
