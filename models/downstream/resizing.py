"""Pictures, labels and outputs brought to another size: corners stay corners."""

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from models.data.fitting.affine import stretch
from models.data.fitting.canvas import whole, whole_box
from models.data.fitting.resampling import RESAMPLED, Move
from models.labels import LabelSpec

Size = tuple[int, int]
"""(H, W), in pixels."""


def working_size(shape: Sequence[int], longest_side: int) -> Size:
    """The size of pictures [H, W, 3] as the network sees them."""
    factor = min(1.0, longest_side / max(shape[:2]))
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def picture_at(image: np.ndarray, size: Size) -> np.ndarray:
    """uint8 [h, w, 3] -> [H, W, 3], with antialiasing."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def label_at(label: np.ndarray, spec: LabelSpec, given: Size, size: Size) -> np.ndarray:
    """A label of a picture of size `given`, as it is on one of `size`; by its kind's own rule."""
    move = Move(stretch(whole_box(given), whole_box(size)), whole(given), whole(size))
    return RESAMPLED[spec.kind](label, spec, move)


def outputs_at(outputs: Tensor, size: Size) -> Tensor:
    """[K, h, w] -> [K, H, W], bilinear."""
    if tuple(outputs.shape[1:]) == size:
        return outputs
    return F.interpolate(outputs[None], size, mode="bilinear", align_corners=False)[0]
