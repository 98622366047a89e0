"""Labelled pictures of any size brought onto a generator's canvas: `fit`, and back: `unfit`."""

from models.data.fitting.canvas import Canvas
from models.data.fitting.fitting import Fit, Fitted, fit, named_points, unfit
from models.data.fitting.policies import (
    Align,
    AlignFace,
    CentreCrop,
    Pad,
    Policy,
    Resize,
    can_align,
)

__all__ = [
    "Align",
    "AlignFace",
    "Canvas",
    "CentreCrop",
    "Fit",
    "Fitted",
    "Pad",
    "Policy",
    "Resize",
    "can_align",
    "fit",
    "named_points",
    "unfit",
]
