"""Measures of quality: numpy in, floats out, each definition in its docstring. No torch."""

from models.metrics.depth import depth_errors
from models.metrics.images import psnr, ssim
from models.metrics.keypoints import pck
from models.metrics.segmentation import confusion_matrix, mean_iou, per_class_iou

__all__ = [
    "confusion_matrix",
    "depth_errors",
    "mean_iou",
    "pck",
    "per_class_iou",
    "psnr",
    "ssim",
]
